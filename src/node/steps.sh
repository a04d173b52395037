# The steps of a plan, one after the other, until one fails.
#
# A step that fails leaves the node as it was before that step; a signal, or a caller who has gone away, is obeyed between
# two steps and never within one.
#
# The answer on stdout, a line each as it happens:
#
#   armed N                       the snapshot that the node goes back to by itself
#   arm failed CODE               followed by why, each line of it behind `| `; nothing was changed
#   aside N WHY                   in a recovery: entry N of the permanent direct configuration was set aside
#   step N begin
#   step N done
#   step N failed CODE            followed by why, as above; nothing more is done
#   end                           without this line the answer was cut off
#
# What stands before the first such line is somebody's login greeting. All is in functions that the last line starts, so
# that half a script does nothing.

armed= # The number of the snapshot, once the node is armed.

say() { printf '%s\n' "$1" 2>/dev/null || stopped=${stopped:-PIPE}; }

# mark WORD: how far the run is, for whoever looks at the node from outside.
mark() { [ -z "$armed" ] || { printf '%s\n' "$1" >"$live/step"; } 2>/dev/null || :; }

# step N COMMAND…: one step of the plan.
step() {
    number=$1
    shift
    if [ -n "$armed" ] && [ -e "$live/stop-$armed" ]; then
        answer="the time to confirm is over, and the node is going back to the state before"
        failed 143
    fi
    if [ -n "$stopped" ]; then
        answer="stopped by SIG$stopped ahead of this step"
        failed 143
    fi
    mark "$number"
    say "step $number begin"
    answer=
    "$@" || failed $?
    say "step $number done"
}

failed() {
    # Whoever could ask the node to go back may be gone.
    [ -z "$stopped" ] || [ -z "$armed" ] || go_back
    give_up "step $number failed $1"
}

# give_up LINE: the line, why, and the end.
give_up() {
    say "$1"
    say "$(printf '%s\n' "$answer" | sed 's/^/| /')"
    say end
    exit 1
}

# lock_or_lease: the lock, or in $answer who has it. A run that is just being armed has no lease yet.
lock_or_lease() {
    for lock_try in 1 2 3; do
        if lock_now; then
            { mkdir -p "$live" && printf '%s\nsince=%s\n' "${about:-}" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$live/holder"; } 2>/dev/null
            return 0
        fi
        ! lease || return 1
    done
    lock_holder=$(tell "$live/holder" operator)
    answer="${lock_holder:-another run of fwdeploy} is changing this node since $(tell "$live/holder" since)"
    return 1
}

main() {
    for signal in HUP INT PIPE TERM; do trap "stopped=$signal" "$signal"; done
    lock_or_lease || give_up "arm failed 75"
    find_lock
    prepare || give_up "arm failed $?"
    plan
    [ -z "$stopped" ] || [ -z "$armed" ] || go_back
    mark done
    say end
    exit 0
}
