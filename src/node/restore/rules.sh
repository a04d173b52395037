# Restoring: the rules of firewalld and the kernel, compared with those of before, and restored.

# same_rules: whether firewalld and the kernel hold the same as before; the differences are in $answer.
same_rules() {
    local current before
    current=$(runtime_text) || {
        answer="firewalld does not answer: $current"
        return 1
    }
    before=$(with_devices "$(cat "$snapshot/runtime")" "$current")
    [ "$(normalise "$before")" = "$(normalise "$current")" ] || {
        answer="firewalld's runtime is not as it was: $(lines_only_in "$(normalise "$before")" "$(normalise "$current")" | tr '\037' ' ' | head -n 3)"
        return 1
    }
    same_kernel
}

# is_layout_unchanged: whether every container and every network is where it was. Then Docker's rules must be as before too. This does not
# apply to an old snapshot: others have rules too.
is_layout_unchanged() {
    [ "$mode" != chosen ] && [ "$(cat "$snapshot/docker")" = "$(container_layout)" ] && [ "$(cat "$snapshot/networks")" = "$(bridge_networks)" ]
}

# read_both_kernels: the kernel's tables now and before, and in $kernel_whole whether they are to be compared as a whole.
read_both_kernels() {
    read_kernel || return
    recall_kernel
    kernel_whole=
    ! is_layout_unchanged || kernel_whole=yes
}

# same_kernel: whether the kernel holds the same as before; the differences are in $answer.
same_kernel() {
    local kind
    read_both_kernels || return
    if [ -z "$kernel_whole" ]; then
        [ "$mode" = chosen ] || remark "Docker's own rules were not compared with the previous ones: not every container and every network is where it was"
    fi
    for kind in iptables ip6tables; do
        select_tables "$kind"
        if [ -n "$kernel_whole" ]; then
            [ "$(comparable_rules "$was")" = "$(comparable_rules "$now")" ] || {
                answer="$kind is not as it was: $(missing_rules "$was" "$now" | head -n 3); $(missing_rules "$now" "$was" | head -n 3)"
                return 1
            }
        else
            [ "$(chain_and_jumps "$was")" = "$(chain_and_jumps "$now")" ] || {
                answer="$kind: DOCKER-USER is not as it was"
                return 1
            }
            [ "$(jump_places "$(without_counters "$was")")" != 1 ] || [ "$(jump_places "$(without_counters "$now")")" = 1 ] || {
                answer="$kind: the jump to DOCKER-USER is not first, as it was"
                return 1
            }
        fi
    done
}

# without_counters TABLES
without_counters() { printf '%s\n' "$1" | sed 's/^\[[0-9]*:[0-9]*\] //'; }

# recall_kernel: the kernel's previous tables, from the snapshot.
recall_kernel() {
    was_iptables=$(cat "$snapshot/iptables")
    was_ip6tables=$(cat "$snapshot/ip6tables")
    was_ebtables=$(cat "$snapshot/ebtables")
}

# restore_kernel: restores the kernel's tables. As a whole if every container is where it was, otherwise DOCKER-USER and the jump.
restore_kernel() {
    local kind family options
    read_both_kernels || return
    for kind in iptables ip6tables ebtables; do
        select_tables "$kind"
        case $kind in
        iptables) family=ipv4 options="$wait_flag -c" ;;
        ip6tables) family=ipv6 options="$wait_flag -c" ;;
        *) family='' options= ;;
        esac
        [ -n "$was" ] || continue
        [ -n "$family" ] || [ "$mode" != chosen ] || continue
        if [ -n "$kernel_whole" ] || [ -z "$family" ]; then
            [ "$(comparable_rules "$was")" = "$(comparable_rules "$now")" ] || restore_tables "$kind" "$was" $options || return
            continue
        fi
        has_chain "$was" || continue
        was=$(without_counters "$was")
        [ "$(chain_rules "$was")" = "$(chain_rules "$(without_counters "$now")")" ] ||
            restore_tables "$kind" "*filter$newline:DOCKER-USER - [0:0]$newline$(chain_rules "$was")${newline}COMMIT" $wait_flag --noflush || return
        [ "$(jump_places "$was")" != 1 ] || place_jump "$family" 1 || return
    done
}

# same_after_boot: whether firewalld and the kernel hold nothing that they did not hold before the run. What was there only at runtime is
# lost with any boot, and is a remark.
same_after_boot() {
    local before current more less kind
    current=$(runtime_text) || {
        answer="firewalld does not answer: $current"
        return 1
    }
    before=$(runtime_values "$(with_devices "$(cat "$snapshot/runtime")" "$current")")
    current=$(runtime_values "$current")
    more=$(lines_only_in "$current" "$before" | grep -v '^zone [^ ]* interfaces ')
    [ -z "$more" ] || {
        answer="firewalld's runtime has entries that it did not have: $(printf '%s\n' "$more" | head -n 3)"
        return 1
    }
    less=$(lines_only_in "$before" "$current" | grep -v '^zone [^ ]* interfaces ')
    read_kernel || return
    recall_kernel
    for kind in iptables ip6tables; do
        select_tables "$kind"
        more=$(lines_only_in "$(chain_rules "$(without_counters "$now")")" "$(chain_rules "$(without_counters "$was")")" | grep -v '^-A DOCKER-USER -j RETURN$')
        [ -z "$more" ] || {
            answer="$kind: DOCKER-USER has entries that it did not have: $(printf '%s\n' "$more" | head -n 3)"
            return 1
        }
        less="$less$newline$(lines_only_in "$(chain_rules "$(without_counters "$was")")" "$(chain_rules "$(without_counters "$now")")" | grep -v '^-A DOCKER-USER -j RETURN$')"
        [ "$(jump_places "$(without_counters "$was")")" != 1 ] || [ "$(jump_places "$(without_counters "$now")")" = 1 ] ||
            less="$less$newline$kind: the jump to DOCKER-USER at the first place"
    done
    less=$(printf '%s\n' "$less" | grep .)
    [ -z "$less" ] || remark "was there at runtime only, and is gone with the boot: $(printf '%s\n' "$less" | head -n 5)"
    return 0
}

# runtime_values RUNTIME: a line for each value that firewalld holds, whatever list it is in.
runtime_values() {
    printf '%s\n' "$1" | awk_runtime_values
}

# has_state STATE: whether firewalld reports that state.
has_state() {
    firewalld_state || answer=dead
    [ "$answer" = "$1" ]
}

# same_runtime: whether firewalld's memory holds the same as before.
same_runtime() {
    local current
    current=$(runtime_text) && [ "$(normalise "$(cat "$snapshot/runtime")")" = "$(normalise "$current")" ] || {
        answer="firewalld's runtime is not as it was"
        return 1
    }
}

# restore_firewalld_tables: the tables of firewalld's nftables backend.
restore_firewalld_tables() {
    local text
    [ -s "$snapshot/nft" ] && grep -q . "$snapshot/nft" || return 0
    text=$(
        sed -n 's/^table \([a-z0-9]* firewalld\) {$/add table \1;delete table \1/p' "$snapshot/nft" | tr ';' '\n'
        cat "$snapshot/nft"
    )
    answer=$(printf '%s\n' "$text" | limited nft -f - 2>&1) || fail_with "firewalld's tables could not be restored:"
}
