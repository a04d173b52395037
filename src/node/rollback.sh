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

# restore_snapshot N SUBNET…: what later runs did to Docker is taken back first, the latest first. The subnets are closed to new flows
# until all is as it was.
restore_snapshot() {
    chosen_number=$1
    shift
    [ $# = 0 ] || latch "$@" || return
    for later in $(ls "$home/snapshots" | sort -rn); do
        case $later in *[!0-9]*) continue ;; esac
        [ "$later" -gt "$chosen_number" ] && [ "$later" -lt "$armed" ] || continue
        [ "$(tell "$home/snapshots/$later/about" outcome)" = confirmed ] || continue
        answer=$(/bin/sh "$home/snapshots/$later/restore.sh" docker 2>&1 </dev/null) || because "what run $later did to Docker could not be taken back:" || return
    done
    answer=$(/bin/sh "$home/snapshots/$chosen_number/restore.sh" chosen 2>&1 </dev/null) || because "snapshot $chosen_number could not be brought back:" || return
    unlatch
}
