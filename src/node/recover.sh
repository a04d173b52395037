# Recovering: a node on which no run can start is repaired, under the latch.

recovering=yes

# start_firewalld SUBNET…: a firewalld that has died. Otherwise as in a reload; it flushes the tables too.
start_firewalld() {
    reload_command=start_firewalld_unit
    reload "$@"
}
# start_firewalld_unit: in place of a reload.
start_firewalld_unit() {
    local deadline
    systemctl reset-failed firewalld.service >/dev/null 2>&1
    capture_limited systemctl start firewalld.service || fail_with "firewalld did not start:" || return
    await_firewalld_state || fail_with "firewalld was started and does not answer:" || return
    # It is on the bus before it has loaded everything.
    deadline=$(($(uptime_now) + patience))
    while [ "$answer" = 'v s "INIT"' ] && [ "$(uptime_now)" -lt "$deadline" ]; do
        pause
        firewalld_state || :
    done
    ! has_doubled_rules || reload_firewalld
}

# has_doubled_rules: whether firewalld's rules are in the kernel twice. One that was killed leaves its nft table, and the next one adds
# all rules to it (0.9.3 and 1.3.3; 2.3 starts with an empty one): the older forwards take precedence, and what is removed later stays
# open, because it is there once more. A reload starts with an empty table. If it cannot be determined, it is assumed.
has_doubled_rules() {
    firewalld_property "$permanent" "$firewalld.config" FirewallBackend && [ "$answer" = 'v s "nftables"' ] || return 1
    command -v nft >/dev/null || return 0
    limited nft list chain inet firewalld filter_INPUT </dev/null 2>/dev/null | sort | uniq -d | grep -q '[a-z]'
}

# unfail SUBNET…: firewalld is in state FAILED. Its cause may be gone; if not, each entry of direct.xml is tried, and those that
# cannot be loaded are set aside. `try_entries` tries them all.
unfail() {
    local trouble line
    reload "$@" && return
    trouble=$answer
    entries_kept=
    set_aside=
    passed=
    try_entries
    if [ -z "$set_aside" ]; then
        answer="$trouble$newline$(firewalld_log)${newline}every permanent direct rule can be loaded, so the cause is something else"
        return 1
    fi
    # What firewalld reports and the content of the file may differ if the file was edited.
    answer=
    [ "$(grep -oE '<(chain|rule|passthrough)[ />]' /etc/firewalld/direct.xml | grep -c .)" = "$entries_count" ] ||
        fail_with "/etc/firewalld/direct.xml has other entries than firewalld reports, so it was not written; firewalld said: $trouble" || return
    check_unedited /etc/firewalld/direct.xml || return
    capture write_direct || fail_with "/etc/firewalld/direct.xml could not be written:" || return
    record_written /etc/firewalld/direct.xml
    printf '%s' "$set_aside" | while IFS= read -r line; do say "aside $line"; done
    reload "$@" || fail_with "firewalld does not reload even with the entries set aside that cannot be loaded:"
}

# firewalld_log: the last lines of firewalld's log.
firewalld_log() {
    limited journalctl -q -u firewalld.service -p warning -n 3 -o cat --no-pager 2>/dev/null </dev/null
}

# write_direct: direct.xml with the entries that were kept.
write_direct() {
    cp -p /etc/firewalld/direct.xml /etc/firewalld/.direct.part &&
        printf '%s%s\n%s\n' "$xml_head" "$entries_kept" "$xml_tail" >/etc/firewalld/.direct.part &&
        printf '%s%s\n%s\n' "$xml_head" "$entries_kept" "$xml_tail" | cmp -s - /etc/firewalld/.direct.part &&
        mv -f /etc/firewalld/.direct.part /etc/firewalld/direct.xml && return
    rm -f /etc/firewalld/.direct.part
    return 1
}

# try_entry NUMBER IPV TABLE LINE XML: LINE is for iptables-restore.
try_entry() {
    if can_load "$2" "$3" "$4"; then
        entries_kept="$entries_kept$newline$5"
        # An entry that creates a chain is needed by those that follow it.
        case $4 in :* | -N* | --new-chain*) passed="$passed$2 $3 $4$newline" ;; esac
    else
        set_aside="$set_aside$1 $(printf '%s\n' "$answer" | sed '/^Try .*help/d; /^Error occurred at line/d; /^$/d' | head -n 2 | tr '\n' ' ')$newline"
    fi
}

# can_load IPV TABLE LINE: whether the line can be loaded where firewalld would load it: among its own chains and no others, because
# it flushes all others first.
can_load() {
    local program head text trouble
    case $1 in ipv4) program=iptables ;; ipv6) program=ip6tables ;; *) program=ebtables ;; esac
    command -v "$program-restore" >/dev/null || return 0
    head="*$2$newline$(chains_left "$program" "$1" "$2")$newline"
    text="$head$3${newline}COMMIT"
    # On the node, for its sets and modules. This does not show whether the chain of a jump exists.
    [ "$program" = ebtables ] || restore_tables "$program" "$text" $wait_flag --noflush --test || return
    case $3 in *-set\ *) return 0 ;; esac
    # For real, where there is no network. If not even an empty input can be loaded there, this shows nothing.
    load_in_namespace "$program" "$text" && return
    trouble=$answer
    load_in_namespace "$program" "$head${newline}COMMIT" || return 0
    answer=$trouble
    return 1
}

# load_in_namespace PROGRAM TEXT: whether it can be loaded in an empty network namespace.
load_in_namespace() { answer=$(printf '%s\n' "$2" | limited unshare -n "$1-restore" --noflush 2>&1); }

# chains_left PROGRAM IPV TABLE: each user-defined chain that the failed reload has left, or that can be declared, and what has passed.
chains_left() {
    local tables policy
    case $1 in
    iptables) tables=$left_iptables ;;
    ip6tables) tables=$left_ip6tables ;;
    *) tables=$left_ebtables ;;
    esac
    case $2 in eb) policy=RETURN ;; *) policy="- [0:0]" ;; esac
    {
        printf '%s\n' "$tables" | awk -v table="*$3" -v policy="$policy" '/^\*/ { here = $0 == table; next } here && /^:/ && $2 == "-" { print $1 " " policy }'
        printf '%s' "$passed" | awk -v ipv="$2" -v table="$3" '$1 == ipv && $2 == table { sub(/^[^ ]+ [^ ]+ /, ""); print }'
    } | awk '/^:/ && seen[$1]++ { next } { print }'
}

# retry_restore N: tries the rollback of an unfinished run once more. Its earlier messages do not count.
retry_restore() {
    rm -f "$live/outcome-$1"
    # The next failure is the last.
    { echo 4 >"$live/attempts-$1"; } 2>/dev/null
    systemctl reset-failed "fwdeploy-restore-$1.service" fwdeploy-restore.service >/dev/null 2>&1
    restore_and_wait "$1"
}

# release_lease N: abandons an unfinished run that cannot be rolled back. What it has left open or closed is handled by the next run.
release_lease() {
    [ "$(leased_snapshot)" = "$1" ] || return 0
    ! is_lease_live "$1" || { answer="the node is rolling back to the state before that run" && return 1; }
    { printf 'outcome=failed\nended=%s\nwhy=released\nhow=the snapshot is damaged\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >>"$home/snapshots/$1/about"; } 2>/dev/null
    end_lease "$1"
}
