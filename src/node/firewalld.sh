# ---------------------------------------------------------------------------------------------------- firewalld

# call_firewalld PATH INTERFACE METHOD [SIGNATURE VALUE…]: the answer in busctl's format. A firewalld that was stopped is not
# started: that would flush the tables and Docker's rules with them.
call_firewalld() {
    local text code ifs="$IFS"
    IFS=$separator
    text="$*$separator"
    IFS=$ifs
    call_over_bus "$text"
    code=$?
    [ "$code" = 2 ] || return "$code"
    call_by_busctl "$@"
}
call_by_busctl() {
    local code
    answer=$(busctl --auto-start=no --timeout="$seconds" call -- "$firewalld" "$@" 2>&1 </dev/null) && return
    code=$?
    # systemd 247 colours its errors even if they are not shown on a terminal.
    case $answer in *"$escape"*) answer=$(printf '%s\n' "$answer" | sed "s/${escape}\[[0-9;]*m//g") ;; esac
    answer=${answer#Call failed: }
    return "$code"
}

# call_firewalld_with VALUES PATH INTERFACE METHOD SIGNATURE: each value ends with a separator. As words of a command in a function they would
# be copied word by word, one call deeper each, and dash's stack ends at about 60,000; and a command line holds 2 MB, with eight bytes for each.
call_firewalld_with() {
    local values="$1" code ifs="$IFS"
    shift
    call_over_bus "$1$separator$2$separator$3$separator$4$separator$values"
    code=$?
    [ "$code" = 2 ] || return "$code"
    if [ "${#values}" -gt 250000 ]; then
        answer="a configuration of this length needs Python, which could not be started"
        return 1
    fi
    IFS=$separator
    # The values are meant to be split.
    set -- "$@" $values
    IFS=$ifs
    call_by_busctl "$@"
}

# firewalld_property PATH INTERFACE NAME: one of firewalld's properties, in busctl's format.
firewalld_property() { call_firewalld "$1" org.freedesktop.DBus.Properties Get ss "$2" "$3"; }

# firewalld_state: the state that it reports; fails if it is not on the bus.
firewalld_state() { firewalld_property "$runtime" "$firewalld" state; }
running='v s "RUNNING"'

# await_firewalld_state: the same for a firewalld that is starting, or busy: it is on the bus within a few seconds, or not at all.
await_firewalld_state() {
    local deadline state
    deadline=$(($(uptime_now) + 15))
    until firewalld_state; do
        state=$answer
        case $(limited systemctl show -p ActiveState firewalld.service </dev/null 2>/dev/null) in
        *=active* | *=activating* | *=reloading* | *=refreshing* | *=deactivating*) ;;
        *) answer=$state && return 1 ;;
        esac
        answer=$state
        [ "$(uptime_now)" -lt "$deadline" ] || return 1
        pause
    done
}

# is_firewalld_running: whether firewalld is on the bus and healthy.
is_firewalld_running() { firewalld_state && [ "$answer" = "$running" ]; }

# call_firewalld_unless ERROR PATH …: as call_firewalld; that error means that it is so already.
call_firewalld_unless() {
    local already="$1" code
    shift
    call_firewalld "$@" && return
    code=$?
    case $answer in
    "$already" | "$already:"*) answer= ;;
    *) fail_with "firewalld refused ($3):" || return "$code" ;;
    esac
}

add_rule() { call_firewalld_unless ALREADY_ENABLED "$runtime" "$firewalld.direct" addRule sssias "$@"; }
remove_rule() { call_firewalld_unless NOT_ENABLED "$runtime" "$firewalld.direct" removeRule sssias "$@"; }
add_rich() { call_firewalld_unless ALREADY_ENABLED "$runtime" "$firewalld.zone" addRichRule ssi "$1" "$2" 0; }
remove_rich() { call_firewalld_unless NOT_ENABLED "$runtime" "$firewalld.zone" removeRichRule ss "$1" "$2"; }

read_direct() {
    call_firewalld "$permanent" "$firewalld.config.direct" getSettings || fail_with "firewalld does not report its permanent direct configuration:" || return
    # busctl before systemd 221 prints no blank ahead of its second and third list.
    case $answer in
    *\"[0-9]* | *\ 0[0-9]*) answer=$(printf '%s\n' "$answer" | awk_with_blanks) ;;
    esac
}
# update_direct VALUES
update_direct() { call_firewalld_with "$1" "$permanent" "$firewalld.config.direct" update '(a(sss)a(sssias)a(sas))'; }

