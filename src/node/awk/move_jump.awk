# From a filter table: the input for iptables-restore that moves the jump to these `places`, after a line `#PLACES` with
# the resulting positions. A position beyond the end is the end.
/^-A FORWARD -j DOCKER-USER$/ { deletes = deletes "-D FORWARD -j DOCKER-USER\n"; next }
/^-A FORWARD( |$)/ { n++ }
END {
    count = split(places, place, " ")
    for (i = 1; i <= count; i++) {
        at = place[i] > n + i ? n + i : place[i]
        inserts = inserts "-I FORWARD " at " -j DOCKER-USER\n"
        wanted = wanted (i > 1 ? " " : "") at
    }
    printf "#%s\n*filter\n%s%sCOMMIT\n", wanted, deletes, inserts
}
