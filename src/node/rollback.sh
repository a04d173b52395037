# Rolling back: from one snapshot to an older one, as the step of a run that is armed itself.

# has_snapshot N: 66 says that there is nothing to go back to.
has_snapshot() {
    [ -r "$home/snapshots/$1/about" ] || {
        answer="there is no snapshot $1"
        return 66
    }
    has_files="restore.sh library.sh firewalld runtime"
    # Older ones know nothing of these.
    [ "$(tell "$home/snapshots/$1/about" format)" != 2 ] || has_files="$has_files files picture"
    for needed in $has_files; do
        [ -r "$home/snapshots/$1/$needed" ] || {
            answer="snapshot $1 has lost its $needed, without which it cannot be brought back"
            return 66
        }
    done
    spared=$1
}

# restore_snapshot N SUBNET…: firewalld's files, then what later runs did to Docker, the latest first, then the rest. These subnets, and
# those that were managed since, are closed to new flows until all is as it was.
restore_snapshot() {
    chosen_number=$1
    shift
    chosen_later=
    chosen_subnets=$*
    for later in $(ls "$home/snapshots" | sort -rn); do
        case $later in *[!0-9]*) continue ;; esac
        [ "$later" -ge "$chosen_number" ] && [ "$later" -lt "$armed" ] || continue
        chosen_subnets="$chosen_subnets $(subnets_of "$later")"
        [ "$later" != "$chosen_number" ] && [ "$(tell "$home/snapshots/$later/about" outcome)" = confirmed ] || continue
        chosen_later="$chosen_later $later"
    done
    # A snapshot of before does not write down whom it moves: then all that is here may have been.
    for later in $chosen_number $chosen_later; do
        [ "$(tell "$home/snapshots/$later/about" format)" = 2 ] || { try touch_all || because "$home/armed/touched could not be written:" || return; }
    done
    # shellcheck disable=SC2086
    latch $chosen_subnets || return
    by_snapshot "$chosen_number" reloaded || because "the files of snapshot $chosen_number could not be brought back:" || return
    for later in $chosen_later; do
        by_snapshot "$later" docker || because "what run $later did to Docker could not be taken back:" || return
    done
    by_snapshot "$chosen_number" chosen || because "snapshot $chosen_number could not be brought back:" || return
    unlatch
}

touch_all() { awk '$1 == "network" { print $1, $2 } $1 == "place" { print $1, $2, $3 }' "$home/armed/picture" >>"$home/armed/touched"; }

# subnets_of N: those that were managed then, and nothing that is no subnet. A snapshot of before has them in the first such line of its
# program.
subnets_of() {
    if [ -e "$home/snapshots/$1/subnets" ]; then
        cat "$home/snapshots/$1/subnets"
    else
        sed -n "s/^subnets=//p" "$home/snapshots/$1/restore.sh" 2>/dev/null | head -n 1 | tr -d "'"
    fi 2>/dev/null | tr -s ' \n' '\n' | grep -x '[0-9A-Fa-f.:]*/[0-9]*' | tr '\n' ' '
}

# by_snapshot N MODE
by_snapshot() { answer=$(/bin/sh "$home/snapshots/$1/restore.sh" "$2" 2>&1 </dev/null); }
