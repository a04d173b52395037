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
    ! is_placed || kernel_whole=yes
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
