# From tables: the input for iptables-restore before firewalld may take over (`method` addChain) or release (removeChain) the
# chain: nothing jumps to it, and it is empty or missing.
/^\*/ { table = $0; next }
table != "*filter" { next }
{ sub(/^\[[0-9]+:[0-9]+\] /, "") }
/^:DOCKER-USER / { there = 1 }
/^-A .* -[jg] DOCKER-USER$/ { sub(/^-A/, "-D"); jumps = jumps $0 "\n" }
END {
    if (there) printf "*filter\n%s-F DOCKER-USER\n%sCOMMIT\n", jumps, (method == "addChain" ? "-X DOCKER-USER\n" : "")
    else if (method == "removeChain") print "*filter\n:DOCKER-USER - [0:0]\nCOMMIT"
}
