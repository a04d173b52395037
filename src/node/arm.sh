# Arming: what a run writes down before its first change, so that the node goes back by itself if nobody confirms.
#
#   /var/lib/fwdeploy/snapshots/N/   the state before, and restore.sh, which brings it back
#   /var/lib/fwdeploy/armed          the lease: a link to the snapshot of the run at work
#   /var/lib/fwdeploy/last           the number of the last run that was armed
#   fwdeploy-restore-N.timer         starts restore.sh when the time to confirm is over
#   two units of systemd             do the same when the node boots before that
#   /etc/firewalld/.fwdeploy         firewalld's files once more, to be renamed back when the disk is full

kept=10 # How many snapshots are kept.
recovering= # Whether the node is armed for a recovery, which begins where firewalld is not well.
spared= # One more: the snapshot that a rollback goes to.

# tell FILE KEY: the value of that key in a file of `key=value` lines, the last one said.
tell() { sed -n "s/^$2=//p" "$1" 2>/dev/null | tail -n 1; }

# The next number, in $arm_number. A run that ended while it was being armed may have left a folder.
next_number() {
    arm_number=${last:-0}
    for next_name in $(ls "$home/snapshots" 2>/dev/null); do
        case $next_name in *[!0-9]*) ;; *) [ "$next_name" -le "$arm_number" ] || arm_number=$next_name ;; esac
    done
    arm_number=$((arm_number + 1))
}

# The number of the armed snapshot, in $leased; fails if there is none.
leased() {
    leased=$(readlink "$home/armed" 2>/dev/null) || return
    leased=${leased##*/}
}

# alive N: whether the node will still go back to that snapshot by itself, or is going.
alive() {
    case $(systemctl show -p ActiveState "fwdeploy-restore-$1.timer" "fwdeploy-restore-$1.service" fwdeploy-restore.service 2>/dev/null) in
    *ActiveState=active* | *ActiveState=activating* | *ActiveState=deactivating*) return 0 ;;
    esac
    return 1
}

# booted N: whether the node has booted since that snapshot.
booted() { [ "$(tell "$home/snapshots/$1/about" boot)" != "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)" ]; }

# left N: how many seconds the lease still has; nothing if the node was booted since.
left() {
    left_about=$home/snapshots/$1/about
    ! booted "$1" || return 0
    left_uptime=$(tell "$left_about" uptime)
    left_timeout=$(tell "$left_about" timeout)
    left_seconds=$((${left_uptime:-0} + ${left_timeout:-0} - $(uptime_now)))
    [ "$left_seconds" -ge 0 ] || left_seconds=0
    echo "$left_seconds"
}

# lease: who holds the node, in $answer; fails if nobody does.
lease() {
    answer=
    leased || return
    lease_about=$home/snapshots/$leased/about
    lease_left=$(left "$leased")
    answer="$(tell "$lease_about" operator) is changing this node since $(tell "$lease_about" since), until $(tell "$lease_about" until) at the latest${lease_left:+ ($lease_left s from now)}"
    alive "$leased" || answer="an unfinished run holds this node: $(tell "$lease_about" operator), since $(tell "$lease_about" since), and nothing will end it (snapshot $leased)"
}

# arm LAST SECONDS: 75 says that somebody else is at work, 76 that somebody has been since the node was looked at, 77 that
# somebody's run was never ended.
arm() {
    if lease; then
        alive "$leased" || return 77
        return 75
    fi
    command -v systemd-run >/dev/null || { answer= && because "systemd-run is missing, so the node could not go back by itself; nothing was changed"; } || return
    ask mkdir -p "$home/snapshots" "$live" || because "the node has no place for a snapshot; nothing was changed:" || return
    last=$(cat "$home/last" 2>/dev/null)
    if [ "${last:-0}" != "$1" ]; then
        answer="another run has changed this node since it was looked at (snapshot $last, where $1 was the last)"
        return 76
    fi
    next_number
    snapshot=$home/snapshots/$arm_number
    if ! arm_now "$2"; then
        arm_trouble=${answer:-"no reason was told; is there room in $home and /etc/firewalld?"}
        end_lease "$arm_number"
        rm -rf "$snapshot"
        answer="the node could not be armed to go back by itself; nothing was changed:$newline$arm_trouble"
        return 1
    fi
    armed=$arm_number
    mark arm
    say "armed $arm_number"
    [ -z "$stopped" ] || failed_early
}

# The caller has gone before the first step.
failed_early() {
    number=0
    answer="stopped by SIG$stopped ahead of the first step"
    failed 143
}

arm_now() {
    ask mkdir "$snapshot" || return
    tidy
    arm_since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    arm_until=$(date -u -d "@$(($(date +%s) + $1))" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null) || arm_until="$1 s later"
    keep about "$about${newline}format=2${newline}number=$arm_number${newline}since=$arm_since${newline}until=$arm_until${newline}timeout=$1${newline}boot=$(cat /proc/sys/kernel/random/boot_id)${newline}uptime=$(uptime_now)${newline}outcome=armed" &&
        keep library.sh "$library" &&
        keep restore.sh "$restore_program" &&
        keep subnets "$managed" &&
        take &&
        stage &&
        boot_units &&
        durable || return
    arm_timer "$1" || because "systemd does not take the timer:" || return
    try keep_now "$home/last" "$arm_number" || because "$home/last could not be written:" || return
    ask ln -s "snapshots/$arm_number" "$home/armed" || return
    durable
}

