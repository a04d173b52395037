# ---------------------------------------------------------------------------------------------------- reload

bring_about=reload_now # What makes firewalld load its permanent configuration.
reload_now() {
    own_table
    fw "$runtime" "$firewalld" reload && return
    # With its nftables backend firewalld also tells all that it wanted to load.
    answer=$(printf %.600s "$answer")
    because "firewalld did not reload:"
}

# own_table: a firewalld that wants to delete its table and finds none fails, and leaves behind one that drops everything.
own_table() {
    command -v nft >/dev/null || return 0
    property "$permanent" "$firewalld.config" FirewallBackend && [ "$answer" = 'v s "nftables"' ] || return 0
    own_families=inet
    # Before 1.0 the translation has tables of its own.
    ! property "$runtime" "$firewalld" version || case $answer in *'"0.'*) own_families="inet ip ip6" ;; esac
    for own_family in $own_families; do
        nft list table "$own_family" firewalld >/dev/null 2>&1 </dev/null || nft add table "$own_family" firewalld >/dev/null 2>&1 </dev/null || :
    done
}

# reload SUBNET…: the latch is on. Docker gets its rules back from itself, and from our memory what it forgets.
reload() {
    mine=
    look || return
    remember
    containers_were=$(containers) && networks=$(docker_networks) && stamp=$(reloaded_at) || {
        answer="docker does not answer"
        because "nothing was reloaded, for Docker would not put its rules back:"
        return 124
    }
    devices=$(printf '%s\n' "$networks" | while read -r device subnets; do printf '%s ' "$device"; done)
    # Docker's stamp counts whole seconds: two reloads within one could not be told apart.
    case $stamp in *"$(date -u +%Y-%m-%dT%H:%M:%S)"*) sleep 1 ;; esac
    reload_trouble=
    $bring_about || reload_trouble=$answer
    firewalld_state || answer="no answer: $answer"
    [ "$answer" = "$running" ] || reload_trouble="$reload_trouble${reload_trouble:+$newline}firewalld's state after the reload: $answer"
    if [ -n "$reload_trouble" ]; then
        # What it left, for who looks for the cause.
        ! look || { left_iptables=$now_iptables left_ip6tables=$now_ip6tables left_ebtables=$now_ebtables; }
        # A reload that fails has flushed Docker's rules and sends no signal. Before 0.7 it leaves every policy at DROP.
        put_back || reload_trouble="$reload_trouble$newline$answer"
        answer=$reload_trouble
        return 1
    fi
    hold_latch
    # A busy dockerd may pause for longer than we wait, and put a rule of its own ahead of ours afterwards.
    for attempt in 1 2 3 4 5; do
        await_docker "$@" || :
        mend || return
        jump_trouble=
        for family in ipv4 ipv6; do
            program_of $family
            command -v "$program-save" >/dev/null && filter "$program" && has_chain "$filter" || continue
            place_jump $family 1 || jump_trouble=$answer
        done
        [ -n "$jump_trouble" ] || break
    done
    answer=$jump_trouble
    [ -z "$answer" ] || return
    look || return
    lost=$(nat_lacking "$@")
    [ -z "$lost" ] || because "Docker has not put its address translation back within $patience seconds, for$lost (a dockerd that began before firewalld may not hear of its reloads until it is restarted)"
}

# The latch of a node without nft was flushed with all else.
hold_latch() {
    for program in iptables ip6tables; do
        tables_of "$program"
        held=$(printf '%s\n' "$was" | sed -n 's/^\[[0-9]*:[0-9]*\] //; /^-A FORWARD .*--comment "*fwdeploy:latch"* -j DROP$/{s/^-A FORWARD/-I FORWARD 1/;p;}')
        [ -z "$held" ] || [ -n "$(latch_lines "$program" -D)" ] || load "$program" "*mangle$newline$held${newline}COMMIT" $lock --noflush
    done
}

# nat_lacking SUBNET…: those that Docker should translate and does not, as $now_iptables tells.
nat_lacking() {
    for subnet in "$@"; do
        case " $(printf '%s' "$networks" | tr '\n' ' ') " in *" $subnet "*) ;; *) continue ;; esac
        printf '%s\n' "$now_iptables" | grep -q -e "-A POSTROUTING -s $subnet " || printf ' %s' "$subnet"
    done
}

# await_docker SUBNET…: until Docker has put its rules back.
await_docker() {
    changed=
    [ "$containers_were" = "$(containers)" ] || changed=yes
    # No daemon, or one that began before firewalld and does not listen to it: nobody will put anything back but we.
    [ -n "$networks" ] || return 0
    case $stamp in '' | *firewalld*) ;; *) return 0 ;; esac
    until=$(($(uptime_now) + patience))
    before=
    quiet=0
    while :; do
        look || return
        listing="$(lines "$now_iptables")$newline$(lines "$now_ip6tables")"
        [ "$listing" = "$before" ] && quiet=$((quiet + 1)) || quiet=0
        before=$listing
        [ "$quiet" -lt 1 ] || [ -n "$(nat_lacking "$@")" ] || ! has_jump || ! has_finished || return 0
        [ "$(uptime_now)" -lt "$until" ] || return 1
        sleep 0.1 2>/dev/null || sleep 1
    done
}

