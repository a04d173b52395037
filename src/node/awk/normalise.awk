# From runtime lines: the same, the values of each setting of a zone in order. firewalld 2 keeps lists in no order.
{
    if ($0 !~ /^zone\037/) { print; next }
    n = split($0, token, "\037")
    line = token[1] "\037" token[2] "\037" token[3]
    for (i = 4; i <= n; i++) {
        for (j = i; j > 4 && token[j] < token[j - 1]; j--) { swap = token[j]; token[j] = token[j - 1]; token[j - 1] = swap }
    }
    for (i = 4; i <= n; i++) line = line "\037" token[i]
    print line
}
