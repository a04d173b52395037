# From a listing of nft of a table of firewalld: a line for each forward, for each path from chain to chain before it, for each
# chain with a hook that holds a rule twice, and for each such chain that is empty.
function over() { if (hook != "" && !rules) print "bare " chain; chain = hook = "" }
/^\tchain / { chain = $2; hook = ""; rules = 0; next }
/^\t}/ { over(); next }
chain == "" { next }
/^\t\ttype .* hook / { hook = $4; next }
/^\t\tpolicy / { next }
{ rules++; sub(/^\t+/, "") }
hook != "" && ++seen[chain, $0] == 2 && !twice[chain]++ { print "twice " chain }
/ dnat (ip6? )?to / { print "forward " chain " " $0 }
hook == "prerouting" || chain ~ /^nat_PRE/ {
    for (i = 1; i < NF; i++) if (($i == "jump" || $i == "goto") && !leads[chain, $(i + 1)]++) print "leads " chain " " $(i + 1)
}
