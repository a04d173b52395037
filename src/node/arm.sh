# Arming: what a run writes before its first change, so that the node rolls itself back if the run is not confirmed.
#
#   /var/lib/fwdeploy/snapshots/N/   the state before, and restore.sh, which restores it
#   /var/lib/fwdeploy/armed          the lease: a link to the snapshot of the current run
#   /var/lib/fwdeploy/last           the number of the last run that was armed
#   fwdeploy-restore-N.timer         starts restore.sh when the time to confirm is over
#   two units of systemd             do the same if the node boots before that
#   /etc/firewalld/.fwdeploy         a copy of firewalld's files, which is renamed back if the disk is full

recovering= # A recovery begins where firewalld is not well.

# next_snapshot_number LAST: the number of the next snapshot. A run that ended while it was being armed may have left a folder.
next_snapshot_number() {
    local highest="$1" there
    for there in $(snapshot_numbers); do
        [ "$there" -le "$highest" ] || highest=$there
    done
    echo "$((highest + 1))"
}

# arm LAST SECONDS: 75 means that another run holds the node, 76 that another run has changed it since it was read, 77 that
# another run was never ended.
arm() {
    local leased last new trouble
    if leased=$(leased_snapshot); then
        describe_lease "$leased"
        is_lease_live "$leased" || return 77
        return 75
    fi
    command -v systemd-run >/dev/null || { answer= && fail_with "systemd-run is missing, so the node could not roll itself back; nothing was changed"; } || return
    capture mkdir -p "$home/snapshots" "$live" || fail_with "the node could not store a snapshot; nothing was changed:" || return
    last=$(cat "$home/last" 2>/dev/null)
    if [ "${last:-0}" != "$1" ]; then
        answer="another run has changed this node since it was read (the last snapshot is $last, and was $1)"
        return 76
    fi
    new=$(next_snapshot_number "${last:-0}")
    snapshot=$home/snapshots/$new
    if ! arm_now "$new" "$2"; then
        trouble=${answer:-"no reason was told; is there room in $home and /etc/firewalld?"}
        end_lease "$new"
        rm -rf "$snapshot"
        answer="the automatic rollback could not be armed; nothing was changed:$newline$trouble"
        return 1
    fi
    armed=$new
    mark_step arm
    say "armed $new"
    [ -z "$stopped" ] || fail_before_first_step
}

# fail_before_first_step: the caller has gone.
fail_before_first_step() {
    step_number=0
    answer="stopped by SIG$stopped before the first step"
    fail_step 143
}

# arm_now N SECONDS: takes snapshot N, and starts everything that restores it.
arm_now() {
    local since expires
    capture mkdir "$snapshot" || return
    clean_up
    since=$(date -u '+%Y-%m-%dT%H:%M:%SZ %s')
    expires=$(date -u -d "@$((${since#* } + $2))" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null) || expires="$2 s later"
    since=${since% *}
    save_file about "$about${newline}format=2${newline}number=$1${newline}since=$since${newline}until=$expires${newline}timeout=$2${newline}boot=$(boot_now)${newline}uptime=$(uptime_now)${newline}outcome=armed" &&
        save_file library.sh "$library" &&
        save_file restore.sh "$restore_program" &&
        save_file subnets "$managed" &&
        take_snapshot &&
        stage_files &&
        check_saved &&
        write_boot_units &&
        sync_snapshot || return
    start_timer "$1" "$2" || fail_with "systemd did not accept the timer:" || return
    capture write_file "$home/last" "$1" || fail_with "$home/last could not be written:" || return
    capture ln -s "snapshots/$1" "$home/armed" || return
    sync_snapshot
}

# start_timer N SECONDS. systemd 219 (CentOS 7) accepts no `Restart=` here; there the program itself repeats what has failed.
start_timer() {
    start_timer_with "$1" "$2" "-p Restart=on-failure -p RestartSec=3" "" || start_timer_with "$1" "$2" "" repeat
}
# start_timer_with N SECONDS OPTIONS WORD
start_timer_with() {
    capture_limited systemd-run --quiet --unit="fwdeploy-restore-$1" --on-active="$2" --timer-property=AccuracySec=100ms $3 \
        --description="fwdeploy: back to the state before, if nobody confirms" /bin/sh "$snapshot/restore.sh" timer $4
}

# write_boot_units: a boot before the run is confirmed leads to the state before: first firewalld's files, before firewalld reads them;
# then, when Docker is running, the rest.
write_boot_units() {
    capture write_unit fwdeploy-restore-files.service "Description=fwdeploy: firewalld's files of before a run that nobody confirmed
Before=firewalld.service docker.service network-pre.target
RequiresMountsFor=$home$(required_mounts)" "Type=oneshot
ExecStart=/bin/sh $snapshot/restore.sh files" &&
        capture write_unit fwdeploy-restore.service "Description=fwdeploy: back to the state before a run that nobody confirmed
After=firewalld.service docker.service fwdeploy-restore-files.service
RequiresMountsFor=$home" "ExecStart=/bin/sh $snapshot/restore.sh boot
Restart=on-failure
RestartSec=3"
}

# write_unit NAME UNIT SERVICE
write_unit() {
    local text
    text="[Unit]$newline$2${newline}[Service]$newline$3${newline}[Install]${newline}WantedBy=multi-user.target"
    mkdir -p "$units/multi-user.target.wants" && printf '%s\n' "$text" >"$units/$1" && printf '%s\n' "$text" | cmp -s - "$units/$1" &&
        ln -sf "../$1" "$units/multi-user.target.wants/$1"
}

# sync_snapshot: what was written survives a power cut. A sync that does not accept files syncs everything.
sync_snapshot() {
    find "$snapshot" "$staging" "$home" "$home/snapshots" "$units" "$units/multi-user.target.wants" "$units/fwdeploy-restore.service" \
        "$units/fwdeploy-restore-files.service" -prune -exec sync {} + 2>/dev/null &&
        find "$snapshot" "$staging" -type f -exec sync {} + 2>/dev/null || sync
    return 0
}
