# From the tables of now, a line `=`, and those of before: exit code 0 if now is what a flush leaves of before. The rules of
# DOCKER-USER and the jumps to it do not count.
$0 == "=" { second = 1; next }
/^\*/ { table = substr($0, 2); next }
{ sub(/^\[[0-9]+:[0-9]+\] /, "") }
!/^-A / || $2 == "DOCKER-USER" || / -[jg] DOCKER-USER$/ { next }
!second { have[table, $0]++; next }
{ total++; if (have[table, $0]-- > 0) common++ }
END { exit !(total > 2 * common) }
