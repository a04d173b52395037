# From three parts with a line `=` between them (the existing devices, the runtime of now, the runtime of before): the runtime
# of before with the interfaces of its zones as they can be now.
$0 == "=" { part++; next }
!part { there[$0] = 1; next }
{
    if (part == 2) was[++lines] = $0; else now[++others] = $0
    n = split($0, token, "\037")
    if (token[1] != "zone") next
    zone = token[2]
    if (part == 2) then[zone] = 1
    if (token[3] == "sources" && token[5] > 0) bound[part, zone] = 1
    if (token[3] != "interfaces") next
    for (i = 6; i <= n; i++) {
        if (part == 1) new[zone] = new[zone] "\037" token[i]
        else old[token[i]] = 1
        if (part == 2 && token[i] in there) { list[zone] = list[zone] "\037" token[i]; count[zone]++ }
    }
}
END {
    for (zone in new) {
        n = split(new[zone], device, "\037")
        for (i = 2; i <= n; i++)
            if (!(device[i] in old)) { list[zone] = list[zone] "\037" device[i]; count[zone]++; came[zone] = 1 }
    }
    for (l = 1; l <= others; l++) {
        split(now[l], token, "\037")
        if (token[1] == "zone") known[token[2]] = 1
    }
    for (l = 1; l <= lines; l++) {
        split(was[l], token, "\037")
        zone = token[2]
        if (token[1] != "zone") print was[l]
        # A zone without any binding is not printed.
        else if (!(zone in known) && !count[zone] && !bound[2, zone]) continue
        else if (token[3] == "interfaces") print "zone\037" zone "\037interfaces\037as\037" count[zone] + 0 list[zone]
        else print was[l]
    }
    for (l = 1; l <= others; l++) {
        split(now[l], token, "\037")
        if (token[1] == "zone" && !(token[2] in then) && (token[2] in came)) print now[l]
    }
}
