# Restoring: brings the node back to the snapshot that this program lies in. Started by the timer of an armed run, by a boot in
# the middle of one, by the operator's machine after a failure, or as a step of `fwdeploy rollback`.
#
# First in place, step by step, while firewalld is well: nothing leaks and nothing else is touched. If what is there afterwards is
# not what was, then as a whole: the files, and a reload with the latch on; firewalld is started if it is gone.
#
# Arguments: timer, now, boot, files (at boot, before firewalld); reloaded, docker and chosen (in the step of a rollback, which has
# the lock and is armed itself: its files, taking back what its run did to Docker, and the rest).

snapshot=${0%/*}
number=${snapshot##*/}
seconds=8   # Whoever waits for this waits for seconds, not minutes.
patience=6
attempts=5
trouble=
how=
recovery= # Whether the run was a recovery.

remarks=  # What is not as it was, and no fault of the way back.

note() {
    printf '%s\n' "$1"
    trouble="$trouble${trouble:+$newline}$1"
}

# remark LINES: each once.
remark() {
    remarks=$(printf '%s\n%s\n' "$remarks" "$1" | awk 'NF && !seen[$0]++')
}

is_armed() { [ "$(readlink "$home/armed" 2>/dev/null)" = "snapshots/$number" ]; }

# ---------------------------------------------------------------------------------------------------- the run at work

# take_over: the run's script is told to stop between two steps, and ended if it does not. Ends with the lock ours.
take_over() {
    mkdir -p "$live" 2>/dev/null
    { : >"$live/stop-$number"; } 2>/dev/null
    command -v flock >/dev/null && [ -d /etc/firewalld ] || return 0
    exec 8</etc/firewalld
    for round in 1 2 3; do
        for try in 1 2 3 4 5 6 7 8 9 10; do
            flock -n 8 && return
            is_armed || return
            pause
        done
        end_holders
    done
    return 1
}

# end_holders: ends whoever has the lock, and that is the run's script and what it has started. firewalld may read its own folder.
end_holders() {
    for holder in $(ls /proc); do
        case $holder in *[!0-9]*) continue ;; esac
        [ "$(readlink "/proc/$holder/fd/9" 2>/dev/null)" = /etc/firewalld ] || continue
        [ "$(cat "/proc/$holder/comm" 2>/dev/null)" = firewalld ] || kill -9 "$holder" 2>/dev/null
    done
}

# ---------------------------------------------------------------------------------------------------- the way back

# undo STEP COMMAND…: takes back a step of the run, if it had begun.
undo() {
    undo_step=$1
    shift
    case $reached in
    arm) return 0 ;;
    [0-9]*) [ "$undo_step" -le "$reached" ] || return 0 ;;
    esac
    "$@"
}

# in_place: every step that had begun is taken back. Each of these changes nothing where there is nothing to take back.
in_place() {
    is_running || {
        note "firewalld is not running: $answer"
        return 1
    }
    docker_up || {
        note "$answer"
        return 1
    }
    answer=
    # A run that never marked a step took none.
    reached=$(cat "$live/step" 2>/dev/null) || reached=arm
    take_back || {
        note "in place: $answer"
        return 1
    }
    unlatch && put_files || {
        note "in place: $answer"
        return 1
    }
    same_docker || { docker_back && same_docker; } || {
        note "in place: $answer"
        return 1
    }
    # Docker puts its own rules in another order when a network comes and goes.
    same_rules || { kernel_again && same_rules; } || {
        note "in place: $answer"
        return 1
    }
    how="in place"
}

# as_a_whole: the files, then a reload, or a start where firewalld is gone. Where that fails the latch stays closed.
as_a_whole() {
    whole && return
    # shellcheck disable=SC2086
    [ -z "$subnets" ] || latch $subnets
    return 1
}

