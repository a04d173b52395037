# From a filter table: the positions of the jump to DOCKER-USER among the rules of FORWARD, counted from 1, on one line.
/^-A FORWARD( |$)/ { n++ }
/^-A FORWARD -j DOCKER-USER$/ { printf "%s%s", between, n; between = " " }
