# From the tokens of getZoneSettings2: a runtime line for each setting that firewalld lets change at runtime, an empty list too.
{
    n = split($0, token, "\037")
    at = 3
    for (entry = 0; entry < token[2]; entry++) {
        key = token[at++]
        signature = token[at++]
        size = 1
        if (signature ~ /^a/) size = 1 + token[at] * (signature == "as" ? 1 : length(signature) - 3)
        value = ""
        for (i = 0; i < size; i++) value = value "\037" token[at++]
        told[key] = signature value
    }
    split("services as ports a(ss) protocols as source_ports a(ss) icmp_blocks as forward_ports a(ssss) rules_str as sources as interfaces as masquerade b forward b icmp_block_inversion b", known, " ")
    for (i = 1; i in known; i += 2) {
        key = known[i]
        if (!(key in told) && known[i + 1] ~ /^a/) told[key] = known[i + 1] "\0370"
        if (key in told) print "zone\037" zone "\037" key "\037" told[key]
    }
}