whole() {
    [ -z "$subnets" ] || latch $subnets || note "$answer"
    put_files || note "$answer"
    recall
    mine=
    containers_were=$(containers)
    networks=$(cat "$snapshot/networks")
    devices=$(printf '%s\n' "$networks" | while read -r device rest; do printf '%s ' "$device"; done)
    docker_up || note "$answer"
    stamp=$(reloaded_at)
    if firewalld_state; then
        reload_now || note "$answer"
        how="by a reload of firewalld"
    fi
    if ! is_running; then
        stale=$(nft list tables 2>/dev/null | grep ' firewalld$')
        systemctl reset-failed firewalld.service >/dev/null 2>&1
        limited systemctl restart firewalld.service >/dev/null 2>&1 </dev/null || note "firewalld did not start"
        how="by a start of firewalld"
        # A Docker without firewalld tells no stamp; it is waited for all the same. Docker 28 before 29 may hang for good when one of its
        # networks is changed while it puts its rules back (moby#50619).
        stamp=
        for try in 1 2 3 4 5 6 7 8 9 10; do
            ! is_running || break
            pause
        done
        # One that was killed leaves its table, and the next may add every rule to it once more. A reload begins afresh.
        [ -z "$stale" ] || fw "$runtime" "$firewalld" reload || note "firewalld did not reload: $answer"
    fi
    hold_latch
    # shellcheck disable=SC2046
    await_docker $(printf '%s\n' "$networks" | while read -r device rest; do printf '%s ' "$rest"; done) || :
    mend || note "$answer"
    answer=
    docker_back || note "$answer"
    runtime_again "$(cat "$snapshot/runtime")" || note "$answer"
    kernel_again || note "$answer"
    [ -z "$subnets" ] || unlatch || note "$answer"
    is_running || {
        note "firewalld is not running: $answer"
        return 1
    }
    same_files && same_docker || {
        note "$answer"
        return 1
    }
    # Docker before 25 also puts rules back of networks that are gone, and does it late.
    same_rules || { sleep 1 && kernel_again && same_rules; } || {
        note "$answer"
        return 1
    }
}

# as_it_stood: from a recovery, which begins on a node that is not well. What firewalld's files and its memory were comes back; what
# the kernel held comes back where firewalld was in state FAILED, or dead, and held nothing of its own. What was flushed does not go
# again.
as_it_stood() {
    how="as it stood"
    state_was=$(cat "$snapshot/state")
    if [ "$mode" = boot ]; then
        how="by a boot"
        same_files
        return
    fi
    if same_files && has_state && same_memory && same_kernel; then
        [ -z "$subnets" ] || unlatch || note "$answer"
        return
    fi
    # shellcheck disable=SC2086
    [ -z "$subnets" ] || latch $subnets || note "$answer"
    stood_files=
    same_files || stood_files=other
    put_files || note "$answer"
    case $state_was in
    dead) limited systemctl stop firewalld.service </dev/null >/dev/null 2>&1 ;;
    "$running") reload_now || note "$answer" ;;
    # It fails as it did.
    *) [ -z "$stood_files" ] || reload_now || : ;;
    esac
    docker_up || note "$answer"
    if [ "$state_was" = "$running" ]; then
        runtime_again "$(cat "$snapshot/runtime")" || note "$answer"
    else
        kernel_again || note "$answer"
        own_tables_again || note "$answer"
    fi
    [ -z "$subnets" ] || unlatch || note "$answer"
    same_files || {
        note "$answer"
        return 1
    }
    { if [ "$state_was" = "$running" ]; then same_memory; else same_kernel; fi; } || {
        note "$answer"
        return 1
    }
}

