# Executes the steps of a plan, one after the other, until one fails.
#
# A step that fails leaves the node as it was before that step; a signal, or a lost caller, takes effect between
# two steps and never within one.
#
# The answer on stdout, a line each as it happens:
#
#   armed N                       the snapshot that the node rolls back to by itself
#   arm failed CODE               followed by the reason, each line of it after `| `; nothing was changed
#   aside N WHY                   in a recovery: entry N of the permanent direct configuration was set aside
#   step N begin
#   step N done
#   step N failed CODE            followed by the reason, as above; nothing more is done
#   end                           without this line the answer was cut off
#
# Text before the first such line is a login greeting. Everything is in functions that the last line starts, so
# half a script does nothing.

armed=

say() { printf '%s\n' "$1" 2>/dev/null || stopped=${stopped:-PIPE}; }

# mark_step WORD: the progress of the run, for programs that read the node from outside.
mark_step() { [ -z "$armed" ] || { printf '%s\n' "$1" >"$live/step"; } 2>/dev/null || :; }

# step N COMMAND…: one step of the plan.
step() {
    step_number=$1
    shift
    if [ -n "$armed" ] && [ -e "$live/stop-$armed" ]; then
        answer="the time to confirm is over, and the node is rolling back"
        fail_step 143
    fi
    if [ -n "$stopped" ]; then
        answer="stopped by SIG$stopped before this step"
        fail_step 143
    fi
    mark_step "$step_number"
    say "step $step_number begin"
    answer=
    "$@" || fail_step $?
    say "step $step_number done"
}

# fail_step CODE: the step has failed, for the reason in $answer.
fail_step() {
    # The caller that could request the rollback may be gone.
    [ -z "$stopped" ] || [ -z "$armed" ] || start_restore
    give_up "step $step_number failed $1"
}

# give_up LINE: the line, why, and the end.
give_up() {
    say "$1"
    say "$(printf '%s\n' "$answer" | sed 's/^/| /')"
    # Whoever reads the end may start the next program at once, which needs the lock.
    close_bus
    say end
    exit 1
}

# lock_node: takes the lock; if another run has it, $answer says which. A run that is just being armed has no lease yet.
lock_node() {
    local attempt leased holder
    for attempt in 1 2 3; do
        if take_lock; then
            { mkdir -p "$live" && printf '%s\nsince=%s\n' "${about:-}" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$live/holder"; } 2>/dev/null
            return 0
        fi
        ! leased=$(leased_snapshot) || { describe_lease "$leased" && return 1; }
    done
    holder=$(read_key "$live/holder" operator)
    answer="${holder:-another run of fwdeploy} has been changing this node since $(read_key "$live/holder" since)"
    return 1
}

main() {
    local signal
    # shellcheck disable=SC2064 # The name of the signal is meant to be in the trap.
    for signal in HUP INT PIPE TERM; do trap "stopped=$signal" "$signal"; done
    lock_node || give_up "arm failed 75"
    find_wait_flag
    open_bus
    prepare || give_up "arm failed $?"
    plan
    [ -z "$stopped" ] || [ -z "$armed" ] || start_restore
    mark_step "done"
    close_bus
    say end
    exit 0
}
