# From tables: what iptables-restore has to be fed before firewalld may take (`method` addChain) or give back (removeChain) the
# chain: nothing jumps to it, and it is empty or gone.
/^\*/ { table = $0; next }
table != "*filter" { next }
{ sub(/^\[[0-9]+:[0-9]+\] /, "") }
/^:DOCKER-USER / { there = 1 }
/^-A .* -[jg] DOCKER-USER$/ { sub(/^-A/, "-D"); jumps = jumps $0 "\n" }
END {
    if (there) printf "*filter\n%s-F DOCKER-USER\n%sCOMMIT\n", jumps, (method == "addChain" ? "-X DOCKER-USER\n" : "")
    else if (method == "removeChain") print "*filter\n:DOCKER-USER - [0:0]\nCOMMIT"
}
