# From the tokens of getZoneSettings2: a runtime line for each setting that firewalld lets change at runtime, an empty list too. With `older`
# from those of getZoneSettings, which firewalld before 0.9 has: there a setting is known by its place.
function take(key, signature,    size, i, value) {
    size = 1
    if (signature ~ /^a/) size = 1 + token[at] * (signature == "as" ? 1 : length(signature) - 3)
    value = ""
    for (i = 0; i < size; i++) value = value "\037" token[at++]
    told[key] = signature value
}
{
    n = split($0, token, "\037")
    if (older) {
        # Ahead of these are version, short, description, one that has lost its meaning, and the target.
        at = 7
        places = split("services as ports a(ss) icmp_blocks as masquerade b forward_ports a(ssss) interfaces as sources as rules_str as protocols as source_ports a(ss) icmp_block_inversion b", place, " ")
        for (entry = 1; entry < places; entry += 2) take(place[entry], place[entry + 1])
    } else {
        at = 3
        for (entry = 0; entry < token[2]; entry++) {
            key = token[at++]
            take(key, token[at++])
        }
    }
    split("services as ports a(ss) protocols as source_ports a(ss) icmp_blocks as forward_ports a(ssss) rules_str as sources as interfaces as masquerade b forward b icmp_block_inversion b", known, " ")
    for (i = 1; i in known; i += 2) {
        key = known[i]
        if (!(key in told) && known[i + 1] ~ /^a/) told[key] = known[i + 1] "\0370"
        if (key in told) print "zone\037" zone "\037" key "\037" told[key]
    }
}
