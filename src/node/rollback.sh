# restore_snapshot N: the step of a run that goes to an older snapshot. What later runs did to Docker is taken back first, the latest first.
restore_snapshot() {
    [ -r "$home/snapshots/$1/restore.sh" ] || {
        answer="there is no snapshot $1"
        return 1
    }
    for later in $(ls "$home/snapshots" | sort -rn); do
        case $later in *[!0-9]*) continue ;; esac
        [ "$later" -gt "$1" ] && [ "$later" -lt "$armed" ] || continue
        [ "$(tell "$home/snapshots/$later/about" outcome)" = confirmed ] || continue
        answer=$(/bin/sh "$home/snapshots/$later/restore.sh" docker 2>&1 </dev/null) || because "what run $later did to Docker could not be taken back:" || return
    done
    answer=$(/bin/sh "$home/snapshots/$1/restore.sh" chosen 2>&1 </dev/null) || because "snapshot $1 could not be brought back:"
}
