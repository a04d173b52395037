# From three parts with a line `=` between them (what is ours, the picture of before, the picture of now): a line for each
# difference, `wrong …` where it is ours and `remark …` where it is not. With `old` only what is ours counts.
function plain(word) { sub(/\.$/, "", word); return word }
function at(fixed, fixed6,    text) {
    text = plain(fixed) (fixed6 == "." ? "" : " " plain(fixed6))
    return text == "" ? "no fixed address" : text
}
function network(i, word) { return plain(word[i]) == "" ? "none" : plain(word[i]) }
function tell(mine, text) { if (mine) print "wrong " text; else if (!old) print "remark " text " (not by this run)" }
$0 == "=" { part++; next }
part == 0 { if (NF) ours[$0] = 1; next }
$1 == "network" { id = "network " $2; NF--; line[part, id] = $0; seen[part] = seen[part] id "\n" }
$1 == "container" { ran[part, $2] = $3; line[part, "container " $2] = $0; seen[part] = seen[part] "container " $2 "\n" }
$1 == "place" { id = "place " $2 " " $3; line[part, id] = $0; seen[part] = seen[part] id "\n" }
END {
    n = split(seen[1], ids, "\n")
    for (i = 1; i < n; i++) {
        id = ids[i]
        split(id, key, " ")
        before = line[1, id]
        now = line[2, id]
        if (key[1] == "network") {
            mine = (id in ours)
            if (now == "") {
                if (mine && !old) print "wrong network " key[2] " is missing"
                else if (mine) print "remark network " key[2] " no longer exists, and was not recreated"
                else if (!old) print "remark network " key[2] " is missing (not by this run)"
            } else if (now != before) {
                split(before, a, " ")
                split(now, b, " ")
                text = ""
                if (a[3] != b[3]) text = text ", driver " b[3] " where it was " a[3]
                if (a[4] != b[4]) text = text ", internal " b[4] " where it was " a[4]
                if (a[5] != b[5]) text = text ", IPv6 " b[5] " where it was " a[5]
                if (a[6] != b[6]) text = text ", subnet " network(6, b) " where it was " network(6, a)
                if (a[7] != b[7]) text = text ", options " network(7, b) " where they were " network(7, a)
                if (a[8] != b[8]) text = text ", labels " network(8, b) " where they were " network(8, a)
                tell(mine, "network " key[2] " is another one" text)
            }
        } else if (key[1] == "container") {
            mine = 0
            for (each in ours) { split(each, word, " "); if (word[1] == "place" && word[2] == key[2]) mine = 1 }
            if (now == "") { if (mine || !old) print "remark container " key[2] " no longer exists, and could not be reattached" }
            else if (ran[1, key[2]] == "true" && ran[2, key[2]] != "true" && (mine || !old)) print "remark container " key[2] " was running, and is not running now"
        } else {
            mine = (id in ours) || (("network " key[3]) in ours)
            if (line[2, "container " key[2]] == "") continue
            split(before, a, " ")
            split(now, b, " ")
            if (now == "") {
                # A missing network is reported above.
                if (line[1, "network " key[3]] != "" && line[2, "network " key[3]] == "") continue
                tell(mine, "container " key[2] " is not on network " key[3] ", where it was")
            } else if (a[4] != b[4] || a[5] != b[5]) tell(mine, "container " key[2] " has " at(b[4], b[5]) " on network " key[3] " where it had " at(a[4], a[5]))
            else if ((b[4] != "." && b[6] != "." && b[4] != b[6]) || (b[5] != "." && b[7] != "." && b[5] != b[7])) tell(mine, "container " key[2] " has " at(b[6], b[7]) " on network " key[3] " but is configured with " at(b[4], b[5]))
            else if (mine && a[6] != "." && b[6] != "." && a[6] != b[6]) print "remark container " key[2] " has " plain(b[6]) " on network " key[3] " where it had " plain(a[6]) ": it has no fixed address there"
            else if (mine && (a[8] != b[8] || a[9] != b[9])) print "remark container " key[2] " has other aliases or links on network " key[3] " than it had"
        }
    }
    n = split(seen[2], ids, "\n")
    for (i = 1; i < n; i++) {
        id = ids[i]
        if (line[1, id] != "" || !(id in ours)) continue
        split(id, key, " ")
        if (key[1] == "network") print "wrong network " key[2] " is still there"
        else if (line[1, "container " key[2]] != "") print "wrong container " key[2] " is still on network " key[3]
    }
}
