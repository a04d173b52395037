# Restoring: restores the node to the snapshot that contains this program. Started by the timer of an armed run, by a boot in
# the middle of one, by the operator's machine after a failure, or as a step of `fwdeploy rollback`.
#
# First in place, step by step, while firewalld is healthy: nothing leaks and nothing else is changed. If the result differs
# from the state before, then as a whole: the files, and a reload under the latch; firewalld is started if it is not running.
#
# Arguments: timer, now, boot, files (at boot, before firewalld); reloaded, docker and chosen (in the step of a rollback, which has
# the lock and is armed itself: its files, undoing what its run did to Docker, and the rest). `repeat` follows where systemd does not start
# it again after a failure.

snapshot=${0%/*}
number=${snapshot##*/}
seconds=8 # Whoever waits for this waits for seconds, not minutes.
patience=6
attempts=5
repeat_after=3 # Seconds, as RestartSec.
troubles=
how=
recovery=
remarks=

# note_trouble TEXT: what went wrong, for the journal and for the outcome.
note_trouble() {
    printf '%s\n' "$1"
    troubles="$troubles${troubles:+$newline}$1"
}

# remark LINES: each once.
remark() {
    remarks=$(printf '%s\n%s\n' "$remarks" "$1" | awk 'NF && !seen[$0]++')
}

is_armed() { [ "$(readlink "$home/armed" 2>/dev/null)" = "snapshots/$number" ]; }

# ---------------------------------------------------------------------------------------------------- the current run

# take_over_lock: the run's script is stopped between two steps, and killed if it does not stop. Afterwards the lock is ours.
take_over_lock() {
    local round attempt
    mkdir -p "$live" 2>/dev/null
    { : >"$live/stop-$number"; } 2>/dev/null
    command -v flock >/dev/null && [ -d /etc/firewalld ] || return 0
    exec 8</etc/firewalld
    for round in 1 2 3; do
        for attempt in 1 2 3 4 5 6 7 8 9 10; do
            flock -n 8 && return
            is_armed || return
            pause
        done
        kill_lock_holders
    done
    return 1
}

# kill_lock_holders: kills the holders of the lock: the run's script and what it has started. firewalld may read its own directory.
kill_lock_holders() {
    local holder
    # shellcheck disable=SC2045 # Numbers are looked for; globs are off.
    for holder in $(ls /proc); do
        case $holder in *[!0-9]*) continue ;; esac
        [ "$(readlink "/proc/$holder/fd/9" 2>/dev/null)" = /etc/firewalld ] || continue
        [ "$(cat "/proc/$holder/comm" 2>/dev/null)" = firewalld ] || kill -9 "$holder" 2>/dev/null
    done
}

# ---------------------------------------------------------------------------------------------------- the rollback

# undo STEP COMMAND…: undoes a step of the run, if it had started.
undo() {
    local undone="$1"
    shift
    case $reached in
    arm) return 0 ;;
    [0-9]*) [ "$undone" -le "$reached" ] || return 0 ;;
    esac
    "$@"
}

# restore_in_place: undoes every step that had started. Each of these changes nothing if there is nothing to undo.
restore_in_place() {
    is_firewalld_running || {
        note_trouble "firewalld is not running: $answer"
        return 1
    }
    await_docker_up || {
        note_trouble "$answer"
        return 1
    }
    answer=
    # A run that never marked a step executed none.
    reached=$(cat "$live/step" 2>/dev/null) || reached=arm
    take_back || {
        note_trouble "in place: $answer"
        return 1
    }
    unlatch && put_files || {
        note_trouble "in place: $answer"
        return 1
    }
    same_docker || { docker_back && same_docker; } || {
        note_trouble "in place: $answer"
        return 1
    }
    # Docker puts its own rules in another order when a network is created and removed.
    same_rules || { restore_kernel && same_rules; } || {
        note_trouble "in place: $answer"
        return 1
    }
    same_guard || { restore_guard && same_guard; } || {
        note_trouble "in place: $answer"
        return 1
    }
    how="in place"
}

# restore_whole: the files, then a reload, or a start if firewalld is not running. If that fails the latch stays in place.
restore_whole() {
    restore_everything && return
    [ -z "$subnets" ] || latch $subnets
    return 1
}

