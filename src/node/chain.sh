# ---------------------------------------------------------------------------------------------------- the chain and firewalld

owned() { fw "$runtime" "$firewalld.direct" queryChain sss "$1" filter DOCKER-USER && [ "$answer" = 'b true' ]; }

own_chain() {
    program_of "$1"
    if owned "$1"; then
        look || return
        tables_of "$program"
        has_chain "$now" || load "$program" "*filter${newline}:DOCKER-USER - [0:0]${newline}COMMIT" $lock --noflush
        return
    fi
    recreate "$1" addChain && return
    trouble=$answer
    ! owned "$1" || recreate "$1" removeChain || trouble="$trouble${newline}and giving the chain back failed: $answer"
    # 69: there is no firewalld any more, and so no other way either.
    own_code=69
    ! firewalld_state || own_code=1
    answer=$trouble
    return "$own_code"
}

disown_chain() {
    program_of "$1"
    if ! owned "$1"; then
        case $answer in b*) return 0 ;; esac
        because "firewalld does not tell whether DOCKER-USER is its own:"
        return
    fi
    recreate "$1" removeChain && return
    trouble=$answer
    owned "$1" || recreate "$1" addChain || trouble="$trouble${newline}and taking the chain again failed: $answer"
    answer=$trouble
    return 1
}

# recreate FAMILY addChain|removeChain: firewalld makes or deletes a chain only where there is none, or an empty one that
# nobody jumps to. So the chain goes away, firewalld does its part, and all comes back as it was.
#
# From 2.0 on, with its nftables backend, firewalld's first call of this kind flushes every table of iptables, ip6tables
# and ebtables (firewalld#1354, b7faa74d), and sends no signal from which Docker could know. It is put back too.
recreate() {
    recreate_method=$2
    program_of "$1"
    mine=$program
    containers_were=$(containers) || {
        answer="docker does not answer"
        because "nothing was changed:"
        return 124
    }
    look || return
    remember
    tables_of "$mine"
    chain_was=$was
    # What could not be put back must not be taken away.
    load iptables "$was_iptables" $lock -c --test || because "what iptables-save prints is not what iptables-restore takes; nothing was changed:" || return
    load ip6tables "$was_ip6tables" $lock -c --test || because "what ip6tables-save prints is not what ip6tables-restore takes; nothing was changed:" || return
    unlink=$(printf '%s\n' "$chain_was" | awk -v method="$recreate_method" '
        /^\*/ { table = $0; next }
        table != "*filter" { next }
        { sub(/^\[[0-9]+:[0-9]+\] /, "") }
        /^:DOCKER-USER / { there = 1 }
        /^-A .* -[jg] DOCKER-USER$/ { sub(/^-A/, "-D"); jumps = jumps $0 "\n" }
        END {
            if (there) printf "*filter\n%s-F DOCKER-USER\n%sCOMMIT\n", jumps, method == "addChain" ? "-X DOCKER-USER\n" : ""
            else if (method == "removeChain") print "*filter\n:DOCKER-USER - [0:0]\nCOMMIT"
        }')
    [ "$recreate_method" = removeChain ] || remember_as "$mine" "$(with_chain "$chain_was")"
    [ -z "$unlink" ] || load "$mine" "$unlink" $lock --noflush || because "the kernel did not let go of DOCKER-USER; nothing was changed:" || return
    recreate_trouble=
    fw "$runtime" "$firewalld.direct" "$recreate_method" sss "$1" filter DOCKER-USER ||
        recreate_trouble="firewalld would not ($recreate_method): $answer"
    [ -z "$recreate_trouble" ] || remember_as "$mine" "$chain_was"
    put_back || recreate_trouble="$recreate_trouble${recreate_trouble:+$newline}$answer"
    # Docker may have written a rule between our look and the flush, and only Docker knows which.
    [ -z "$flushed" ] || [ "$containers_were" = "$(containers)" ] ||
        recreate_trouble="$recreate_trouble${recreate_trouble:+$newline}a container started or stopped while the chain was recreated: Docker's rules may lack one of its own until the next reload"
    answer=$recreate_trouble
    [ -z "$answer" ]
}

# chain_of TABLES: DOCKER-USER and who jumps to it.
chain_of() {
    printf '%s\n' "$1" | awk '
        { sub(/^\[[0-9]+:[0-9]+\] /, "") }
        /^-A DOCKER-USER( |$)/ || /^-A .* -[jg] DOCKER-USER$/ { print }
        /^:DOCKER-USER / { print $1 }'
}

# put_back: makes the kernel what $was_PROGRAM tells, where it was flushed, and gives $mine, one of these programs, its
# DOCKER-USER and the jumps to it again, which were taken away on purpose. What else differs is Docker's latest.
put_back() {
    flushed=
    put_back_trouble=
    look || return
    for kind in iptables ip6tables ebtables; do
        tables_of "$kind"
        # A reload that failed leaves firewalld's own rules, perhaps, and takes Docker's: there anything missing counts.
        if [ -z "$mine" ] && [ -n "$(lacking "$was" "$now")" ] || is_flushed "$was" "$now"; then
            flushed="$flushed $kind"
            case $kind in ebtables) options= ;; *) options="$lock -c" ;; esac
            load "$kind" "$was" $options
        elif [ "$kind" = "$mine" ] && has_chain "$was"; then
            load "$kind" "$(printf '%s\n' "$was" | awk '
                /^\*/ { table = $0; next }
                table != "*filter" || /^(#|COMMIT|$)/ { next }
                { line = $0; sub(/^\[[0-9]+:[0-9]+\] /, "") }
                /^-A/ { place[$2]++ }
                /^-A DOCKER-USER( |$)/ { content = content line "\n"; next }
                / -[jg] DOCKER-USER$/ { at = "-I " $2 " " place[$2]; sub(/^-A [^ ]+/, at); jumps = jumps $0 "\n" }
                END { printf "*filter\n:DOCKER-USER - [0:0]\n%s%sCOMMIT\n", content, jumps }')" $lock -c --noflush
        else
            :
        fi || put_back_trouble="$put_back_trouble${put_back_trouble:+$newline}$kind-restore: $answer"
    done
    look || return
    for kind in $flushed; do
        tables_of "$kind"
        [ "$(lines "$was")" = "$(lines "$now")" ] || {
            lost=$(lacking "$was" "$now")
            # One rule more is Docker's latest.
            [ -z "$lost" ] && [ "$containers_were" != "$(containers)" ] ||
                put_back_trouble="$put_back_trouble${put_back_trouble:+$newline}$kind is not as it was: ${lost:-the order differs}"
        }
    done
    if [ -n "$mine" ]; then
        tables_of "$mine"
        [ "$(chain_of "$was")" = "$(chain_of "$now")" ] ||
            put_back_trouble="$put_back_trouble${put_back_trouble:+$newline}DOCKER-USER is not as it was: $(chain_of "$now")"
    fi
    answer=$put_back_trouble
    [ -z "$answer" ]
}

