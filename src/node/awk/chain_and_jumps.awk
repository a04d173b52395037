# From tables as iptables-save prints them: DOCKER-USER, its rules and the jumps to it, without counters.
{ sub(/^\[[0-9]+:[0-9]+\] /, "") }
/^-A DOCKER-USER( |$)/ || /^-A .* -[jg] DOCKER-USER$/ { print }
/^:DOCKER-USER / { print $1 }
