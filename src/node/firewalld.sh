# ---------------------------------------------------------------------------------------------------- firewalld

# fw PATH INTERFACE METHOD [SIGNATURE VALUE…]. A firewalld that somebody has stopped is not started: that would flush
# the tables and Docker's rules with them.
fw() {
    answer=$(busctl --auto-start=no --timeout="$seconds" call -- "$firewalld" "$@" 2>&1 </dev/null) && return
    fw_code=$?
    # systemd 247 colours its errors whether or not anybody can see that.
    case $answer in *"$escape"*) answer=$(printf '%s\n' "$answer" | sed "s/$escape\[[0-9;]*m//g") ;; esac
    answer=${answer#Call failed: }
    return "$fw_code"
}

# property PATH INTERFACE NAME: one of firewalld's properties, in busctl's words.
property() { fw "$1" org.freedesktop.DBus.Properties Get ss "$2" "$3"; }

# firewalld_state: its own word for how it is; fails if it is not on the bus.
firewalld_state() { property "$runtime" "$firewalld" state; }
running='v s "RUNNING"'

# state_soon: the same of a firewalld that is just starting, or busy: it is on the bus within a few seconds, or not at all.
state_soon() {
    state_until=$(($(uptime_now) + 15))
    until firewalld_state; do
        state_answer=$answer
        case $(limited systemctl show -p ActiveState firewalld.service </dev/null 2>/dev/null) in
        *=active* | *=activating* | *=reloading* | *=refreshing* | *=deactivating*) ;;
        *) answer=$state_answer && return 1 ;;
        esac
        answer=$state_answer
        [ "$(uptime_now)" -lt "$state_until" ] || return 1
        pause
    done
}

# is_running: whether firewalld is on the bus and well.
is_running() { firewalld_state && [ "$answer" = "$running" ]; }

# fw_or CODE PATH …: as fw; that error means that it is so already.
fw_or() {
    already=$1
    shift
    fw "$@" && return
    fw_code=$?
    case $answer in
    "$already" | "$already:"*) answer= ;;
    *) because "firewalld would not ($3):" || return "$fw_code" ;;
    esac
}

add_rule() { fw_or ALREADY_ENABLED "$runtime" "$firewalld.direct" addRule sssias "$@"; }
remove_rule() { fw_or NOT_ENABLED "$runtime" "$firewalld.direct" removeRule sssias "$@"; }
add_rich() { fw_or ALREADY_ENABLED "$runtime" "$firewalld.zone" addRichRule ssi "$1" "$2" 0; }
remove_rich() { fw_or NOT_ENABLED "$runtime" "$firewalld.zone" removeRichRule ss "$1" "$2"; }

direct_settings() {
    fw "$permanent" "$firewalld.config.direct" getSettings || because "firewalld does not tell its permanent direct configuration:"
}
update_direct() { fw "$permanent" "$firewalld.config.direct" update '(a(sss)a(sssias)a(sas))' "$@"; }

# set_direct WRITE_BEFORE WRITE_AFTER BEFORE AFTER: two functions, and what firewalld then tells in busctl's words. Nothing is
# written where it is so already: a step that had begun is taken back whether or not it was done.
set_direct() {
    direct_settings || return
    [ "$answer" != "$4" ] || return 0
    if [ "$answer" != "$3" ]; then
        answer=
        because "firewalld's permanent direct configuration is not what it was when the plan was made: somebody else changes it; nothing was written"
        return
    fi
    untouched /etc/firewalld/direct.xml || return
    if "$2"; then
        wrote /etc/firewalld/direct.xml
        direct_settings || return
        [ "$answer" != "$4" ] || return 0
        because "firewalld holds another permanent direct configuration than was written:"
    else
        because "firewalld did not take the permanent direct configuration:"
    fi
    trouble=$answer
    direct_settings && [ "$answer" = "$3" ] || { "$1" && wrote /etc/firewalld/direct.xml; } || trouble="$trouble${newline}and did not take the old one back: $answer"
    answer=$trouble
    return 1
}

# sorted TEXT: busctl's list of strings, one a line. firewalld 2 keeps rich rules in no order.
sorted() {
    printf '%s\n' "$1" | sed 's/" "/"\
"/g; s/^as [0-9]* *//' | sort
}

rich_settings() {
    fw "$permanent" "$firewalld.config" getZoneByName s "$1" || because "firewalld has no permanent zone $1:" || return
    zone_path=${answer#o \"}
    zone_path=${zone_path%\"}
    fw "$zone_path" "$firewalld.config.zone" getRichRules || because "firewalld does not tell the permanent rich rules of $1:"
}
update_rich() { fw "$zone_path" "$firewalld.config.zone" setRichRules as "$@"; }

# set_rich ZONE WRITE_BEFORE WRITE_AFTER BEFORE AFTER: as set_direct.
set_rich() {
    rich_settings "$1" || return
    [ "$(sorted "$answer")" != "$(sorted "$5")" ] || return 0
    if [ "$(sorted "$answer")" != "$(sorted "$4")" ]; then
        answer=
        because "the permanent rich rules of zone $1 are not what they were when the plan was made: somebody else changes them; nothing was written"
        return
    fi
    rich_count=${5#as }
    rich_count=${rich_count%% *}
    untouched "/etc/firewalld/zones/$1.xml" || return
    if "$3"; then
        wrote "/etc/firewalld/zones/$1.xml"
        rich_settings "$1" || return
        # firewalld may spell a rule in its own way, hence the number only.
        case $answer in "as $rich_count" | "as $rich_count "*) return 0 ;; esac
        because "firewalld holds other permanent rich rules than were written:"
    else
        because "firewalld did not take the permanent rich rules of zone $1:"
    fi
    trouble=$answer
    rich_settings "$1" && [ "$(sorted "$answer")" = "$(sorted "$4")" ] || { "$2" && wrote "/etc/firewalld/zones/$1.xml"; } || trouble="$trouble${newline}and did not take the old ones back: $answer"
    answer=$trouble
    return 1
}

