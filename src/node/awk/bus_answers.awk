# From answers of firewalld, as busctl prints them: what they hold, as lines. Each answer follows \036, what it is, \037, whose it is, \037. A value of
# a line is behind a separator (\037).
#
#   tokens                   all values without the signature, on one line
#   chain rule passthrough   a runtime line for each of the list
#   entry                    a line for each entry of a set
#   zones                    the names of the active zones (getActiveZones), one a line
#   zone older               a runtime line for each setting that firewalld lets change at runtime, an empty list too, from the answer of
#                            getZoneSettings2, or of getZoneSettings, which firewalld before 0.9 has: there a setting is known by its place
#
# busctl escapes as C does.
function plain(text,    out, at, c) {
    out = ""
    while ((at = index(text, "\\"))) {
        out = out substr(text, 1, at - 1)
        c = substr(text, at + 1, 1)
        if (c ~ /[0-7]/) {
            out = out sprintf("%c", substr(text, at + 1, 1) * 64 + substr(text, at + 2, 1) * 8 + substr(text, at + 3, 1))
            text = substr(text, at + 4)
            continue
        }
        # No rule has a line break in it, and these are lines.
        out = out (c ~ /[abfnrtv]/ ? (c == "t" ? "\t" : " ") : c)
        text = substr(text, at + 2)
    }
    return out text
}
# The values of an answer, in `token` from 1 to `n`.
function read(text,    part, parts, word, words, i, j, inside, value) {
    n = inside = 0
    parts = split(text, part, "\"")
    for (i = 1; i <= parts; i++) {
        if (!inside) {
            words = split(part[i], word, " ")
            # The first word is the signature.
            for (j = i == 1 ? 2 : 1; j <= words; j++) token[++n] = word[j]
            inside = 1
            value = ""
            continue
        }
        value = value part[i]
        match(part[i], /\\*$/)
        # A quote behind an odd number of backslashes belongs to the value.
        if (RLENGTH % 2) { value = value "\""; continue }
        token[++n] = plain(value)
        inside = 0
    }
}
# An entry of a list is `head` values and, if it has a tail, a count and that many more.
function list(name, head, has_tail,    i, j, count, line) {
    at = 2
    for (i = 0; i < token[1]; i++) {
        line = name
        for (j = 0; j < head; j++) line = line "\037" token[at++]
        if (has_tail) {
            count = token[at++]
            line = line "\037" count
            for (j = 0; j < count; j++) line = line "\037" token[at++]
        }
        print line
    }
}
function zones(    i, j, kinds, count) {
    at = 2
    for (i = 0; i < token[1]; i++) {
        print token[at++]
        kinds = token[at++]
        for (j = 0; j < kinds; j++) { at++; count = token[at++]; at += count }
    }
}
function take(key, signature,    size, i, value) {
    size = 1
    if (signature ~ /^a/) size = 1 + token[at] * (signature == "as" ? 1 : length(signature) - 3)
    value = ""
    for (i = 0; i < size; i++) value = value "\037" token[at++]
    told[key] = signature value
}
function settings(zone, older,    place, places, known, entry, key, i) {
    split("", told)
    if (older) {
        # Ahead of these are version, short, description, one that has lost its meaning, and the target.
        at = 6
        places = split("services as ports a(ss) icmp_blocks as masquerade b forward_ports a(ssss) interfaces as sources as rules_str as protocols as source_ports a(ss) icmp_block_inversion b", place, " ")
        for (entry = 1; entry < places; entry += 2) take(place[entry], place[entry + 1])
    } else {
        at = 2
        for (entry = 0; entry < token[1]; entry++) {
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
BEGIN { RS = "\036" }
{
    what = substr($0, 1, index($0, "\037") - 1)
    if (what == "") next
    rest = substr($0, length(what) + 2)
    name = substr(rest, 1, index(rest, "\037") - 1)
    rest = substr(rest, length(name) + 2)
    gsub(/\n/, " ", rest)
    read(rest)
    if (what == "tokens") {
        for (i = 1; i <= n; i++) printf "\037%s", token[i]
        print ""
    }
    if (what == "chain") list(what, 3)
    if (what == "rule") list(what, 4, 1)
    if (what == "passthrough") list(what, 1, 1)
    if (what == "entry") list(what, 1)
    if (what == "zones") zones()
    if (what == "zone") settings(name)
    if (what == "older") settings(name, 1)
}
