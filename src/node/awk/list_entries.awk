# From tokens (busctl_tokens.awk): a line for each entry of a list, behind `name`: `head` fixed values and, if `tail` is `yes`,
# a count and that many more.
{
    n = split($0, token, "\037")
    at = 3
    for (i = 0; i < token[2]; i++) {
        line = name
        for (j = 0; j < head; j++) line = line "\037" token[at++]
        if (tail == "yes") {
            count = token[at++]
            line = line "\037" count
            for (j = 0; j < count; j++) line = line "\037" token[at++]
        }
        print line
    }
}