# Only from 28.1 on does Docker tell that it has finished. Before, it has when nothing has moved for a second, or for two
# while something is missing: some of it will never come, and a loaded machine lets dockerd wait between two rules.
has_finished() {
    if [ -n "$stamp" ]; then
        # No answer is no other stamp.
        finished_at=$(reloaded_at) && [ "$stamp" != "$finished_at" ]
    else
        [ "$quiet" -ge 16 ] || { [ "$quiet" -ge 8 ] && [ -z "$(mending iptables)$(mending ip6tables)" ]; }
    fi
}

# Docker before 18.02 does not put the jump back, and a node may have had none.
has_jump() {
    case $was_iptables in *"-A FORWARD -j DOCKER-USER$newline"*) ;; *) return 0 ;; esac
    case $now_iptables in *"-A FORWARD -j DOCKER-USER$newline"*) return 0 ;; esac
    return 1
}

# mend: what Docker had in its own chains, and in the built-in ones about its own devices, and has not put back: before 28
# the isolation of its networks, and everything if it does not listen to firewalld. Each rule comes behind the one that
# it stood behind.
mend() {
    look || return
    for kind in iptables ip6tables; do
        mend_text=$(mending $kind)
        [ -z "$mend_text" ] || load "$kind" "$mend_text" $lock --noflush || because "what the reload took from Docker's rules could not be put back:" || return
    done
}

# mending PROGRAM: what mend has to feed it, as $now_PROGRAM tells.
mending() {
    tables_of "$1"
    printf '%s\n' "$was" '=' "$now" | awk -v devices="$devices" -v changed="$changed" '
    function dockers(table, rule,    n, words, i) {
        if (rule ~ / -j DOCKER-USER$/ || rule ~ /^-j DOCKER-USER$/) return 0
        n = split(rule, words, " ")
        for (i = 1; i < n; i++) {
            if ((words[i] == "-j" || words[i] == "-g") && words[i + 1] ~ /^DOCKER($|-)/) return 1
            if ((words[i] == "-i" || words[i] == "-o") && (words[i + 1] in device)) return 1
            if (table == "nat" && words[i] == "-j" && words[i + 1] == "MASQUERADE") return 1
        }
        return table == "nat" && rule ~ /-j MASQUERADE$/
    }
    BEGIN { n = split(devices, list, " "); for (i = 1; i <= n; i++) device[list[i]] }
    $0 == "=" { second = 1; next }
    /^\*/ { table = substr($0, 2); next }
    /^(#|COMMIT|$)/ { next }
    { sub(/^\[[0-9]+:[0-9]+\] /, "") }
    /^:/ {
        chain = substr($1, 2); key = table SUBSEP chain
        if (second) there[key] = 1
        else { tables[++t] = table; chains[t] = chain; own[key] = $2 == "-" }
        next
    }
    {
        key = table SUBSEP $2; rule = substr($0, length($2) + 5)
        if (second) now[key, ++has[key]] = rule
        else {
            was[key, ++had[key]] = rule
            # A Docker that does not answer still tells its devices in its own chains.
            if ($2 ~ /^DOCKER($|-)/ && $2 != "DOCKER-USER")
                for (i = 3; i < NF; i++) if ($i == "-i" || $i == "-o") device[$(i + 1)]
        }
    }
    END {
        for (c = 1; c <= t; c++) {
            table = tables[c]; chain = chains[c]; key = table SUBSEP chain
            ours = chain ~ /^DOCKER($|-)/ && chain != "DOCKER-USER"
            # A container that came or went has its rules from Docker; ours would be the ones of before.
            if (changed != "" && chain !~ /^DOCKER-ISOLATION-/) continue
            if (ours && !there[key]) declared[table] = declared[table] ":" chain " - [0:0]\n"
            if (!ours && own[key]) continue
            split("", left)
            for (i = 1; i <= has[key]; i++) left[now[key, i]]++
            at = 0
            for (i = 1; i <= had[key]; i++) {
                rule = was[key, i]
                if (left[rule] > 0) {
                    left[rule]--
                    for (j = 1; j <= has[key]; j++) if (now[key, j] == rule) { at = j; break }
                    continue
                }
                if (!ours && !dockers(table, rule)) continue
                for (j = has[key]++; j > at; j--) now[key, j + 1] = now[key, j]
                now[key, ++at] = rule
                rules[table] = rules[table] "-I " chain " " at " " rule "\n"
            }
        }
        for (c = 1; c <= t; c++) {
            table = tables[c]
            if (declared[table] rules[table] == "") continue
            printf "*%s\n%s%sCOMMIT\n", table, declared[table], rules[table]
            declared[table] = rules[table] = ""
        }
    }'
}