# ---------------------------------------------------------------------------------------------------- the chain and the kernel

# filter PROGRAM: the filter table, in $filter.
filter() {
    filter=$(limited "$1-save" -t filter 2>&1 </dev/null) && return
    answer=$filter
    because "$1-save does not tell what the kernel holds:"
}

# content TABLES: the rules of DOCKER-USER.
content() { printf '%s\n' "$1" | sed -n -e '/^-A DOCKER-USER /p' -e '/^-A DOCKER-USER$/p'; }

# set_chain FAMILY COUNT RULES: the chain holds these rules, in iptables-save's words, and no others. One transaction:
# restoring a chain that is there empties it first.
set_chain() {
    program_of "$1"
    filter "$program" || return
    load "$program" "*filter$newline:DOCKER-USER - [0:0]${3:+$newline$3}${newline}COMMIT" $lock --noflush ||
        because "the kernel did not take the chain:" || return
    before=$filter
    filter "$program" || return
    count=$(content "$filter" | grep -c .)
    [ "$count" != "$2" ] || return 0
    if has_chain "$before"; then
        load "$program" "*filter$newline:DOCKER-USER - [0:0]$newline$(content "$before")${newline}COMMIT" $lock --noflush
    else
        remove_chain "$1"
    fi
    answer=
    because "the kernel held $count rules in DOCKER-USER where $2 were written"
}

remove_chain() {
    program_of "$1"
    filter "$program" || return
    ! has_chain "$filter" ||
        load "$program" "*filter$newline-F DOCKER-USER$newline-X DOCKER-USER${newline}COMMIT" $lock --noflush ||
        because "the kernel did not let go of DOCKER-USER:"
}

# places TABLES: where the jump stands among the rules of FORWARD, counted from 1. A rule that iptables has no words for is a
# bare `-A FORWARD`.
places() {
    printf '%s\n' "$1" | awk '
        /^-A FORWARD( |$)/ { n++ }
        /^-A FORWARD -j DOCKER-USER$/ { printf "%s%s", between, n; between = " " }'
}

# place_jump FAMILY PLACE…: the jump stands there, in this order, and nowhere else. All in one transaction, so that there
# is no moment without it; deleted by what they say and not by number, for Docker may insert a rule meanwhile.
place_jump() {
    program_of "$1"
    shift
    filter "$program" || return
    old_places=$(places "$filter")
    [ "$old_places" != "$*" ] || return 0
    move_jump "$*" || because "the kernel did not move the jump to DOCKER-USER:" || return
    filter "$program" || return
    new_places=$(places "$filter")
    [ "$new_places" != "$wanted_places" ] || return 0
    jump_trouble="the jump to DOCKER-USER came to stand at ${new_places:-no place} instead of $wanted_places: somebody else writes to FORWARD"
    move_jump "$old_places"
    answer=
    because "$jump_trouble"
}

# move_jump PLACES: from where $filter has it. A place beyond the end is the end.
move_jump() {
    move_text=$(printf '%s\n' "$filter" | awk -v places="$1" '
        /^-A FORWARD -j DOCKER-USER$/ { deletes = deletes "-D FORWARD -j DOCKER-USER\n"; next }
        /^-A FORWARD( |$)/ { n++ }
        END {
            count = split(places, place, " ")
            for (i = 1; i <= count; i++) {
                at = place[i] > n + i ? n + i : place[i]
                inserts = inserts "-I FORWARD " at " -j DOCKER-USER\n"
                wanted = wanted (i > 1 ? " " : "") at
            }
            printf "#%s\n*filter\n%s%sCOMMIT\n", wanted, deletes, inserts
        }')
    wanted_places=${move_text%%"$newline"*}
    wanted_places=${wanted_places#?}
    load "$program" "$move_text" $lock --noflush
}

