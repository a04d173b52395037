# From the lines of a picture (picture.sh) as Docker reports them: without the networks that Docker always has, and without a
# container among its own aliases by its short id, as some versions of Docker have it.
$1 == "network" && ($2 == "bridge" || $2 == "host" || $2 == "none") { next }
$1 == "place" {
    n = split($8, alias, ",")
    $8 = ""
    count = 0
    for (i = 1; i < n; i++) {
        if (alias[i] == substr($10, 1, 12)) continue
        sorted[++count] = alias[i]
        for (j = count; j > 1 && (sorted[j] "") < (sorted[j - 1] ""); j--) { swap = sorted[j]; sorted[j] = sorted[j - 1]; sorted[j - 1] = swap }
    }
    for (i = 1; i <= count; i++) $8 = $8 sorted[i] ","
    print $1, $2, $3, $4, $5, $6, $7, $8 ".", $9
    next
}
NF { print }
