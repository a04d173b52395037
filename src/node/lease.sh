# The lease of an armed run: which run has it, how it ends, and how the node is told to go back. The confirmation of a run and the removal of
# the records need nothing else of the library.

snapshots_kept=10
spared=

# describe_lease N: which run holds the node with that snapshot, in $answer.
describe_lease() {
    local file="$home/snapshots/$1/about" left
    left=$(seconds_left "$1")
    case $left in -*) left=0 ;; esac
    answer="$(read_key "$file" operator) has been changing this node since $(read_key "$file" since), until $(read_key "$file" until) at the latest${left:+ ($left s from now)}"
    is_lease_live "$1" || answer="an unfinished run holds this node: $(read_key "$file" operator), since $(read_key "$file" since), and nothing will end it (snapshot $1)"
}

# end_lease N: the run stays as it is now. Without the lease there is nothing to restore, whatever is started later.
end_lease() {
    capture rm -f "$home/armed" || fail_with "the lease could not be released:" || return
    sync "$home" 2>/dev/null || sync
    clean_up_after "$1"
}

# clean_up_after N: `clean_up`, and what only that run has.
clean_up_after() {
    clean_up
    rm -f "$live/step" "$live/stop-$1" "$live/asked-$1" "$live/attempts-$1"
}

# stop_timers: stops every timer that would start a restore. None is needed without a lease: a run that was killed between its timer and
# its lease leaves one.
stop_timers() {
    local file
    set --
    # shellcheck disable=SC2045 # Names of systemd's, without blanks; globs are off.
    for file in $(ls $transient_units 2>/dev/null); do
        case $file in
        fwdeploy-restore-*.timer) set -- "$@" "$file" ;;
        esac
    done
    [ $# = 0 ] || limited systemctl stop "$@" >/dev/null 2>&1 </dev/null
}

# clean_up: removes what only an armed node has, also of a run that was killed while it was arming the node, and old snapshots.
clean_up() {
    local last file of old
    unstage_files
    stop_timers
    rm -f "$units/fwdeploy-restore-files.service" "$units/fwdeploy-restore.service" \
        "$units/multi-user.target.wants/fwdeploy-restore-files.service" "$units/multi-user.target.wants/fwdeploy-restore.service"
    # If systemd has reloaded its units while the node was armed, it knows two that no longer exist.
    case $(limited systemctl show -p LoadState fwdeploy-restore.service fwdeploy-restore-files.service 2>/dev/null </dev/null) in
    *LoadState=loaded*) limited systemctl daemon-reload >/dev/null 2>&1 </dev/null ;;
    esac
    # The result of the last run may still be queried.
    last=$(cat "$home/last" 2>/dev/null)
    # shellcheck disable=SC2045 # Names of our own, without blanks; globs are off.
    for file in $(ls "$live" 2>/dev/null); do
        of=${file##*-}
        case $of in '' | *[!0-9]*) continue ;; esac
        [ "$of" -ge "${last:-0}" ] || rm -f "$live/$file"
    done
    for old in $(snapshot_numbers | sort -rn | tail -n "+$((snapshots_kept + 1))"); do
        # The first one is the state before all runs.
        [ "$old" = "$spared" ] || [ "$old" = 1 ] || rm -rf "$home/snapshots/$old"
    done
}

# start_restore: starts the restore, which then runs on its own.
start_restore() {
    local unit
    { : >"$live/asked-$armed"; } 2>/dev/null
    unit=fwdeploy-restore-$armed.service
    # The timer belonged to the boot before.
    ! has_booted_since "$armed" || unit=fwdeploy-restore.service
    systemctl start --no-block "$unit" >/dev/null 2>&1 || start_restore_process
}
start_restore_process() {
    if command -v setsid >/dev/null; then
        setsid /bin/sh "$home/snapshots/$armed/restore.sh" now repeat </dev/null >/dev/null 2>&1 5>&- 6<&- 9>&- &
    else
        /bin/sh "$home/snapshots/$armed/restore.sh" now repeat </dev/null >/dev/null 2>&1 5>&- 6<&- 9>&- &
    fi
}

# unstage_files: removes the copies that `stage_files` has made (snapshot.sh), of any run.
unstage_files() {
    local snapshot_number file copy
    rm -rf "$staging"
    for snapshot_number in $(snapshot_numbers); do
        [ -f "$home/snapshots/$snapshot_number/beside" ] || continue
        while IFS=$tab read -r file copy; do
            case $copy in /*/.*.fwdeploy) rm -f "$copy" ;; esac
        done <"$home/snapshots/$snapshot_number/beside"
        rm -f "$home/snapshots/$snapshot_number/beside"
    done
}
