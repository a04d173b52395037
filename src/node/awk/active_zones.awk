# From the tokens of getActiveZones: the names of the zones, one a line.
{
    n = split($0, token, "\037")
    at = 3
    for (i = 0; i < token[2]; i++) {
        print token[at++]
        kinds = token[at++]
        for (j = 0; j < kinds; j++) { at++; count = token[at++]; at += count }
    }
}
