# ---------------------------------------------------------------------------------------------------- the system bus
#
# A program that changes a node calls firewalld dozens of times, and once for each rule. A process of its own does that (python/calls.py), which
# reads the calls from one pipe and writes the answers into another: a call then takes 1 to 3 ms, and by busctl five times as long. Where it cannot
# be started, busctl calls.

bus=
bus_files=

# open_bus: starts it. Its ends of the pipes are 5 and 6 for the program. It keeps what the program has open, the lock among it: a call that the
# program has started may still change the node when the program has been killed.
open_bus() {
    local line=''
    [ -S "$bus_socket" ] && command -v mkfifo >/dev/null && find_python || return 0
    bus_files=$live/bus.$$
    { mkdir -p "$live" && rm -f "$bus_files.in" "$bus_files.out" && mkfifo "$bus_files.in" "$bus_files.out"; } 2>/dev/null || {
        rm -f "$bus_files.in" "$bus_files.out" 2>/dev/null
        return 0
    }
    # A pipe that is open for both does not wait for another end. But then nobody would notice that the other end is gone.
    exec 4<>"$bus_files.in"
    exec 5>"$bus_files.in"
    exec 3<"$bus_files.in"
    exec 4<>"$bus_files.out"
    exec 6<"$bus_files.out"
    exec 7>"$bus_files.out"
    exec 4>&-
    rm -f "$bus_files.in" "$bus_files.out"
    python_bus_calls "$python" "$bus_socket" "$firewalld" "$bus_files" <&3 >&7 2>/dev/null 3<&- 5>&- 6<&- 7>&- &
    bus=$!
    exec 3<&- 7>&-
    IFS= read -r line <&6 && [ "$line" = ready ] || close_bus
}

# close_bus: ends it, and with it its hold on the lock.
close_bus() {
    [ -n "$bus" ] || return 0
    exec 5>&- 6<&-
    wait "$bus" 2>/dev/null
    bus=
}

# call_over_bus TEXT: calls a method, whose words each end with a separator, and puts the answer into $answer. 2 means that nothing was called.
call_over_bus() {
    local id line='' part text="$1" failed=0
    # Nothing is written to a process that has ended: that would be a signal to stop. A line break would end the call early.
    [ -n "$bus" ] && [ -e "/proc/$bus/exe" ] && IFS= read -r id </proc/sys/kernel/random/uuid || return 2
    case $text in *"$newline"*) return 2 ;; esac
    if [ "${#text}" -lt 3000 ]; then
        text=$seconds$separator$text
    else
        # What is longer than a pipe takes at once could be cut in two by a signal.
        printf '%s' "$seconds$separator$text" 2>/dev/null >"$bus_files.values" || return 2
        text=@
    fi
    printf '%s%s%s\n' "$id" "$separator" "$text" >&5
    # A program in brackets that was ended in the middle may have left an answer, or the rest of one.
    while :; do
        if IFS= read -r part <&6; then
            line=$line$part
            case $line in "$id "*) break ;; esac
            line=
        else
            # A signal ends this early, after which it is tried again; it fails each time when the other end is gone.
            line=$line$part
            failed=$((failed + 1))
            [ "$failed" -lt 50 ] || {
                answer="the process that calls firewalld has ended, and whether it has called $(printf '%s' "$1" | tr "$separator" ' ' | cut -c 1-200) is not known"
                return 1
            }
        fi
    done
    line=${line#"$id "}
    answer=${line#??}
    case $line in ?@*) answer=$(cat "$bus_files.answer") ;; esac
    case $line in
    0*) return 0 ;;
    1*) return 1 ;;
    esac
    return 2
}
