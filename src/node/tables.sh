# ---------------------------------------------------------------------------------------------------- the kernel's tables

# look: all tables of the kernel with their counters, in $now_PROGRAM. ebtables too, for firewalld's flush spares none.
look() {
    now_iptables=$(limited iptables-save -c 2>&1 </dev/null) || {
        answer=$now_iptables
        because "iptables-save does not tell what the kernel holds:"
        return
    }
    now_ip6tables=
    now_ebtables=
    # A node without IPv6 has no tables for it.
    ! command -v ip6tables-save >/dev/null || now_ip6tables=$(limited ip6tables-save -c 2>/dev/null </dev/null) || now_ip6tables=
    ! command -v ebtables-save >/dev/null || now_ebtables=$(limited ebtables-save 2>/dev/null </dev/null) || now_ebtables=
}

remember() {
    was_iptables=$now_iptables
    was_ip6tables=$now_ip6tables
    was_ebtables=$now_ebtables
}

# tables_of PROGRAM: what was remembered of it, in $was, and what was seen last, in $now.
tables_of() {
    case $1 in
    iptables) was=$was_iptables now=$now_iptables ;;
    ip6tables) was=$was_ip6tables now=$now_ip6tables ;;
    ebtables) was=$was_ebtables now=$now_ebtables ;;
    esac
}

# remember_as PROGRAM TABLES: it held these.
remember_as() {
    case $1 in
    iptables) was_iptables=$2 ;;
    ip6tables) was_ip6tables=$2 ;;
    ebtables) was_ebtables=$2 ;;
    esac
}

# lines TABLES: a line for each policy but ACCEPT, each chain of one's own and each rule, its table ahead of it, without
# counters, in the order of tables and chains. The kernel is as it was when these are.
lines() {
    printf '%s\n' "$1" | awk '
        /^\*/ { table = substr($0, 2); next }
        /^(#|COMMIT|$)/ { next }
        { sub(/^\[[0-9]+:[0-9]+\] /, "") }
        /^:/ { if ($2 == "ACCEPT") next; printf "%s %s %08d\t%s %s %s\n", table, substr($1, 2), 0, table, $1, $2; next }
        { printf "%s %s %08d\t%s %s\n", table, $2, NR, table, $0 }' | sort | cut -f2-
}

# lacking TABLES TABLES: the chains and rules of the first that are not in the second, with their table.
lacking() {
    printf '%s\n' "$2" '=' "$1" | awk '
        $0 == "=" { second = 1; next }
        /^\*/ { table = substr($0, 2); next }
        /^(#|COMMIT|$)/ { next }
        { sub(/^\[[0-9]+:[0-9]+\] /, "") }
        /^:/ { if ($2 == "ACCEPT" || $2 == "DROP") next; $0 = $1 }
        !second { have[table, $0]++; next }
        have[table, $0]-- > 0 { next }
        { print table, $0 }'
}

# is_flushed TABLES TABLES: whether the second is what a flush leaves of the first. Docker may have taken a rule away, or
# written one again, in the same moment; DOCKER-USER is away in any case.
is_flushed() {
    printf '%s\n' "$2" '=' "$1" | awk '
        $0 == "=" { second = 1; next }
        /^\*/ { table = substr($0, 2); next }
        { sub(/^\[[0-9]+:[0-9]+\] /, "") }
        !/^-A / || $2 == "DOCKER-USER" || / -[jg] DOCKER-USER$/ { next }
        !second { have[table, $0]++; next }
        { total++; if (have[table, $0]-- > 0) common++ }
        END { exit !(total > 2 * common) }'
}

# has_chain TABLES: whether DOCKER-USER is there.
has_chain() {
    case "$newline$1" in *"$newline:DOCKER-USER "*) return 0 ;; esac
    return 1
}

# with_chain TABLES: the same tables with an empty DOCKER-USER if there is none.
with_chain() {
    if has_chain "$1"; then
        printf '%s\n' "$1"
    else
        printf '%s\n' "$1" | awk '
            { print }
            $0 == "*filter" { print ":DOCKER-USER - [0:0]"; there = 1 }
            END { if (!there) print "*filter\n:DOCKER-USER - [0:0]\nCOMMIT" }'
    fi
}

