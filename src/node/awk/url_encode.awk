# From bytes as `od -tx1` prints them: the text, URL-encoded.
BEGIN {
    for (i = 33; i < 127; i++) { c = sprintf("%c", i); if (c ~ /[A-Za-z0-9_.~-]/) plain[sprintf("%02x", i)] = c }
    plain["20"] = "+"
}
{ for (i = 1; i <= NF; i++) printf "%s", ($i in plain) ? plain[$i] : "%" toupper($i) }
END { print "" }
