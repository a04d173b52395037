# From an answer of busctl: its values without the signature, each behind a separator (\037), on one line. busctl escapes as C does.
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
{ text = text (NR > 1 ? " " : "") $0 }
END {
    n = split(text, part, "\"")
    for (i = 1; i <= n; i++) {
        if (!inside) {
            m = split(part[i], word, " ")
            # The first word is the signature.
            for (j = i == 1 ? 2 : 1; j <= m; j++) printf "\037%s", word[j]
            inside = 1
            value = ""
            continue
        }
        value = value part[i]
        match(part[i], /\\*$/)
        # A quote behind an odd number of backslashes belongs to the value.
        if (RLENGTH % 2) { value = value "\""; continue }
        printf "\037%s", plain(value)
        inside = 0
    }
    print ""
}
