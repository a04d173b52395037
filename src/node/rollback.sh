# Rolling back: from one snapshot to an older one, as the step of a run that is itself armed.

# check_snapshot N: 66 means that there is nothing to restore.
check_snapshot() {
    local lost
    [ -r "$home/snapshots/$1/about" ] || {
        answer="there is no snapshot $1"
        return 66
    }
    lost=$(missing_parts "$1" | head -n 1)
    [ -z "$lost" ] || {
        answer="snapshot $1 has lost its $lost, without which it cannot be restored"
        return 66
    }
    spared=$1
}

# restore_snapshot N SUBNET…: firewalld's files, then what later runs did to Docker, the latest first, then the rest. New flows of these
# subnets, and of those that were managed since, are blocked until everything is restored.
restore_snapshot() {
    local target="$1" later undone='' latched
    shift
    latched=$*
    for later in $(snapshot_numbers | sort -rn); do
        [ "$later" -ge "$target" ] && [ "$later" -lt "$armed" ] || continue
        latched="$latched $(subnets_of "$later")"
        [ "$later" != "$target" ] && [ "$(read_key "$home/snapshots/$later/about" outcome)" = confirmed ] || continue
        undone="$undone $later"
    done
    # A snapshot of an earlier version does not record what it moves: then everything here may have been moved.
    for later in $target $undone; do
        [ "$(read_key "$home/snapshots/$later/about" format)" = 2 ] || { capture record_everything || fail_with "$home/armed/touched could not be written:" || return; }
    done
    # shellcheck disable=SC2046 # Subnets are words.
    latch $(printf '%s\n' $latched | sort -u) || return
    run_snapshot_restore "$target" reloaded || fail_with "the files of snapshot $target could not be restored:" || return
    for later in $undone; do
        run_snapshot_restore "$later" docker || fail_with "what run $later did to Docker could not be undone:" || return
    done
    run_snapshot_restore "$target" chosen || fail_with "snapshot $target could not be restored:" || return
    unlatch
}

# record_everything: everything may be moved.
record_everything() { awk '$1 == "network" { print $1, $2 } $1 == "place" { print $1, $2, $3 }' "$home/armed/picture" >>"$home/armed/touched"; }

# subnets_of N: those that were managed then, and nothing that is not a subnet. A snapshot of an earlier version has them in the first such
# line of its program.
subnets_of() {
    if [ -e "$home/snapshots/$1/subnets" ]; then
        cat "$home/snapshots/$1/subnets"
    else
        sed -n "s/^subnets=//p" "$home/snapshots/$1/restore.sh" 2>/dev/null | head -n 1 | tr -d "'"
    fi 2>/dev/null | tr -s ' \n' '\n' | grep -x '[0-9A-Fa-f.:]*/[0-9]*' | tr '\n' ' '
}

# run_snapshot_restore N MODE: runs the program of that snapshot.
run_snapshot_restore() { answer=$(/bin/sh "$home/snapshots/$1/restore.sh" "$2" 2>&1 </dev/null); }