# set_direct VALUES_BEFORE VALUES_AFTER BEFORE AFTER: for `update_direct`, and what firewalld then reports in busctl's format. Nothing is
# written if it is already so: a step that had started is undone whether or not it was done.
set_direct() {
    local trouble
    read_direct || return
    [ "$answer" != "$4" ] || return 0
    if [ "$answer" != "$3" ]; then
        answer=
        fail_with "firewalld's permanent direct configuration has changed since the plan was made; nothing was written"
        return
    fi
    check_unedited /etc/firewalld/direct.xml || return
    if update_direct "$2"; then
        record_written /etc/firewalld/direct.xml
        read_direct || return
        [ "$answer" != "$4" ] || return 0
        fail_with "firewalld holds another permanent direct configuration than was written:"
    else
        fail_with "firewalld did not accept the permanent direct configuration:"
    fi
    trouble=$answer
    read_direct && [ "$answer" = "$3" ] || { update_direct "$1" && record_written /etc/firewalld/direct.xml; } || trouble="$trouble${newline}and did not take the old one back: $answer"
    answer=$trouble
    return 1
}

# set_lines ANSWER, value_lines VALUES: the kind, the options and the entries of a set, from an answer of busctl and from values, one a line and in
# order: firewalld keeps entries as they came. Nothing for nothing. The three texts for people ahead of them do not count.
set_lines() { busctl_tokens "$1" | tr "$separator" '\n' | tail -n +5 | sort; }
value_lines() { printf %s "$1" | tr "$separator" '\n' | tail -n +4 | sort; }

