# What firewalld holds at runtime, as lines that can be compared, and brought about again.

# tokens ANSWER: the values of an answer of busctl without its signature, each behind a separator, on one line.
tokens() {
    printf '%s\n' "$1" | awk '
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
        }'
}

# entries NAME HEAD: from tokens on stdin, a line for each entry of a list: HEAD fixed values and, if TAIL is `yes`, a count and so
# many more.
entries() {
    awk -v name="$1" -v head="$2" -v tail="$3" '{
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
    }'
}

# The names of the zones that matter: those with something bound to them, and the default one.
zones_at_work() {
    fw "$runtime" "$firewalld" getDefaultZone || return
    zones_default=${answer#s \"}
    zones_default=${zones_default%%\"*}
    fw "$runtime" "$firewalld.zone" getActiveZones || return
    {
        echo "$zones_default"
        tokens "$answer" | awk '{
            n = split($0, token, "\037")
            at = 3
            for (i = 0; i < token[2]; i++) {
                print token[at++]
                kinds = token[at++]
                for (j = 0; j < kinds; j++) { at++; count = token[at++]; at += count }
            }
        }'
    } | sort -u
}

# settings ZONE: from tokens on stdin, a line for each setting that firewalld lets change at runtime. It says nothing of an empty list,
# and takes none back that it is not told of; so they are told.
settings() {
    awk -v zone="$1" '{
        n = split($0, token, "\037")
        at = 3
        for (entry = 0; entry < token[2]; entry++) {
            key = token[at++]
            signature = token[at++]
            size = 1
            if (signature ~ /^a/) size = 1 + token[at] * (signature == "as" ? 1 : length(signature) - 3)
            value = ""
            for (i = 0; i < size; i++) value = value "\037" token[at++]
            told[key] = signature value
        }
        split("services as ports a(ss) protocols as source_ports a(ss) icmp_blocks as forward_ports a(ssss) rules_str as sources as interfaces as masquerade b forward b icmp_block_inversion b", known, " ")
        for (i = 1; i in known; i += 2) {
            key = known[i]
            if (!(key in told) && known[i + 1] ~ /^a/) told[key] = known[i + 1] "\0370"
            if (key in told) print "zone\037" zone "\037" key "\037" told[key]
        }
    }'
}

# runtime_text: a line for each direct chain, rule and passthrough, and for each setting of each zone at work.
runtime_text() {
    fw "$runtime" "$firewalld.direct" getAllChains || { echo "$answer" && return 1; }
    tokens "$answer" | entries chain 3
    fw "$runtime" "$firewalld.direct" getAllRules || { echo "$answer" && return 1; }
    tokens "$answer" | entries rule 4 yes
    fw "$runtime" "$firewalld.direct" getAllPassthroughs || { echo "$answer" && return 1; }
    tokens "$answer" | entries passthrough 1 yes
    runtime_zones=$(zones_at_work) || { echo "$answer" && return 1; }
    for runtime_zone in $runtime_zones; do
        # Before 0.9 there is no such question.
        ! fw "$runtime" "$firewalld.zone" getZoneSettings2 s "$runtime_zone" || tokens "$answer" | settings "$runtime_zone"
    done
}

# only_in TEXT TEXT: the lines of the first that the second lacks.
only_in() {
    printf '%s\n=\n%s\n' "$2" "$1" | awk '
        $0 == "=" { second = 1; next }
        !second { have[$0]++; next }
        $0 != "" && have[$0]-- <= 0 { print }'
}

# alike TEXT: the same lines in an order of their own, and each zone's setting with its values in one: firewalld 2 keeps lists in no
# order.
alike() {
    printf '%s\n' "$1" | awk '{
        if ($0 !~ /^zone\037/) { print; next }
        n = split($0, token, "\037")
        line = token[1] "\037" token[2] "\037" token[3]
        for (i = 4; i <= n; i++) {
            for (j = i; j > 4 && token[j] < token[j - 1]; j--) { swap = token[j]; token[j] = token[j - 1]; token[j - 1] = swap }
        }
        for (i = 4; i <= n; i++) line = line "\037" token[i]
        print line
    }' | sort
}

