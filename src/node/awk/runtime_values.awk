# From runtime lines: a line for each value, whatever list it is in.
{
    n = split($0, token, "\037")
    if (token[1] != "zone" || token[4] !~ /^a/) { gsub("\037", " "); print; next }
    width = token[4] == "as" ? 1 : length(token[4]) - 3
    for (i = 6; i <= n; i += width) {
        line = token[1] " " token[2] " " token[3]
        for (j = i; j < i + width; j++) line = line " " token[j]
        print line
    }
}
