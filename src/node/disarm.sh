# Disarming: the operator has verified the desired state over a new connection. From here on the run stays.
#
# The answer is `disarmed N`, or `gone N` and how the node was rolled back, in lines of `key=value`, or `still N` if it was not yet;
# and `end`, without which the answer was cut off.

disarm() {
    local deadline
    # A running restore is waited for; one that starts later finds no lease. It kills the holder of the lock with signal 9.
    if command -v flock >/dev/null && [ -d /etc/firewalld ]; then
        exec 7</etc/firewalld
        deadline=$(($(uptime_now) + 60))
        until flock -n 7 || [ "$(uptime_now)" -ge "$deadline" ]; do pause; done
    fi
    if [ "$(leased_snapshot)" != "$1" ]; then
        print_outcome "$1"
        return
    fi
    # It is too late if firewalld has read its previous files in a boot, or if a restore has started and is between two attempts.
    if has_booted_since "$1" || [ -e "$live/attempts-$1" ]; then
        exec 7<&-
        restore_and_wait "$1"
        return
    fi
    snapshot=$home/snapshots/$1
    { printf 'outcome=confirmed\nended=%s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >>"$snapshot/about"; } 2>/dev/null
    end_lease "$1" || {
        exec 7<&-
        restore_and_wait "$1"
        return
    }
    printf 'disarmed %s\nend\n' "$1"
}

# print_outcome N: how the node was rolled back.
print_outcome() {
    echo "gone $1"
    if [ -s "$live/outcome-$1" ]; then
        cat "$live/outcome-$1"
    else
        grep -e '^outcome=' -e '^ended=' -e '^why=' -e '^how=' "$home/snapshots/$1/about" 2>/dev/null
    fi
    echo end
}

# restore_and_wait N: starts the restore immediately, and waits for its end.
restore_and_wait() {
    local deadline
    armed=$1
    trap '' HUP PIPE
    if [ "$(leased_snapshot)" = "$1" ]; then
        start_restore
        deadline=$(($(uptime_now) + 60))
        while [ "$(leased_snapshot)" = "$1" ] && [ "$(uptime_now)" -lt "$deadline" ]; do
            [ "$(read_key "$live/outcome-$1" outcome)" != failed ] || break
            pause
        done
    fi
    if [ "$(leased_snapshot)" = "$1" ]; then
        echo "still $1"
        cat "$live/outcome-$1" 2>/dev/null
        echo end
    else
        print_outcome "$1"
    fi
}