restore_everything() {
    local stale attempt device rest
    [ -z "$subnets" ] || latch $subnets || note_trouble "$answer"
    put_files || note_trouble "$answer"
    recall_kernel
    chain_program=
    containers_were=$(container_state)
    networks=$(cat "$snapshot/networks")
    devices=$(printf '%s\n' "$networks" | while read -r device rest; do printf '%s ' "$device"; done)
    await_docker_up || note_trouble "$answer"
    stamp=$(docker_reload_stamp)
    if firewalld_state; then
        reload_firewalld || note_trouble "$answer"
        how="by a reload of firewalld"
    fi
    if ! is_firewalld_running; then
        stale=$(list_nft_tables 2>/dev/null | grep ' firewalld$')
        systemctl reset-failed firewalld.service >/dev/null 2>&1
        limited systemctl restart firewalld.service >/dev/null 2>&1 </dev/null || note_trouble "firewalld did not start"
        how="by a start of firewalld"
        # A Docker without firewalld reports no stamp; it is waited for as well. Docker 28 before 29 may hang permanently when one of its
        # networks is changed while it restores its rules (moby#50619).
        stamp=
        for attempt in 1 2 3 4 5 6 7 8 9 10; do
            ! is_firewalld_running || break
            pause
        done
        # One that was killed leaves its table, and the next may add every rule to it once more. A reload starts with an empty one.
        [ -z "$stale" ] || call_firewalld "$runtime" "$firewalld" reload || note_trouble "firewalld did not reload: $answer"
    fi
    # Without nft it is in table mangle, which the reload or the start has flushed.
    [ -z "$subnets" ] || latch $subnets || note_trouble "$answer"
    # shellcheck disable=SC2046 # Subnets are words.
    await_docker_rules $(printf '%s\n' "$networks" | while read -r device rest; do printf '%s ' "$rest"; done) || :
    restore_docker_rules || note_trouble "$answer"
    answer=
    docker_back || note_trouble "$answer"
    restore_runtime "$(cat "$snapshot/runtime")" || note_trouble "$answer"
    restore_kernel || note_trouble "$answer"
    # Until here the guard of the run is in force, and nothing passes that neither state allows.
    restore_guard || note_trouble "$answer"
    [ -z "$subnets" ] || unlatch || note_trouble "$answer"
    is_firewalld_running || {
        note_trouble "firewalld is not running: $answer"
        return 1
    }
    same_files && same_docker && same_guard || {
        note_trouble "$answer"
        return 1
    }
    # Docker before 25 also restores rules of networks that no longer exist, and does it late.
    same_rules || { sleep 1 && restore_kernel && same_rules; } || {
        note_trouble "$answer"
        return 1
    }
}

# restore_recovery: from a recovery, which starts on a faulty node. The content of firewalld's files and its memory is restored; the
# kernel's rules are restored if firewalld was in state FAILED, or dead, and held none of its own. What was flushed is not removed
# again.
restore_recovery() {
    local state_was files_differ=''
    how="as it stood"
    state_was=$(cat "$snapshot/state")
    if [ "$mode" = boot ]; then
        how="by a boot"
        same_files
        return
    fi
    if same_files && has_state "$state_was" && { [ "$state_was" != "$running" ] || same_runtime; } && same_kernel; then
        [ -z "$subnets" ] || unlatch || note_trouble "$answer"
        return
    fi
    [ -z "$subnets" ] || latch $subnets || note_trouble "$answer"
    same_files || files_differ=yes
    put_files || note_trouble "$answer"
    case $state_was in
    dead) limited systemctl stop firewalld.service </dev/null >/dev/null 2>&1 ;;
    "$running") reload_firewalld || note_trouble "$answer" ;;
    # It fails as it did before.
    *) [ -z "$files_differ" ] || reload_firewalld || : ;;
    esac
    await_docker_up || note_trouble "$answer"
    if [ "$state_was" = "$running" ]; then
        restore_runtime "$(cat "$snapshot/runtime")" || note_trouble "$answer"
    else
        restore_kernel || note_trouble "$answer"
        restore_firewalld_tables || note_trouble "$answer"
    fi
    restore_guard || note_trouble "$answer"
    [ -z "$subnets" ] || unlatch || note_trouble "$answer"
    same_files && same_guard || {
        note_trouble "$answer"
        return 1
    }
    { if [ "$state_was" = "$running" ]; then same_runtime; else same_kernel; fi; } || {
        note_trouble "$answer"
        return 1
    }
}

# rollback_files, and then rollback_rest: to this snapshot, which may be old, in a step of a rollback. What others have created since
# stays, except in firewalld. A failure ends it; then the rollback itself is rolled back.
#
# Docker up to 27 does not forget a network that is removed: at the next reload its rules return. So firewalld reloads
# while all networks are as they are.
rollback_files() {
    local device rest
    await_docker_up && put_files || return
    # shellcheck disable=SC2046 # Subnets are words.
    reload $(bridge_networks | while read -r device rest; do printf '%s\n' $rest; done | grep -v :)
}
rollback_rest() {
    docker_back && restore_runtime "$(cat "$snapshot/runtime")" && restore_kernel && restore_guard || return
    same_files && same_docker && same_rules && same_guard || return
    { printf '%s\n' "$remarks" | as_key remark >>"$home/armed/about"; } 2>/dev/null || :
}
# rollback_docker: undoes what the run of this snapshot did to Docker.
rollback_docker() { docker_back && same_docker; }

