# ---------------------------------------------------------------------------------------------------- the kernel's tables

# read_kernel: all tables of the kernel with their counters, in $now_PROGRAM. ebtables too, because firewalld's flush includes it.
read_kernel() {
    now_iptables=$(limited iptables-save -c 2>&1 </dev/null) || {
        answer=$now_iptables
        fail_with "iptables-save does not report what the kernel holds:"
        return
    }
    now_ip6tables=
    now_ebtables=
    # A node without IPv6 has no tables for it.
    ! command -v ip6tables-save >/dev/null || now_ip6tables=$(limited ip6tables-save -c 2>/dev/null </dev/null) || now_ip6tables=
    ! command -v ebtables-save >/dev/null || now_ebtables=$(limited ebtables-save 2>/dev/null </dev/null) || now_ebtables=
}

remember_kernel() {
    was_iptables=$now_iptables
    was_ip6tables=$now_ip6tables
    was_ebtables=$now_ebtables
}

# select_tables PROGRAM: what was remembered of it, in $was, and what was read last, in $now.
select_tables() {
    case $1 in
    iptables) was=$was_iptables now=$now_iptables ;;
    ip6tables) was=$was_ip6tables now=$now_ip6tables ;;
    ebtables) was=$was_ebtables now=$now_ebtables ;;
    esac
}

# remember_tables PROGRAM TABLES: it held these.
remember_tables() {
    case $1 in
    iptables) was_iptables=$2 ;;
    ip6tables) was_ip6tables=$2 ;;
    ebtables) was_ebtables=$2 ;;
    esac
}

# comparable_rules TABLES: a line for each policy but ACCEPT, each user-defined chain and each rule, preceded by its table, without
# counters, in the order of tables and chains. The kernel is unchanged when these are.
comparable_rules() {
    printf '%s\n' "$1" | awk_table_lines | sort | cut -f2-
}

# missing_rules TABLES TABLES: the chains and rules of the first that are not in the second, with their table.
missing_rules() {
    printf '%s\n' "$2" '=' "$1" | awk_lacking_rules
}

# is_flushed TABLES TABLES: whether the second is what a flush leaves of the first. Docker may have removed a rule, or
# written one again, in the same moment; DOCKER-USER is missing in any case.
is_flushed() {
    printf '%s\n' "$2" '=' "$1" | awk_is_flushed
}

# has_chain TABLES: whether DOCKER-USER exists.
has_chain() {
    case "$newline$1" in *"$newline:DOCKER-USER "*) return 0 ;; esac
    return 1
}

# with_chain TABLES: the same tables with an empty DOCKER-USER if it is missing.
with_chain() {
    if has_chain "$1"; then
        printf '%s\n' "$1"
    else
        printf '%s\n' "$1" | awk_with_chain
    fi
}
