# From tables: the positions of the jump to DOCKER-USER among the rules of FORWARD in table filter, counted from 1, on one line.
/^\*/ { table = $0; next }
table != "*filter" { next }
/^-A FORWARD( |$)/ { n++ }
/^-A FORWARD -j DOCKER-USER$/ { printf "%s%s", between, n; between = " " }
