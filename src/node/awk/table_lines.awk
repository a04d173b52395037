# From tables: a line for each policy but ACCEPT, each user-defined chain and each rule, preceded by its table, without counters,
# after a key that sorts by table and chain and keeps the order of rules.
/^\*/ { table = substr($0, 2); next }
/^(#|COMMIT|$)/ { next }
{ sub(/^\[[0-9]+:[0-9]+\] /, "") }
/^:/ { if ($2 == "ACCEPT") next; printf "%s %s %08d\t%s %s %s\n", table, substr($1, 2), 0, table, $1, $2; next }
{ printf "%s %s %08d\t%s %s\n", table, $2, NR, table, $0 }