arm_timer() {
    for arm_options in "-p Restart=on-failure -p RestartSec=3" ""; do
        # shellcheck disable=SC2086
        ask systemd-run --quiet --unit="fwdeploy-restore-$arm_number" --on-active="$1" --timer-property=AccuracySec=100ms $arm_options \
            --description="fwdeploy: back to the state before, if nobody confirms" /bin/sh "$snapshot/restore.sh" timer && return
    done
    return 1
}

# boot_units: a boot before the run is confirmed ends in the state before: first firewalld's files, before it reads them;
# then, when Docker is there, the rest.
boot_units() {
    try unit_file fwdeploy-restore-files.service "Description=fwdeploy: firewalld's files of before a run that nobody confirmed
Before=firewalld.service docker.service network-pre.target
RequiresMountsFor=$home$(mounts_needed)" "Type=oneshot
ExecStart=/bin/sh $snapshot/restore.sh files" &&
        try unit_file fwdeploy-restore.service "Description=fwdeploy: back to the state before a run that nobody confirmed
After=firewalld.service docker.service fwdeploy-restore-files.service
RequiresMountsFor=$home" "ExecStart=/bin/sh $snapshot/restore.sh boot
Restart=on-failure
RestartSec=3"
}

# unit_file NAME UNIT SERVICE
unit_file() {
    unit_text="[Unit]$newline$2$newline[Service]$newline$3$newline[Install]${newline}WantedBy=multi-user.target"
    mkdir -p "$units/multi-user.target.wants" && printf '%s\n' "$unit_text" >"$units/$1" && printf '%s\n' "$unit_text" | cmp -s - "$units/$1" &&
        ln -sf "../$1" "$units/multi-user.target.wants/$1"
}

# What was written outlives a power cut. A sync that knows no files syncs all.
durable() {
    find "$snapshot" "$staging" "$home" "$home/snapshots" "$units" "$units/multi-user.target.wants" "$units/fwdeploy-restore.service" \
        "$units/fwdeploy-restore-files.service" -prune -exec sync {} + 2>/dev/null &&
        find "$snapshot" "$staging" -type f -exec sync {} + 2>/dev/null || sync
    return 0
}

# end_lease N: the run stays as it is now. Without the lease there is nothing to restore, whoever comes later.
end_lease() {
    ask rm -f "$home/armed" || because "the lease could not be released:" || return
    sync "$home" 2>/dev/null || sync
    limited systemctl stop "fwdeploy-restore-$1.timer" >/dev/null 2>&1 </dev/null
    tidy
    rm -f "$live/step" "$live/stop-$1" "$live/asked-$1" "$live/attempts-$1"
}

# tidy: takes away what only an armed node has, also of a run that was killed while it was being armed, and the oldest snapshots.
tidy() {
    unstage
    rm -f "$units/fwdeploy-restore-files.service" "$units/fwdeploy-restore.service" \
        "$units/multi-user.target.wants/fwdeploy-restore-files.service" "$units/multi-user.target.wants/fwdeploy-restore.service"
    # Whoever has let systemd read its units while the node was armed has left it with two that are not there any more.
    case $(limited systemctl show -p LoadState fwdeploy-restore.service fwdeploy-restore-files.service 2>/dev/null </dev/null) in
    *LoadState=loaded*) limited systemctl daemon-reload >/dev/null 2>&1 </dev/null ;;
    esac
    # How the last run went may still be asked for.
    tidy_last=$(cat "$home/last" 2>/dev/null)
    for tidy_file in $(ls "$live" 2>/dev/null); do
        tidy_number=${tidy_file##*-}
        case $tidy_number in '' | *[!0-9]*) continue ;; esac
        [ "$tidy_number" -ge "${tidy_last:-0}" ] || rm -f "$live/$tidy_file"
    done
    for tidy_number in $(ls "$home/snapshots" 2>/dev/null | sort -rn | tail -n "+$((kept + 1))"); do
        case $tidy_number in *[!0-9]* | "$spared") ;; *) rm -rf "$home/snapshots/$tidy_number" ;; esac
    done
}

# go_back: starts the restore, which then goes its own way.
go_back() {
    { : >"$live/asked-$armed"; } 2>/dev/null
    go_unit=fwdeploy-restore-$armed.service
    # The timer was of the boot before.
    ! booted "$armed" || go_unit=fwdeploy-restore.service
    systemctl start --no-block "$go_unit" >/dev/null 2>&1 || start_restore
}
start_restore() {
    if command -v setsid >/dev/null; then
        setsid /bin/sh "$home/snapshots/$armed/restore.sh" now </dev/null >/dev/null 2>&1 9>&- &
    else
        /bin/sh "$home/snapshots/$armed/restore.sh" now </dev/null >/dev/null 2>&1 9>&- &
    fi
}