# reloaded, and then chosen: to this snapshot, which may be of long ago, in a step of a rollback. What others have made since stays, but
# for what is in firewalld. What fails ends it; then the rollback itself is taken back.
#
# Docker up to 27 does not forget a network that is removed: at the next reload its rules are there again. So firewalld reloads
# while all networks are as they are.
reloaded() {
    docker_up && put_files || return
    # shellcheck disable=SC2046,SC2086
    reload $(docker_networks | while read -r device rest; do printf '%s\n' $rest; done | grep -v :)
}
chosen() {
    docker_back && runtime_again "$(cat "$snapshot/runtime")" && kernel_again || return
    same_files && same_docker && same_rules || return
    { printf '%s\n' "$remarks" | told_as remark >>"$home/armed/about"; } 2>/dev/null || :
}
taken_back() { docker_back && same_docker; }

# after_boot: the files were put back before firewalld read them; what is left is Docker's.
after_boot() {
    for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        ! is_running || break
        pause
    done
    if ! is_running || ! same_files; then
        note "firewalld did not come up with its files of before: $answer"
        return 1
    fi
    docker_up && docker_back && same_docker && same_after_boot || {
        note "after the boot: $answer"
        return 1
    }
    how="by a boot"
}

# ---------------------------------------------------------------------------------------------------- the whole

# ended OUTCOME: written where a full disk does not matter, and in the snapshot if there is room.
ended() {
    [ "$mode" != timer ] || [ ! -e "$live/asked-$number" ] || mode=now
    ended_text="outcome=$1${newline}ended=$(date -u +%Y-%m-%dT%H:%M:%SZ)${newline}why=$mode${newline}how=$how${edits_kept:+; what somebody edited meanwhile is in $edits_kept}"
    mkdir -p "$live" 2>/dev/null
    ended_text="$ended_text$newline$(printf '%s\n' "$remarks" | told_as remark)$newline$(printf '%s\n' "$trouble" | told_as trouble)"
    { printf '%s\n' "$ended_text" >"$live/outcome-$number"; } 2>/dev/null
    # A try that is followed by another is nothing to be kept.
    [ "$1" = trying ] || { printf '%s\n' "$ended_text" >>"$snapshot/about"; } 2>/dev/null
}

# told_as WORD: lines as they are written down: some of them, not endless, and nothing in them that moves a cursor.
told_as() { tr -d '\000-\010\013-\037' | cut -c 1-400 | awk -v word="$1" 'NF && n++ < 12 { print word "=" $0 }'; }

finish() {
    ended restored
    end_lease "$number"
    forget_boot
    exit 0
}

# forget_boot: systemd has read the units of a boot, and forgets what is not there any more.
forget_boot() { [ "$mode" != boot ] || systemctl daemon-reload >/dev/null 2>&1; }

main() {
    mode=${1:-now}
    trap '' HUP INT PIPE
    case $mode in
    reloaded | chosen | docker)
        # The run at work waits for minutes, and its caller too.
        seconds=60
        patience=30
        find_lock
        case $mode in docker) taken_back ;; *) "$mode" ;; esac && exit 0
        printf '%s\n' "$answer"
        exit 1
        ;;
    esac
    if ! is_armed; then
        # The plug was pulled when the lease had ended and not all was tidied up.
        case $mode in boot | files) leased || { tidy && forget_boot; } ;; esac
        exit 0
    fi
    if [ "$mode" = files ]; then
        put_files && exit 0
        printf '%s\n' "$answer"
        exit 1
    fi
    take_over || {
        is_armed || exit 0
        note "the run at work could not be ended"
    }
    # Somebody may have confirmed, or have gone back, while we waited.
    is_armed || exit 0
    tried=$(cat "$live/attempts-$number" 2>/dev/null)
    tried=$((${tried:-0} + 1))
    { printf '%s\n' "$tried" >"$live/attempts-$number"; } 2>/dev/null
    find_lock
    if [ -n "$recovery" ]; then
        as_it_stood
    elif [ "$mode" = boot ]; then
        after_boot || as_a_whole
    else
        in_place || as_a_whole
    fi && finish
    # systemd starts a program again that fails. What fails again and again is left to `--recover`.
    [ "$tried" -ge "$attempts" ] || { ended trying && exit 1; }
    ended failed
    exit 0
}
