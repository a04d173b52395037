# Recovering: a node on which no run can begin is made fit for one, with the latch on.

recovering=yes

# start_firewalld SUBNET…: a firewalld that has died. All else is as in a reload; it flushes the tables too.
start_firewalld() {
    bring_about=start_daemon
    reload "$@"
}
start_daemon() {
    systemctl reset-failed firewalld.service >/dev/null 2>&1
    ask systemctl start firewalld.service || because "firewalld did not start:" || return
    state_soon || because "firewalld was started and does not answer:" || return
    # It is on the bus before it has loaded everything.
    start_until=$(($(uptime_now) + patience))
    while [ "$answer" = 'v s "INIT"' ] && [ "$(uptime_now)" -lt "$start_until" ]; do
        pause
        firewalld_state || :
    done
    ! is_doubled || reload_now
}

# is_doubled: whether firewalld's rules are in the kernel twice. One that was killed leaves its table of nft, and the next one adds all
# rules to it (0.9.3 and 1.3.3; 2.3 begins with an empty one): the forwards of before go first, and what is removed later stays
# open, being there once more. A reload begins afresh. Where nothing tells, it may be so.
is_doubled() {
    property "$permanent" "$firewalld.config" FirewallBackend && [ "$answer" = 'v s "nftables"' ] || return 1
    command -v nft >/dev/null || return 0
    limited nft list chain inet firewalld filter_INPUT </dev/null 2>/dev/null | sort | uniq -d | grep -q '[a-z]'
}

# unfail SUBNET…: firewalld is in state FAILED. Its cause may be gone; if not, each entry of direct.xml is tried, and those that
# cannot be loaded are set aside. `entries` tries them all.
unfail() {
    reload "$@" && return
    unfail_trouble=$answer
    kept=
    set_aside=
    passed=
    entries
    if [ -z "$set_aside" ]; then
        answer="$unfail_trouble$newline$(words_of_firewalld)${newline}every permanent direct rule can be loaded, so that the cause is something else"
        return 1
    fi
    # What firewalld tells and what is in the file may differ where somebody has edited it.
    answer=
    [ "$(grep -oE '<(chain|rule|passthrough)[ />]' /etc/firewalld/direct.xml | grep -c .)" = "$entries_count" ] ||
        because "/etc/firewalld/direct.xml has other entries than firewalld tells, so that it was not written; firewalld said: $unfail_trouble" || return
    untouched /etc/firewalld/direct.xml || return
    try write_direct || because "/etc/firewalld/direct.xml could not be written:" || return
    wrote /etc/firewalld/direct.xml
    printf '%s' "$set_aside" | while IFS= read -r aside_line; do say "aside $aside_line"; done
    reload "$@" || because "firewalld does not reload either when what cannot be loaded is set aside:"
}

# What firewalld has written down last.
words_of_firewalld() {
    limited journalctl -q -u firewalld.service -p warning -n 3 -o cat --no-pager 2>/dev/null </dev/null
}

write_direct() {
    cp -p /etc/firewalld/direct.xml /etc/firewalld/.direct.part &&
        printf '%s%s\n%s\n' "$xml_head" "$kept" "$xml_tail" >/etc/firewalld/.direct.part &&
        printf '%s%s\n%s\n' "$xml_head" "$kept" "$xml_tail" | cmp -s - /etc/firewalld/.direct.part &&
        mv -f /etc/firewalld/.direct.part /etc/firewalld/direct.xml && return
    rm -f /etc/firewalld/.direct.part
    return 1
}

# entry NUMBER IPV TABLE LINE XML: LINE is for iptables-restore.
entry() {
    if loads "$2" "$3" "$4"; then
        kept="$kept$newline$5"
        # What makes a chain is needed by those that come behind it.
        case $4 in :* | -N* | --new-chain*) passed="$passed$2 $3 $4$newline" ;; esac
    else
        set_aside="$set_aside$1 $(printf '%s\n' "$answer" | sed '/^Try .*help/d; /^Error occurred at line/d; /^$/d' | head -n 2 | tr '\n' ' ')$newline"
    fi
}

# loads IPV TABLE LINE: whether the line can be loaded where firewalld would load it: among its own chains and nobody else's, for
# it flushes all others first.
loads() {
    case $1 in ipv4) loads_program=iptables ;; ipv6) loads_program=ip6tables ;; *) loads_program=ebtables ;; esac
    command -v "$loads_program-restore" >/dev/null || return 0
    loads_base="*$2$newline$(chains_left "$1" "$2")$newline"
    loads_text="$loads_base$3${newline}COMMIT"
    # On the node, for its sets and modules. This does not tell whether there is such a chain to jump to.
    # shellcheck disable=SC2086
    [ "$loads_program" = ebtables ] || load "$loads_program" "$loads_text" $lock --noflush --test || return
    case $3 in *-set\ *) return 0 ;; esac
    # For real, where there is no network. If not even nothing can be loaded there, that says nothing.
    alone "$loads_text" && return
    loads_trouble=$answer
    alone "$loads_base${newline}COMMIT" || return 0
    answer=$loads_trouble
    return 1
}
alone() { answer=$(printf '%s\n' "$1" | limited unshare -n "$loads_program-restore" --noflush 2>&1); }

# chains_left IPV TABLE: each chain of one's own that the failed reload has left, or that can be declared, and what has passed.
chains_left() {
    case $loads_program in
    iptables) chains_tables=$left_iptables ;;
    ip6tables) chains_tables=$left_ip6tables ;;
    *) chains_tables=$left_ebtables ;;
    esac
    case $1 in eb) chains_policy=RETURN ;; *) chains_policy="- [0:0]" ;; esac
    {
        printf '%s\n' "$chains_tables" | awk -v table="*$2" -v policy="$chains_policy" '/^\*/ { here = $0 == table; next } here && /^:/ && $2 == "-" { print $1 " " policy }'
        printf '%s' "$passed" | awk -v ipv="$1" -v table="$2" '$1 == ipv && $2 == table { sub(/^[^ ]+ [^ ]+ /, ""); print }'
    } | awk '/^:/ && seen[$1]++ { next } { print }'
}

# again N: an unfinished run's way back, tried once more. What it said before does not count.
again() {
    rm -f "$live/outcome-$1"
    # The next failure is the last.
    { echo 4 >"$live/attempts-$1"; } 2>/dev/null
    systemctl reset-failed "fwdeploy-restore-$1.service" fwdeploy-restore.service >/dev/null 2>&1
    back "$1"
}

# release N: lets go of an unfinished run that cannot be taken back. What it has left open or closed is for the next run.
release() {
    leased && [ "$leased" = "$1" ] || return 0
    ! alive "$1" || { answer="the node is going back to the state before that run" && return 1; }
    { printf 'outcome=failed\nended=%s\nwhy=released\nhow=the snapshot is damaged\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >>"$home/snapshots/$1/about"; } 2>/dev/null
    end_lease "$1"
}
