# From an answer of busctl before systemd 221 (CentOS 7 has 219): the same, with the blank that it leaves out ahead of a list that follows a
# list. What later ones print stays as it is.
{ text = text (NR > 1 ? "\n" : "") $0 }
END {
    n = split(text, part, "\"")
    for (i = 1; i <= n; i++) {
        if (i > 1) printf "\""
        if (inside) {
            printf "%s", part[i]
            match(part[i], /\\*$/)
            # A quote behind an odd number of backslashes belongs to the value.
            if (RLENGTH % 2 == 0) inside = 0
            continue
        }
        if (i > 1 && part[i] ~ /^[0-9]/) part[i] = " " part[i]
        # No number begins with 0 but 0 itself.
        while (match(part[i], / 0[0-9]/)) part[i] = substr(part[i], 1, RSTART + 1) " " substr(part[i], RSTART + 2)
        printf "%s", part[i]
        inside = 1
    }
    print ""
}
