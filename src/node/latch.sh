# ---------------------------------------------------------------------------------------------------- the latch

# latch SUBNET…: drops new flows between the subnets and all other hosts. A table of its own is not affected by
# firewalld and Docker, neither of which flushes it.
latch() {
    local text trouble subnet program way
    if command -v nft >/dev/null; then
        text=$(latch_table "$@")
        answer=$(printf '%s\n' "$text" | limited nft -f - 2>&1) && return
    fi
    # CentOS 7 has no nft by default. The mangle table has no owner either, but a program that flushes all tables flushes it too.
    trouble=$answer
    for program in iptables ip6tables; do
        text=
        for subnet in "$@"; do
            case $program$subnet in
            ip6tables*:* | iptables*.*)
                for way in "-s $subnet ! -d $subnet" "-d $subnet ! -s $subnet"; do
                    text="$text${newline}-I FORWARD 1 $way -m conntrack --ctstate NEW -m comment --comment fwdeploy:latch -j DROP"
                done
                ;;
            esac
        done
        [ -n "$text" ] || continue
        restore_tables "$program" "*mangle$(latch_rules "$program" -D)$text${newline}COMMIT" $wait_flag --noflush || {
            trouble="$trouble${trouble:+$newline}$answer"
            unlatch
            answer=$trouble
            fail_with "new flows could not be blocked:"
            return
        }
    done
}

# latch_table SUBNET…: the latch in nft's format. Added first, so that it can be deleted: one transaction, whether or not it existed.
latch_table() {
    local subnet ip
    printf '%s\n' 'add table inet fwdeploy_latch' 'delete table inet fwdeploy_latch' 'table inet fwdeploy_latch {' 'chain latch_forward {' \
        'type filter hook forward priority -5' 'policy accept'
    for subnet in "$@"; do
        case $subnet in *:*) ip=ip6 ;; *) ip=ip ;; esac
        echo "$ip saddr $subnet $ip daddr != $subnet ct state new drop"
        echo "$ip daddr $subnet $ip saddr != $subnet ct state new drop"
    done
    printf '%s\n' '}' '}'
}

# latch_rules PROGRAM OPTION: the rules of a latch in the mangle table, to be deleted or added, each on a new line.
latch_rules() {
    local line
    limited "$1-save" -t mangle </dev/null 2>/dev/null |
        sed -n "/^-A FORWARD .*--comment \"*fwdeploy:latch\"* -j DROP\$/{s/^-A/$2/;p;}" |
        while IFS= read -r line; do printf '\n%s' "$line"; done
}

# unlatch: removes the latch, of either kind.
unlatch() {
    local program text
    if has_nft_table inet fwdeploy_latch; then
        capture_limited nft delete table inet fwdeploy_latch || fail_with "new flows could not be unblocked:" || return
    fi
    for program in iptables ip6tables; do
        command -v "$program-save" >/dev/null || continue
        text=$(latch_rules "$program" -D)
        [ -z "$text" ] ||
            restore_tables "$program" "*mangle$text${newline}COMMIT" $wait_flag --noflush || fail_with "new flows could not be unblocked:" || return
    done
}
