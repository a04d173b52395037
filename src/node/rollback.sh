# Rolling back: from one snapshot to an older one, as the step of a run that is armed itself.

# has_snapshot N: 66 says that there is nothing to go back to.
has_snapshot() {
    [ -r "$home/snapshots/$1/about" ] || {
        answer="there is no snapshot $1"
        return 66
    }
    for needed in restore.sh library.sh firewalld runtime; do
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
        eval "chosen_subnets=\"\$chosen_subnets \"$(sed -n 's/^subnets=//p' "$home/snapshots/$later/restore.sh")"
        [ "$later" != "$chosen_number" ] && [ "$(tell "$home/snapshots/$later/about" outcome)" = confirmed ] || continue
        chosen_later="$chosen_later $later"
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

# by_snapshot N MODE
by_snapshot() { answer=$(/bin/sh "$home/snapshots/$1/restore.sh" "$2" 2>&1 </dev/null); }
