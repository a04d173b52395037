# Restoring: what firewalld and the kernel hold, compared with what they held, and put back.

# same_rules: whether firewalld and the kernel hold what they held, in $answer what differs.
same_rules() {
    rules_now=$(runtime_text) || {
        answer="firewalld does not tell: $rules_now"
        return 1
    }
    rules_was=$(with_devices "$(cat "$snapshot/runtime")" "$rules_now")
    [ "$(alike "$rules_was")" = "$(alike "$rules_now")" ] || {
        answer="firewalld's runtime is not as it was: $(only_in "$(alike "$rules_was")" "$(alike "$rules_now")" | tr '\037' ' ' | head -n 3)"
        return 1
    }
    same_kernel
}

# is_placed: whether every container and every network is where it was. Then Docker's rules must be what they were too. It may not
# be asked of a snapshot of long ago: others have rules too.
is_placed() {
    [ "$mode" != chosen ] && [ "$(cat "$snapshot/docker")" = "$(placed)" ] && [ "$(cat "$snapshot/networks")" = "$(docker_networks)" ]
}

same_kernel() {
    look || return
    recall
    kernel_whole=
    if is_placed; then
        kernel_whole=yes
    else
        [ "$mode" = chosen ] || remark "Docker's own rules were not compared with those of before: not every container and every network is where it was"
    fi
    for kind in iptables ip6tables; do
        tables_of "$kind"
        if [ -n "$kernel_whole" ]; then
            [ "$(lines "$was")" = "$(lines "$now")" ] || {
                answer="$kind is not as it was: $(lacking "$was" "$now" | head -n 3); $(lacking "$now" "$was" | head -n 3)"
                return 1
            }
        else
            [ "$(chain_of "$was")" = "$(chain_of "$now")" ] || {
                answer="$kind: DOCKER-USER is not as it was"
                return 1
            }
            [ "$(places "$(uncounted "$was")")" != 1 ] || [ "$(places "$(uncounted "$now")")" = 1 ] || {
                answer="$kind: the jump to DOCKER-USER is not first, as it was"
                return 1
            }
        fi
    done
}

uncounted() { printf '%s\n' "$1" | sed 's/^\[[0-9]*:[0-9]*\] //'; }

# recall: the kernel's tables of before, from the snapshot.
recall() {
    was_iptables=$(cat "$snapshot/iptables")
    was_ip6tables=$(cat "$snapshot/ip6tables")
    was_ebtables=$(cat "$snapshot/ebtables")
}

# kernel_again: the kernel's tables as they were. As a whole where every container is where it was, else DOCKER-USER and the jump.
kernel_again() {
    look || return
    recall
    kernel_whole=
    ! is_placed || kernel_whole=yes
    for kind in iptables ip6tables ebtables; do
        tables_of "$kind"
        case $kind in
        iptables) family=ipv4 options="$lock -c" ;;
        ip6tables) family=ipv6 options="$lock -c" ;;
        *) family= options= ;;
        esac
        [ -n "$was" ] || continue
        [ -n "$family" ] || [ "$mode" != chosen ] || continue
        if [ -n "$kernel_whole" ] || [ -z "$family" ]; then
            # shellcheck disable=SC2086
            [ "$(lines "$was")" = "$(lines "$now")" ] || load "$kind" "$was" $options || return
            continue
        fi
        has_chain "$was" || continue
        was=$(uncounted "$was")
        [ "$(content "$was")" = "$(content "$(uncounted "$now")")" ] ||
            load "$kind" "*filter$newline:DOCKER-USER - [0:0]$newline$(content "$was")${newline}COMMIT" $lock --noflush || return
        [ "$(places "$was")" != 1 ] || place_jump "$family" 1 || return
    done
}

# same_after_boot: whether firewalld and the kernel hold nothing that they did not hold before the run. What was there at runtime only is
# gone with any boot, and is a remark.
same_after_boot() {
    boot_now=$(runtime_text) || {
        answer="firewalld does not tell: $boot_now"
        return 1
    }
    boot_was=$(atoms "$(with_devices "$(cat "$snapshot/runtime")" "$boot_now")")
    boot_now=$(atoms "$boot_now")
    boot_more=$(only_in "$boot_now" "$boot_was" | grep -v '^zone [^ ]* interfaces ')
    [ -z "$boot_more" ] || {
        answer="firewalld's runtime has what it had not: $(printf '%s\n' "$boot_more" | head -n 3)"
        return 1
    }
    boot_less=$(only_in "$boot_was" "$boot_now" | grep -v '^zone [^ ]* interfaces ')
    look || return
    recall
    for kind in iptables ip6tables; do
        tables_of "$kind"
        boot_more=$(only_in "$(content "$(uncounted "$now")")" "$(content "$(uncounted "$was")")" | grep -v '^-A DOCKER-USER -j RETURN$')
        [ -z "$boot_more" ] || {
            answer="$kind: DOCKER-USER has what it had not: $(printf '%s\n' "$boot_more" | head -n 3)"
            return 1
        }
        boot_less="$boot_less$newline$(only_in "$(content "$(uncounted "$was")")" "$(content "$(uncounted "$now")")" | grep -v '^-A DOCKER-USER -j RETURN$')"
        [ "$(places "$(uncounted "$was")")" != 1 ] || [ "$(places "$(uncounted "$now")")" = 1 ] ||
            boot_less="$boot_less$newline$kind: the jump to DOCKER-USER at the first place"
    done
    boot_less=$(printf '%s\n' "$boot_less" | grep .)
    [ -z "$boot_less" ] || remark "was there at runtime only, and is gone with the boot: $(printf '%s\n' "$boot_less" | head -n 5)"
    return 0
}

# atoms RUNTIME: a line for each value that firewalld holds, whatever list it is in.
atoms() {
    printf '%s\n' "$1" | awk '{
        n = split($0, token, "\037")
        if (token[1] != "zone" || token[4] !~ /^a/) { gsub("\037", " "); print; next }
        width = token[4] == "as" ? 1 : length(token[4]) - 3
        for (i = 6; i <= n; i += width) {
            line = token[1] " " token[2] " " token[3]
            for (j = i; j < i + width; j++) line = line " " token[j]
            print line
        }
    }'
}

# has_state: whether firewalld is as it was, in its own word.
has_state() {
    firewalld_state || answer=dead
    [ "$answer" = "$state_was" ]
}

# same_memory: whether firewalld holds what it held, if it was well.
same_memory() {
    [ "$state_was" = "$running" ] || return 0
    memory_now=$(runtime_text) && [ "$(alike "$(cat "$snapshot/runtime")")" = "$(alike "$memory_now")" ] || {
        answer="firewalld's runtime is not as it was"
        return 1
    }
}

# own_tables_again: the tables of firewalld's nftables backend.
own_tables_again() {
    [ -s "$snapshot/nft" ] && grep -q . "$snapshot/nft" || return 0
    again_text=$(
        sed -n 's/^table \([a-z0-9]* firewalld\) {$/add table \1;delete table \1/p' "$snapshot/nft" | tr ';' '\n'
        cat "$snapshot/nft"
    )
    answer=$(printf '%s\n' "$again_text" | limited nft -f - 2>&1) || because "firewalld's tables could not be put back:"
}
