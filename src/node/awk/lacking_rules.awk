# From the tables of now, a line `=`, and those of before: the chains and rules that are missing now, each behind its table.
$0 == "=" { second = 1; next }
/^\*/ { table = substr($0, 2); next }
/^(#|COMMIT|$)/ { next }
{ sub(/^\[[0-9]+:[0-9]+\] /, "") }
/^:/ { if ($2 == "ACCEPT" || $2 == "DROP") next; $0 = $1 }
!second { have[table, $0]++; next }
have[table, $0]-- > 0 { next }
{ print table, $0 }
