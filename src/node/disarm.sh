# Disarming: the operator has come back by a new connection, and all is as wanted. From here on the run stays.
#
# The answer is `disarmed N`, or `gone N` and how the node went back, in lines of `key=value`, or `still N` if it did not yet;
# and `end`, without which the answer was cut off.

disarm() {
    # A restore at work is waited for; one that comes later finds the lease gone. It ends whoever holds the lock by 9.
    if command -v flock >/dev/null && [ -d /etc/firewalld ]; then
        exec 7</etc/firewalld
        disarm_until=$(($(uptime_now) + 60))
        until flock -n 7 || [ "$(uptime_now)" -ge "$disarm_until" ]; do pause; done
    fi
    if ! leased || [ "$leased" != "$1" ]; then
        outcome "$1"
        return
    fi
    # It is too late when firewalld has read its files of before in a boot, and when a restore has begun and is between two tries.
    if booted "$1" || [ -e "$live/attempts-$1" ]; then
        exec 7<&-
        back "$1"
        return
    fi
    snapshot=$home/snapshots/$1
    { printf 'outcome=confirmed\nended=%s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >>"$snapshot/about"; } 2>/dev/null
    end_lease "$1" || {
        exec 7<&-
        back "$1"
        return
    }
    printf 'disarmed %s\nend\n' "$1"
}

# outcome N: how the node went back.
outcome() {
    echo "gone $1"
    if [ -s "$live/outcome-$1" ]; then
        cat "$live/outcome-$1"
    else
        grep -e '^outcome=' -e '^ended=' -e '^why=' -e '^how=' "$home/snapshots/$1/about" 2>/dev/null
    fi
    echo end
}

# back N: asks for the restore at once, and waits for its end.
back() {
    armed=$1
    trap '' HUP PIPE
    if leased && [ "$leased" = "$1" ]; then
        go_back
        back_until=$(($(uptime_now) + 60))
        while leased && [ "$leased" = "$1" ] && [ "$(uptime_now)" -lt "$back_until" ]; do
            [ "$(tell "$live/outcome-$1" outcome)" != failed ] || break
            pause
        done
    fi
    if leased && [ "$leased" = "$1" ]; then
        echo "still $1"
        cat "$live/outcome-$1" 2>/dev/null
        echo end
    else
        outcome "$1"
    fi
}