# after_boot: the files were restored before firewalld read them; what is left is Docker's.
after_boot() {
    local attempt
    for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        ! is_firewalld_running || break
        pause
    done
    if ! is_firewalld_running || ! same_files; then
        note_trouble "firewalld did not start with its previous files: $answer"
        return 1
    fi
    await_docker_up && docker_back && same_docker && same_after_boot && { same_guard || { restore_guard && same_guard; }; } || {
        note_trouble "after the boot: $answer"
        return 1
    }
    how="by a boot"
}

# ---------------------------------------------------------------------------------------------------- the whole program

# record_outcome OUTCOME: written where a full disk does not matter, and in the snapshot if there is space.
record_outcome() {
    local text left late
    [ "$mode" != timer ] || [ ! -e "$live/asked-$number" ] || mode=now
    # Counted since the boot, so that a clock that is set meanwhile does not matter; unknown after a boot.
    left=$(seconds_left "$number") && [ -n "$left" ] && late=$((-left)) || late=
    text="outcome=$1${newline}ended=$(date -u +%Y-%m-%dT%H:%M:%SZ)${newline}late=$late${newline}why=$mode${newline}how=$how${edits_kept:+; what somebody edited meanwhile is in $edits_kept}"
    mkdir -p "$live" 2>/dev/null
    text="$text$newline$(printf '%s\n' "$remarks" | as_key remark)$newline$(printf '%s\n' "$troubles" | as_key trouble)"
    { printf '%s\n' "$text" >"$live/outcome-$number"; } 2>/dev/null
    # An attempt that is followed by another is not recorded.
    [ "$1" = trying ] || { printf '%s\n' "$text" >>"$snapshot/about"; } 2>/dev/null
}

# as_key KEY: lines as they are recorded: a limited number, and without characters that move a cursor.
as_key() { tr -d '\000-\010\013-\037' | cut -c 1-400 | awk -v key="$1" 'NF && n++ < 12 { print key "=" $0 }'; }

# finish: the node is restored.
finish() {
    record_outcome restored
    end_lease "$number"
    forget_boot
    exit 0
}

# forget_boot: systemd has read the units of a boot, and forgets those that no longer exist.
forget_boot() { [ "$mode" != boot ] || systemctl daemon-reload >/dev/null 2>&1; }

main() {
    local tried
    mode=${1:-now}
    trap '' HUP INT PIPE
    case $mode in
    reloaded | chosen | docker)
        # The current run waits for minutes, and so does its caller.
        seconds=60
        patience=30
        find_wait_flag
        [ "$mode" = docker ] || open_bus
        case $mode in
        reloaded) rollback_files ;;
        chosen) rollback_rest ;;
        docker) rollback_docker ;;
        esac && exit 0
        printf '%s\n' "$answer"
        exit 1
        ;;
    esac
    if ! is_armed; then
        # The plug was pulled, or this program was killed, after the lease had ended and before everything was cleaned up. While a node is being
        # armed it has no lease yet, but its lock is held; at boot nobody has it.
        case $mode in
        boot | files) leased_snapshot >/dev/null || { clean_up && forget_boot; } ;;
        timer) leased_snapshot >/dev/null || ! take_lock || leased_snapshot >/dev/null || clean_up_after "$number" ;;
        esac
        exit 0
    fi
    if [ "$mode" = files ]; then
        # The guard has been loaded already, with what the run had written.
        put_files && restore_guard && exit 0
        printf '%s\n' "$answer"
        exit 1
    fi
    take_over_lock || {
        is_armed || exit 0
        note_trouble "the run in progress could not be ended"
    }
    # The run may have been confirmed, or rolled back, while we waited.
    is_armed || exit 0
    tried=$(cat "$live/attempts-$number" 2>/dev/null)
    tried=$((${tried:-0} + 1))
    { printf '%s\n' "$tried" >"$live/attempts-$number"; } 2>/dev/null
    find_wait_flag
    open_bus
    if [ -n "$recovery" ]; then
        restore_recovery
    elif [ "$mode" = boot ]; then
        after_boot || restore_whole
    else
        restore_in_place || restore_whole
    fi && finish
    # systemd restarts a program that fails. What fails repeatedly is left to `--recover`.
    if [ "$tried" -lt "$attempts" ]; then
        record_outcome trying
        [ "${2:-}" = repeat ] || exit 1
        close_bus
        sleep "$repeat_after"
        exec /bin/sh "$0" "$@"
    fi
    record_outcome failed
    exit 0
}
