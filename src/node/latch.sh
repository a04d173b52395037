# ---------------------------------------------------------------------------------------------------- the latch

# latch SUBNET…: drops new flows between the subnets and everybody else. A table of its own is out of the way of
# firewalld and Docker, neither of which flushes it.
latch() {
    if command -v nft >/dev/null; then
        latch_text=$(
            # Added, so that it can be deleted: one transaction, whether or not it was there.
            printf '%s\n' 'add table inet fwdeploy_latch' 'delete table inet fwdeploy_latch' 'table inet fwdeploy_latch {' 'chain latch_forward {' \
                'type filter hook forward priority -5' 'policy accept'
            for subnet in "$@"; do
                case $subnet in *:*) ip=ip6 ;; *) ip=ip ;; esac
                echo "$ip saddr $subnet $ip daddr != $subnet ct state new drop"
                echo "$ip daddr $subnet $ip saddr != $subnet ct state new drop"
            done
            printf '%s\n' '}' '}'
        )
        answer=$(printf '%s\n' "$latch_text" | limited nft -f - 2>&1) && return
    fi
    # CentOS 7 has no nft by default. The mangle table is nobody's either, but whoever flushes all tables flushes it too.
    latch_trouble=$answer
    for program in iptables ip6tables; do
        latch_text=
        for subnet in "$@"; do
            case $program$subnet in
            ip6tables*:* | iptables*.*)
                for way in "-s $subnet ! -d $subnet" "-d $subnet ! -s $subnet"; do
                    latch_text="$latch_text${newline}-I FORWARD 1 $way -m conntrack --ctstate NEW -m comment --comment fwdeploy:latch -j DROP"
                done
                ;;
            esac
        done
        [ -n "$latch_text" ] || continue
        load "$program" "*mangle$(latch_lines "$program" -D)$latch_text${newline}COMMIT" $lock --noflush || {
            latch_trouble="$latch_trouble${latch_trouble:+$newline}$answer"
            unlatch
            answer=$latch_trouble
            because "the latch does not close:"
            return
        }
    done
}

# latch_lines PROGRAM OPTION: the rules of a latch in the mangle table, to be deleted or added, each on a new line.
latch_lines() {
    limited "$1-save" -t mangle </dev/null 2>/dev/null |
        sed -n "/^-A FORWARD .*--comment \"*fwdeploy:latch\"* -j DROP\$/{s/^-A/$2/;p;}" |
        while IFS= read -r latch_line; do printf '\n%s' "$latch_line"; done
}

unlatch() {
    if command -v nft >/dev/null && nft list tables 2>/dev/null | grep -q '^table inet fwdeploy_latch$'; then
        ask nft delete table inet fwdeploy_latch || because "the latch does not open:" || return
    fi
    for program in iptables ip6tables; do
        command -v "$program-save" >/dev/null || continue
        latch_text=$(latch_lines "$program" -D)
        [ -z "$latch_text" ] ||
            load "$program" "*mangle$latch_text${newline}COMMIT" $lock --noflush || because "the latch does not open:" || return
    done
}

