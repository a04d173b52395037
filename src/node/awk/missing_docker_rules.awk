# From the tables of before, a line `=`, and those of now: the input for iptables-restore that restores the rules of Docker,
# each after the rule that it followed. `devices`: those of Docker. `changed`: a container was added or removed, whose rules Docker manages.
function dockers(table, rule,    n, words, i) {
    if (rule ~ / -j DOCKER-USER$/ || rule ~ /^-j DOCKER-USER$/) return 0
    n = split(rule, words, " ")
    for (i = 1; i < n; i++) {
        if ((words[i] == "-j" || words[i] == "-g") && words[i + 1] ~ /^DOCKER($|-)/) return 1
        if ((words[i] == "-i" || words[i] == "-o") && (words[i + 1] in device)) return 1
        if (table == "nat" && words[i] == "-j" && words[i + 1] == "MASQUERADE") return 1
    }
    return table == "nat" && rule ~ /-j MASQUERADE$/
}
BEGIN { n = split(devices, list, " "); for (i = 1; i <= n; i++) device[list[i]] }
$0 == "=" { second = 1; next }
/^\*/ { table = substr($0, 2); next }
/^(#|COMMIT|$)/ { next }
{ sub(/^\[[0-9]+:[0-9]+\] /, "") }
/^:/ {
    chain = substr($1, 2); key = table SUBSEP chain
    if (second) there[key] = 1
    else { tables[++t] = table; chains[t] = chain; own[key] = $2 == "-" }
    next
}
{
    key = table SUBSEP $2; rule = substr($0, length($2) + 5)
    if (second) now[key, ++has[key]] = rule
    else {
        was[key, ++had[key]] = rule
        # Even if Docker does not answer, its own chains name its devices.
        if ($2 ~ /^DOCKER($|-)/ && $2 != "DOCKER-USER")
            for (i = 3; i < NF; i++) if ($i == "-i" || $i == "-o") device[$(i + 1)]
    }
}
END {
    for (c = 1; c <= t; c++) {
        table = tables[c]; chain = chains[c]; key = table SUBSEP chain
        ours = chain ~ /^DOCKER($|-)/ && chain != "DOCKER-USER"
        # A container that was added or removed has its rules from Docker; ours would be the old ones.
        if (changed != "" && chain !~ /^DOCKER-ISOLATION-/) continue
        if (ours && !there[key]) declared[table] = declared[table] ":" chain " - [0:0]\n"
        if (!ours && own[key]) continue
        split("", left)
        for (i = 1; i <= has[key]; i++) left[now[key, i]]++
        at = 0
        for (i = 1; i <= had[key]; i++) {
            rule = was[key, i]
            if (left[rule] > 0) {
                left[rule]--
                for (j = 1; j <= has[key]; j++) if (now[key, j] == rule) { at = j; break }
                continue
            }
            if (!ours && !dockers(table, rule)) continue
            for (j = has[key]++; j > at; j--) now[key, j + 1] = now[key, j]
            now[key, ++at] = rule
            rules[table] = rules[table] "-I " chain " " at " " rule "\n"
        }
    }
    for (c = 1; c <= t; c++) {
        table = tables[c]
        if (declared[table] rules[table] == "") continue
        printf "*%s\n%s%sCOMMIT\n", table, declared[table], rules[table]
        declared[table] = rules[table] = ""
    }
}