# with_devices TEXT TEXT: the first, with the interfaces of its zones as they can be now: those that are gone are left out, and those
# that were in no zone then stay where the second has them. Docker and NetworkManager bind interfaces at runtime, as they come.
with_devices() {
    printf '%s\n=\n%s\n=\n%s\n' "$(ls /sys/class/net)" "$2" "$1" | awk '
        $0 == "=" { part++; next }
        !part { there[$0] = 1; next }
        {
            if (part == 2) was[++lines] = $0; else now[++others] = $0
            n = split($0, token, "\037")
            if (token[1] != "zone") next
            zone = token[2]
            if (part == 2) then[zone] = 1
            if (token[3] == "sources" && token[5] > 0) bound[part, zone] = 1
            if (token[3] != "interfaces") next
            for (i = 6; i <= n; i++) {
                if (part == 1) new[zone] = new[zone] "\037" token[i]
                else old[token[i]] = 1
                if (part == 2 && token[i] in there) { list[zone] = list[zone] "\037" token[i]; count[zone]++ }
            }
        }
        END {
            for (zone in new) {
                n = split(new[zone], device, "\037")
                for (i = 2; i <= n; i++)
                    if (!(device[i] in old)) { list[zone] = list[zone] "\037" device[i]; count[zone]++; came[zone] = 1 }
            }
            for (l = 1; l <= others; l++) {
                split(now[l], token, "\037")
                if (token[1] == "zone") known[token[2]] = 1
            }
            for (l = 1; l <= lines; l++) {
                split(was[l], token, "\037")
                zone = token[2]
                if (token[1] != "zone") print was[l]
                # A zone that nothing is bound to any more is not told.
                else if (!(zone in known) && !count[zone] && !bound[2, zone]) continue
                else if (token[3] == "interfaces") print "zone\037" zone "\037interfaces\037as\037" count[zone] + 0 list[zone]
                else print was[l]
            }
            for (l = 1; l <= others; l++) {
                split(now[l], token, "\037")
                if (token[1] == "zone" && !(token[2] in then) && (token[2] in came)) print now[l]
            }
        }'
}

# runtime_again TEXT: firewalld's runtime becomes what the text of before tells: what is missing is added first.
runtime_again() {
    again_now=$(runtime_text) || {
        answer=$again_now
        return 1
    }
    set -- "$(with_devices "$1" "$again_now")"
    [ "$(alike "$1")" != "$(alike "$again_now")" ] || return 0
    again_trouble=
    again_lines add "$(only_in "$1" "$again_now" | grep -v '^zone')"
    again_lines remove "$(only_in "$again_now" "$1" | grep -v '^zone')"
    again_lines set "$(only_in "$1" "$again_now" | grep '^zone')"
    answer=$again_trouble
    [ -z "$answer" ]
}

# again_lines WHAT LINES. The chain goes ahead of its rules when it is added, and behind them when it is removed.
again_lines() {
    again_what=$1
    case $again_what in remove) again_order=$(printf '%s\n' "$2" | sort -r) ;; *) again_order=$2 ;; esac
    again_ifs=$IFS
    IFS=$newline
    for again_line in $again_order; do
        # A value that is empty and the last would get lost.
        case $again_line in *"$separator") again_line=$again_line$separator ;; esac
        IFS=$separator
        # shellcheck disable=SC2086
        set -- $again_line
        IFS=$again_ifs
        again_one "$@" || again_trouble="$again_trouble${again_trouble:+$newline}$answer"
        IFS=$newline
    done
    IFS=$again_ifs
}

# again_one KIND VALUE…
again_one() {
    again_kind=$1
    shift
    case $again_what-$again_kind in
    add-chain) if [ "$2 $3" = 'filter DOCKER-USER' ]; then own_chain "$1"; else fw_or ALREADY_ENABLED "$runtime" "$firewalld.direct" addChain sss "$@"; fi ;;
    remove-chain) if [ "$2 $3" = 'filter DOCKER-USER' ]; then disown_chain "$1"; else fw_or NOT_ENABLED "$runtime" "$firewalld.direct" removeChain sss "$@"; fi ;;
    add-rule) add_rule "$@" ;;
    remove-rule) remove_rule "$@" ;;
    add-passthrough) fw_or ALREADY_ENABLED "$runtime" "$firewalld.direct" addPassthrough sas "$@" ;;
    remove-passthrough) fw_or NOT_ENABLED "$runtime" "$firewalld.direct" removePassthrough sas "$@" ;;
    set-zone)
        again_zone=$1
        shift
        fw "$runtime" "$firewalld.zone" setZoneSettings2 'sa{sv}' "$again_zone" 1 "$@" || because "firewalld did not take the $1 of zone $again_zone at runtime:"
        ;;
    esac
}