# read_set NAME: the permanent set, and where it is in $set_path; both are empty if there is none.
read_set() {
    set_path=
    if ! call_firewalld "$permanent" "$firewalld.config" getIPSetByName s "$1"; then
        case $answer in INVALID_IPSET*) answer= && return 0 ;; esac
        fail_with "firewalld does not say whether it has a permanent ipset $1:"
        return
    fi
    set_path=${answer#o \"}
    set_path=${set_path%\"}
    call_firewalld "$set_path" "$firewalld.config.ipset" getSettings || fail_with "firewalld does not report its permanent ipset $1:"
}
# write_set NAME VALUES: makes the permanent set at $set_path so; without values it goes, with the copy that firewalld leaves of it.
write_set() {
    if [ -n "$2" ] && [ -n "$set_path" ]; then
        call_firewalld_with "$2" "$set_path" "$firewalld.config.ipset" update '(ssssa{ss}as)'
    elif [ -n "$2" ]; then
        call_firewalld_with "$1$separator$2" "$permanent" "$firewalld.config" addIPSet 's(ssssa{ss}as)'
    elif [ -n "$set_path" ]; then
        call_firewalld "$set_path" "$firewalld.config.ipset" remove && rm -f "$etc/ipsets/$1.xml.old"
    fi
}

# save_set NAME VALUES_BEFORE VALUES_AFTER: as set_direct. No values are no set. The same values before and after: firewalld writes the set's file
# once more, which somebody has edited or removed.
save_set() {
    local current trouble file="$etc/ipsets/$1.xml"
    read_set "$1" || return
    current=$(set_lines "$answer")
    [ "$2" = "$3" ] || [ "$current" != "$(value_lines "$3")" ] || return 0
    if [ "$current" != "$(value_lines "$2")" ]; then
        answer=
        fail_with "the permanent ipset $1 has changed since the plan was made; nothing was written"
        return
    fi
    check_unedited "$file" || return
    if write_set "$1" "$3"; then
        record_written "$file"
        read_set "$1" || return
        [ "$(set_lines "$answer")" != "$(value_lines "$3")" ] || return 0
        fail_with "firewalld holds another permanent ipset $1 than was written:"
    else
        fail_with "firewalld did not accept the permanent ipset $1:"
    fi
    trouble=$answer
    read_set "$1" && { [ "$(set_lines "$answer")" = "$(value_lines "$2")" ] || { write_set "$1" "$2" && record_written "$file"; }; } || trouble="$trouble${newline}and did not take the old one back: $answer"
    answer=$trouble
    return 1
}

# change_set NAME REMOVED ADDED: entries of a set at runtime, one by one: no other entry is missing for a moment.
change_set() {
    local trouble
    change_entries "$@" && return
    trouble=$answer
    change_entries "$1" "$3" "$2" || :
    answer=$trouble
    return 1
}
change_entries() {
    local name="$1" entry ifs="$IFS"
    IFS=$separator
    for entry in $2; do
        IFS=$ifs
        call_firewalld_unless NOT_ENABLED "$runtime" "$firewalld.ipset" removeEntry ss "$name" "$entry" || return
        IFS=$separator
    done
    for entry in $3; do
        IFS=$ifs
        call_firewalld_unless ALREADY_ENABLED "$runtime" "$firewalld.ipset" addEntry ss "$name" "$entry" || return
        IFS=$separator
    done
    IFS=$ifs
}

# set_entries NAME VALUES, fill_set NAME VALUES_BEFORE VALUES_AFTER: all entries of a set at runtime at once. firewalld empties the set first.
set_entries() { call_firewalld_with "$1$separator$2" "$runtime" "$firewalld.ipset" setEntries sas; }
fill_set() {
    local trouble
    set_entries "$1" "$3" && return
    fail_with "firewalld did not take the entries of ipset $1:" || trouble=$answer
    set_entries "$1" "$2" || :
    answer=$trouble
    return 1
}

# settle_ipset NAME LINES LINES, settle_nft_set FAMILY NAME REMOVED ADDED: makes the kernel hold what firewalld believes it to hold. What is so
# already is no error: nft deletes only what is there, so that is added first.
settle_ipset() {
    answer=$(printf '%s\n%s\n' "$2" "$3" | limited ipset -exist restore 2>&1) || fail_with "the kernel's ipset $1 could not be written:"
}
settle_nft_set() {
    local text='' set="$1 firewalld $2"
    [ -z "$3" ] || text="add element $set { $3 }${newline}delete element $set { $3 }$newline"
    [ -z "$4" ] || text="${text}add element $set { $4 }$newline"
    answer=$(printf %s "$text" | limited nft -f - 2>&1) || fail_with "set $2 of firewalld's nft table could not be written:"
}

# sorted_strings TEXT: busctl's list of strings, one a line. firewalld 2 keeps rich rules in no order.
sorted_strings() {
    printf '%s\n' "$1" | sed 's/" "/"\
"/g; s/^as [0-9]* *//' | sort
}

# read_rich ZONE: its permanent rich rules, and where it is in $zone_path.
read_rich() {
    call_firewalld "$permanent" "$firewalld.config" getZoneByName s "$1" || fail_with "firewalld has no permanent zone $1:" || return
    zone_path=${answer#o \"}
    zone_path=${zone_path%\"}
    call_firewalld "$zone_path" "$firewalld.config.zone" getRichRules || fail_with "firewalld does not report the permanent rich rules of $1:"
}
# update_rich VALUES
update_rich() { call_firewalld_with "$1" "$zone_path" "$firewalld.config.zone" setRichRules as; }

# set_rich ZONE VALUES_BEFORE VALUES_AFTER BEFORE AFTER: as set_direct.
set_rich() {
    local count trouble
    read_rich "$1" || return
    [ "$(sorted_strings "$answer")" != "$(sorted_strings "$5")" ] || return 0
    if [ "$(sorted_strings "$answer")" != "$(sorted_strings "$4")" ]; then
        answer=
        fail_with "the permanent rich rules of zone $1 have changed since the plan was made; nothing was written"
        return
    fi
    count=${5#as }
    count=${count%% *}
    check_unedited "/etc/firewalld/zones/$1.xml" || return
    if update_rich "$3"; then
        record_written "/etc/firewalld/zones/$1.xml"
        read_rich "$1" || return
        # firewalld may spell a rule differently, so only the number is compared.
        case $answer in "as $count" | "as $count "*) return 0 ;; esac
        fail_with "firewalld holds other permanent rich rules than were written:"
    else
        fail_with "firewalld did not accept the permanent rich rules of zone $1:"
    fi
    trouble=$answer
    read_rich "$1" && [ "$(sorted_strings "$answer")" = "$(sorted_strings "$4")" ] || { update_rich "$2" && record_written "/etc/firewalld/zones/$1.xml"; } || trouble="$trouble${newline}and did not take the old ones back: $answer"
    answer=$trouble
    return 1
}
