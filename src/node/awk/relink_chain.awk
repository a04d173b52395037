# From tables with counters: the input for iptables-restore that restores the rules of DOCKER-USER and the jumps to it.
/^\*/ { table = $0; next }
table != "*filter" || /^(#|COMMIT|$)/ { next }
{ line = $0; sub(/^\[[0-9]+:[0-9]+\] /, "") }
/^-A/ { place[$2]++ }
/^-A DOCKER-USER( |$)/ { content = content line "\n"; next }
/ -[jg] DOCKER-USER$/ { at = "-I " $2 " " place[$2]; sub(/^-A [^ ]+/, at); jumps = jumps $0 "\n" }
END { printf "*filter\n:DOCKER-USER - [0:0]\n%s%sCOMMIT\n", content, jumps }
