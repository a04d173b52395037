# fwdeploy changes a node: the steps of a plan, one after the other, until one fails.
#
# Runs in any POSIX shell (dash, bash, busybox ash), fed to `sh -s` as root. Writes no file: what has to be remembered is
# in variables, and what has to be fed to a program goes through a pipe. A step that fails leaves the node as it was
# before that step; a signal, or a caller who has gone away, is obeyed between two steps and never within one.
#
# The answer on stdout, a line each as it happens:
#
#   step N begin
#   step N done
#   step N failed CODE            followed by why, each line of it behind `| `; nothing more is done
#   end                           without this line the answer was cut off
#
# What stands before the first such line is somebody's login greeting. All is in functions that the last line starts, so
# that half a script does nothing.

umask 077
set -f # Lists are split at white space below, and none of their words is a pattern.
LC_ALL=C
export LC_ALL
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/snap/bin
export PATH
# The node's own engine, wherever the user's context points to.
DOCKER_HOST=unix:///var/run/docker.sock
export DOCKER_HOST
unset DOCKER_CONTEXT

firewalld=org.fedoraproject.FirewallD1
runtime=/org/fedoraproject/FirewallD1
permanent=/org/fedoraproject/FirewallD1/config
newline='
'
escape=$(printf '\033')
# A busy dockerd takes seconds to attach a container; a firewalld with thousands of rules takes as long to reload.
seconds=60
# How long Docker may take to put its rules back after a reload; on an idle node it takes 0.1 to 0.5 s.
patience=30
clock=
! command -v timeout >/dev/null || clock="timeout $seconds"

answer=  # Why the step at work has failed.
stopped= # The signal that asked us to stop.

# ---------------------------------------------------------------------------------------------------- steps

say() { printf '%s\n' "$1" 2>/dev/null || stopped=${stopped:-PIPE}; }

# step N COMMAND…: one step of the plan.
step() {
    number=$1
    shift
    if [ -n "$stopped" ]; then
        answer="stopped by SIG$stopped ahead of this step"
        failed 143
    fi
    say "step $number begin"
    mkdir -p /run/fwdeploy && printf '%s\n' "$number" >/run/fwdeploy/step
    answer=
    "$@" || failed $?
    say "step $number done"
}

failed() {
    say "step $number failed $1"
    say "$(printf '%s\n' "$answer" | sed 's/^/| /')"
    rm -rf /run/fwdeploy
    say end
    exit 1
}

# because TEXT: fails for that reason, ahead of what a program has said about it, and with that program's code.
because() {
    because_code=$?
    [ "$because_code" != 124 ] || answer="${answer:+$answer$newline}no end within $seconds seconds"
    answer="$1${answer:+$newline$answer}"
    [ "$because_code" != 0 ] || because_code=1
    return "$because_code"
}

# ask COMMAND…: runs it; what it prints is the answer.
ask() { answer=$($clock "$@" 2>&1 </dev/null); }

# load PROGRAM TEXT OPTION…: feeds PROGRAM-restore.
load() {
    load_program=$1
    load_text=$2
    shift 2
    answer=$(printf '%s\n' "$load_text" | $clock "$load_program-restore" "$@" 2>&1)
}

# The lock of the older iptables is held by whoever else changes rules. Before 1.6.2, and the backport of CentOS 7, its
# restore does not know the option.
lock=
find_lock() { ! printf '' | iptables-restore -w --noflush --test >/dev/null 2>&1 || lock=-w; }

program_of() {
    case $1 in
    ipv4) program=iptables ;;
    ipv6) program=ip6tables ;;
    esac
}

# ---------------------------------------------------------------------------------------------------- firewalld

# fw PATH INTERFACE METHOD [SIGNATURE VALUE…]. A firewalld that somebody has stopped is not started: that would flush
# the tables and Docker's rules with them.
fw() {
    answer=$(busctl --auto-start=no --timeout="$seconds" call -- "$firewalld" "$@" 2>&1 </dev/null) && return
    fw_code=$?
    # systemd 247 colours its errors whether or not anybody can see that.
    case $answer in *"$escape"*) answer=$(printf '%s\n' "$answer" | sed "s/$escape\[[0-9;]*m//g") ;; esac
    answer=${answer#Call failed: }
    return "$fw_code"
}

# fw_or CODE PATH …: as fw; that error means that it is so already.
fw_or() {
    already=$1
    shift
    fw "$@" && return
    fw_code=$?
    case $answer in
    "$already" | "$already:"*) answer= ;;
    *) because "firewalld would not ($3):" || return "$fw_code" ;;
    esac
}

add_rule() { fw_or ALREADY_ENABLED "$runtime" "$firewalld.direct" addRule sssias "$@"; }
remove_rule() { fw_or NOT_ENABLED "$runtime" "$firewalld.direct" removeRule sssias "$@"; }
add_rich() { fw_or ALREADY_ENABLED "$runtime" "$firewalld.zone" addRichRule ssi "$1" "$2" 0; }
remove_rich() { fw_or NOT_ENABLED "$runtime" "$firewalld.zone" removeRichRule ss "$1" "$2"; }

direct_settings() {
    fw "$permanent" "$firewalld.config.direct" getSettings || because "firewalld does not tell its permanent direct configuration:"
}
update_direct() { fw "$permanent" "$firewalld.config.direct" update '(a(sss)a(sssias)a(sas))' "$@"; }

# set_direct WRITE_BEFORE WRITE_AFTER BEFORE AFTER: two functions, and what firewalld then tells in busctl's words.
set_direct() {
    direct_settings || return
    if [ "$answer" != "$3" ]; then
        answer=
        because "firewalld's permanent direct configuration is not what it was when the plan was made: somebody else changes it; nothing was written"
        return
    fi
    if "$2"; then
        direct_settings || return
        [ "$answer" != "$4" ] || return 0
        because "firewalld holds another permanent direct configuration than was written:"
    else
        because "firewalld did not take the permanent direct configuration:"
    fi
    trouble=$answer
    direct_settings && [ "$answer" = "$3" ] || "$1" || trouble="$trouble${newline}and did not take the old one back: $answer"
    answer=$trouble
    return 1
}

# sorted TEXT: busctl's list of strings, one a line. firewalld 2 keeps rich rules in no order.
sorted() {
    printf '%s\n' "$1" | sed 's/" "/"\
"/g; s/^as [0-9]* *//' | sort
}

rich_settings() {
    fw "$permanent" "$firewalld.config" getZoneByName s "$1" || because "firewalld has no permanent zone $1:" || return
    zone_path=${answer#o \"}
    zone_path=${zone_path%\"}
    fw "$zone_path" "$firewalld.config.zone" getRichRules || because "firewalld does not tell the permanent rich rules of $1:"
}
update_rich() { fw "$zone_path" "$firewalld.config.zone" setRichRules as "$@"; }

# set_rich ZONE WRITE_BEFORE WRITE_AFTER BEFORE COUNT: COUNT rules are there afterwards.
set_rich() {
    rich_settings "$1" || return
    if [ "$(sorted "$answer")" != "$(sorted "$4")" ]; then
        answer=
        because "the permanent rich rules of zone $1 are not what they were when the plan was made: somebody else changes them; nothing was written"
        return
    fi
    if "$3"; then
        rich_settings "$1" || return
        # firewalld may spell a rule in its own way, hence the number only.
        case $answer in "as $5" | "as $5 "*) return 0 ;; esac
        because "firewalld holds other permanent rich rules than were written:"
    else
        because "firewalld did not take the permanent rich rules of zone $1:"
    fi
    trouble=$answer
    rich_settings "$1" && [ "$(sorted "$answer")" = "$(sorted "$4")" ] || "$2" || trouble="$trouble${newline}and did not take the old ones back: $answer"
    answer=$trouble
    return 1
}

# ---------------------------------------------------------------------------------------------------- Docker

create_network() { ask docker network create --driver bridge "$@" || because "docker did not make the network:"; }
remove_network() { ask docker network rm "$@" || because "docker did not remove the network:"; }

# connect OPTION… NETWORK CONTAINER. An attachment that fails on a running container stays in that container's settings in
# every version from 20.10 to 28.5, `docker network disconnect` knows nothing of it, and once the network is gone the
# container does not start any more. So what can be known to fail is not tried, and what fails is taken back.
connect() {
    connect_address=
    connect_option=
    for connect_word in "$@"; do
        case $connect_option in --ip | --ip6) connect_address="$connect_address $connect_word" ;; esac
        connect_option=$connect_word
        connect_network=$connect_container
        connect_container=$connect_word
    done
    for connect_word in $connect_address; do
        connect_holder=$($clock docker network inspect -f '{{range .Containers}}{{.Name}} {{.IPv4Address}} {{.IPv6Address}}{{"\n"}}{{end}}' "$connect_network" 2>/dev/null </dev/null |
            awk -v address="$connect_word/" 'index($2, address) == 1 || index($3, address) == 1 { print $1 }')
        [ -z "$connect_holder" ] || because "$connect_word on network $connect_network is taken by container $connect_holder; nothing was changed" || return
    done
    connect_before=$(attachments)
    ask docker network connect "$@" && return
    because "docker did not attach the container:" || connect_trouble=$answer
    if [ "$connect_before" != "$(attachments)" ]; then
        ask docker network connect "$connect_network" "$connect_container" && ask docker network disconnect "$connect_network" "$connect_container" ||
            connect_trouble="$connect_trouble${newline}and its settings still name the network: $answer"
    fi
    answer=$connect_trouble
    return 1
}

attachments() {
    $clock docker inspect -f '{{range $name, $settings := .NetworkSettings.Networks}}{{$name}} {{end}}' "$connect_container" 2>&1 </dev/null
}

disconnect() { ask docker network disconnect "$@" || because "docker did not detach the container:"; }

# What changes when a container starts, stops or moves: its devices first, then what Docker says about it.
containers() {
    ls /sys/class/net
    $clock docker ps --no-trunc --format '{{.ID}} {{.Networks}} {{.Ports}}' </dev/null 2>&1
}

# ---------------------------------------------------------------------------------------------------- the latch

# latch SUBNET…: drops new flows between the subnets and everybody else. A table of its own is out of the way of
# firewalld and Docker, neither of which flushes it.
latch() {
    if command -v nft >/dev/null; then
        latch_text=$(
            # Added, so that it can be deleted: one transaction, whether or not it was there.
            printf '%s\n' 'add table inet fwdeploy_latch' 'delete table inet fwdeploy_latch' 'table inet fwdeploy_latch {' 'chain latch_forward {' \
                'type filter hook forward priority -5' 'policy accept'
            for subnet in "$@"; do
                case $subnet in *:*) ip=ip6 ;; *) ip=ip ;; esac
                echo "$ip saddr $subnet $ip daddr != $subnet ct state new drop"
                echo "$ip daddr $subnet $ip saddr != $subnet ct state new drop"
            done
            printf '%s\n' '}' '}'
        )
        answer=$(printf '%s\n' "$latch_text" | $clock nft -f - 2>&1) && return
    fi
    # CentOS 7 has no nft by default. The mangle table is nobody's either, but whoever flushes all tables flushes it too.
    latch_trouble=$answer
    for program in iptables ip6tables; do
        latch_text=
        for subnet in "$@"; do
            case $program$subnet in
            ip6tables*:* | iptables*.*)
                for way in "-s $subnet ! -d $subnet" "-d $subnet ! -s $subnet"; do
                    latch_text="$latch_text${newline}-I FORWARD 1 $way -m conntrack --ctstate NEW -m comment --comment fwdeploy:latch -j DROP"
                done
                ;;
            esac
        done
        [ -n "$latch_text" ] || continue
        load "$program" "*mangle$(latch_lines "$program" -D)$latch_text${newline}COMMIT" $lock --noflush || {
            latch_trouble="$latch_trouble${latch_trouble:+$newline}$answer"
            unlatch
            answer=$latch_trouble
            because "the latch does not close:"
            return
        }
    done
}

# latch_lines PROGRAM OPTION: the rules of a latch in the mangle table, to be deleted or added, each on a new line.
latch_lines() {
    $clock "$1-save" -t mangle </dev/null 2>/dev/null |
        sed -n "/^-A FORWARD .*--comment \"*fwdeploy:latch\"* -j DROP\$/{s/^-A/$2/;p;}" |
        while IFS= read -r latch_line; do printf '\n%s' "$latch_line"; done
}

unlatch() {
    if command -v nft >/dev/null && nft list tables 2>/dev/null | grep -q '^table inet fwdeploy_latch$'; then
        ask nft delete table inet fwdeploy_latch || because "the latch does not open:" || return
    fi
    for program in iptables ip6tables; do
        command -v "$program-save" >/dev/null || continue
        latch_text=$(latch_lines "$program" -D)
        [ -z "$latch_text" ] ||
            load "$program" "*mangle$latch_text${newline}COMMIT" $lock --noflush || because "the latch does not open:" || return
    done
}

# ---------------------------------------------------------------------------------------------------- the kernel's tables

# look: all tables of the kernel with their counters, in $now_PROGRAM. ebtables too, for firewalld's flush spares none.
look() {
    now_iptables=$($clock iptables-save -c 2>&1 </dev/null) || {
        answer=$now_iptables
        because "iptables-save does not tell what the kernel holds:"
        return
    }
    now_ip6tables=
    now_ebtables=
    # A node without IPv6 has no tables for it.
    ! command -v ip6tables-save >/dev/null || now_ip6tables=$($clock ip6tables-save -c 2>/dev/null </dev/null) || now_ip6tables=
    ! command -v ebtables-save >/dev/null || now_ebtables=$($clock ebtables-save 2>/dev/null </dev/null) || now_ebtables=
}

remember() {
    was_iptables=$now_iptables
    was_ip6tables=$now_ip6tables
    was_ebtables=$now_ebtables
}

# lines TABLES: a line for each policy but ACCEPT, each chain of one's own and each rule, its table ahead of it, without
# counters, in the order of tables and chains. The kernel is as it was when these are.
lines() {
    printf '%s\n' "$1" | awk '
        /^\*/ { table = substr($0, 2); next }
        /^(#|COMMIT|$)/ { next }
        { sub(/^\[[0-9]+:[0-9]+\] /, "") }
        /^:/ { if ($2 == "ACCEPT") next; printf "%s %s %08d\t%s %s %s\n", table, substr($1, 2), 0, table, $1, $2; next }
        { printf "%s %s %08d\t%s %s\n", table, $2, NR, table, $0 }' | sort | cut -f2-
}

# lacking TABLES TABLES: the chains and rules of the first that are not in the second, with their table.
lacking() {
    printf '%s\n' "$2" '=' "$1" | awk '
        $0 == "=" { second = 1; next }
        /^\*/ { table = substr($0, 2); next }
        /^(#|COMMIT|$)/ { next }
        { sub(/^\[[0-9]+:[0-9]+\] /, "") }
        /^:/ { if ($2 == "ACCEPT" || $2 == "DROP") next; $0 = $1 }
        !second { have[table, $0]++; next }
        have[table, $0]-- > 0 { next }
        { print table, $0 }'
}

# is_flushed TABLES TABLES: whether the second is what a flush leaves of the first. Docker may have taken a rule away, or
# written one again, in the same moment; DOCKER-USER is away in any case.
is_flushed() {
    printf '%s\n' "$2" '=' "$1" | awk '
        $0 == "=" { second = 1; next }
        /^\*/ { table = substr($0, 2); next }
        { sub(/^\[[0-9]+:[0-9]+\] /, "") }
        !/^-A / || $2 == "DOCKER-USER" || / -[jg] DOCKER-USER$/ { next }
        !second { have[table, $0]++; next }
        { total++; if (have[table, $0]-- > 0) common++ }
        END { exit !(total > 2 * common) }'
}

# has_chain TABLES: whether DOCKER-USER is there.
has_chain() {
    case "$newline$1" in *"$newline:DOCKER-USER "*) return 0 ;; esac
    return 1
}

# with_chain TABLES: the same tables with an empty DOCKER-USER if there is none.
with_chain() {
    if has_chain "$1"; then
        printf '%s\n' "$1"
    else
        printf '%s\n' "$1" | awk '
            { print }
            $0 == "*filter" { print ":DOCKER-USER - [0:0]"; there = 1 }
            END { if (!there) print "*filter\n:DOCKER-USER - [0:0]\nCOMMIT" }'
    fi
}

# ---------------------------------------------------------------------------------------------------- the chain and firewalld

owned() { fw "$runtime" "$firewalld.direct" queryChain sss "$1" filter DOCKER-USER && [ "$answer" = 'b true' ]; }

own_chain() {
    program_of "$1"
    if owned "$1"; then
        look || return
        eval "chain_now=\$now_$program"
        has_chain "$chain_now" || load "$program" "*filter${newline}:DOCKER-USER - [0:0]${newline}COMMIT" $lock --noflush
        return
    fi
    recreate "$1" addChain && return
    trouble=$answer
    ! owned "$1" || recreate "$1" removeChain || trouble="$trouble${newline}and giving the chain back failed: $answer"
    answer=$trouble
    return 1
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
    containers_were=$(containers)
    look || return
    remember
    eval "chain_was=\$was_$mine"
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
    [ "$recreate_method" = removeChain ] || eval "was_$mine=\$(with_chain \"\$chain_was\")"
    [ -z "$unlink" ] || load "$mine" "$unlink" $lock --noflush || because "the kernel did not let go of DOCKER-USER; nothing was changed:" || return
    recreate_trouble=
    fw "$runtime" "$firewalld.direct" "$recreate_method" sss "$1" filter DOCKER-USER ||
        recreate_trouble="firewalld would not ($recreate_method): $answer"
    [ -z "$recreate_trouble" ] || eval "was_$mine=\$chain_was"
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
        /^-A DOCKER-USER / || /^-A .* -[jg] DOCKER-USER$/ { print }
        /^:DOCKER-USER / { print $1 }'
}

# put_back: makes the kernel what $was_PROGRAM tells, where it was flushed, and gives $mine, one of these programs, its
# DOCKER-USER and the jumps to it again, which were taken away on purpose. What else differs is Docker's latest.
put_back() {
    flushed=
    put_back_trouble=
    look || return
    for kind in iptables ip6tables ebtables; do
        eval "was=\$was_$kind now=\$now_$kind"
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
                /^-A DOCKER-USER / { content = content line "\n"; next }
                / -[jg] DOCKER-USER$/ { at = "-I " $2 " " place[$2]; sub(/^-A [^ ]+/, at); jumps = jumps $0 "\n" }
                END { printf "*filter\n:DOCKER-USER - [0:0]\n%s%sCOMMIT\n", content, jumps }')" $lock -c --noflush
        else
            :
        fi || put_back_trouble="$put_back_trouble${put_back_trouble:+$newline}$kind-restore: $answer"
    done
    look || return
    for kind in $flushed; do
        eval "was=\$was_$kind now=\$now_$kind"
        [ "$(lines "$was")" = "$(lines "$now")" ] || {
            lost=$(lacking "$was" "$now")
            # One rule more is Docker's latest.
            [ -z "$lost" ] && [ "$containers_were" != "$(containers)" ] ||
                put_back_trouble="$put_back_trouble${put_back_trouble:+$newline}$kind is not as it was: ${lost:-the order differs}"
        }
    done
    if [ -n "$mine" ]; then
        eval "was=\$was_$mine now=\$now_$mine"
        [ "$(chain_of "$was")" = "$(chain_of "$now")" ] ||
            put_back_trouble="$put_back_trouble${put_back_trouble:+$newline}DOCKER-USER is not as it was: $(chain_of "$now")"
    fi
    answer=$put_back_trouble
    [ -z "$answer" ]
}

# ---------------------------------------------------------------------------------------------------- the chain and the kernel

# filter PROGRAM: the filter table, in $filter.
filter() {
    filter=$($clock "$1-save" -t filter 2>&1 </dev/null) && return
    answer=$filter
    because "$1-save does not tell what the kernel holds:"
}

# content TABLES: the rules of DOCKER-USER.
content() { printf '%s\n' "$1" | sed -n '/^-A DOCKER-USER /p'; }

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

# places TABLES: where the jump stands among the rules of FORWARD, counted from 1.
places() {
    printf '%s\n' "$1" | awk '
        /^-A FORWARD / { n++ }
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
        /^-A FORWARD / { n++ }
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

# ---------------------------------------------------------------------------------------------------- reload

# reload SUBNET…: the latch is on. Docker gets its rules back from itself, and from our memory what it forgets.
reload() {
    mine=
    look || return
    remember
    containers_were=$(containers)
    networks=$(docker_networks)
    devices=$(printf '%s\n' "$networks" | while read -r device subnets; do printf '%s ' "$device"; done)
    stamp=$(reloaded_at)
    # Docker's stamp counts whole seconds: two reloads within one could not be told apart.
    case $stamp in *"$(date -u +%Y-%m-%dT%H:%M:%S)"*) sleep 1 ;; esac
    reload_trouble=
    fw "$runtime" "$firewalld" reload || reload_trouble="firewalld did not reload: $answer"
    fw "$runtime" org.freedesktop.DBus.Properties Get ss "$firewalld" state || answer="no answer: $answer"
    [ "$answer" = 'v s "RUNNING"' ] || reload_trouble="$reload_trouble${reload_trouble:+$newline}firewalld's state after the reload: $answer"
    if [ -n "$reload_trouble" ]; then
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
        eval "was=\$was_$program"
        held=$(printf '%s\n' "$was" | sed -n 's/^\[[0-9]*:[0-9]*\] //; /^-A FORWARD .*--comment "*fwdeploy:latch"* -j DROP$/{s/^-A FORWARD/-I FORWARD 1/;p;}')
        [ -z "$held" ] || [ -n "$(latch_lines "$program" -D)" ] || load "$program" "*mangle$newline$held${newline}COMMIT" $lock --noflush
    done
}

# A line for each bridge network: its device, then the IPv4 subnets that Docker translates.
docker_networks() {
    ids=$($clock docker network ls -q --no-trunc --filter driver=bridge 2>/dev/null </dev/null) && [ -n "$ids" ] || return 0
    $clock docker network inspect -f '{{.Id}}|{{.Internal}}|{{range $k, $v := .Options}}{{$k}}={{$v}}|{{end}} {{range .IPAM.Config}}{{.Subnet}} {{end}}' $ids 2>/dev/null </dev/null |
        while read -r about subnets; do
            case $about in
            *'|com.docker.network.bridge.name='*)
                device=${about##*'|com.docker.network.bridge.name='}
                device=${device%%'|'*}
                ;;
            *) device=br-$(printf %.12s "$about") ;;
            esac
            case $about in *'|true|'* | *enable_ip_masquerade=false* | *gateway_mode_ipv4=routed* | *gateway_mode_ipv4=isolated*) subnets= ;; esac
            echo "$device $subnets"
        done
}

# What Docker 28.1 and later tell about reloads: when they had put the last of their rules back.
reloaded_at() { $clock docker info --format '{{json .FirewallBackend}}' 2>/dev/null </dev/null | grep Driver; }

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
    until=$(($(date +%s) + patience))
    before=
    quiet=0
    while :; do
        look || return
        listing="$(lines "$now_iptables")$newline$(lines "$now_ip6tables")"
        [ "$listing" = "$before" ] && quiet=$((quiet + 1)) || quiet=0
        before=$listing
        [ "$quiet" -lt 1 ] || [ -n "$(nat_lacking "$@")" ] || ! has_jump || ! has_finished || return 0
        [ "$(date +%s)" -lt "$until" ] || return 1
        sleep 0.1 2>/dev/null || sleep 1
    done
}

# Only from 28.1 on does Docker tell that it has finished. Before, it has when nothing has moved for a second, or for two
# while something is missing: some of it will never come, and a loaded machine lets dockerd wait between two rules.
has_finished() {
    if [ -n "$stamp" ]; then
        [ "$stamp" != "$(reloaded_at)" ]
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
    eval "was=\$was_$1 now=\$now_$1"
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

# ---------------------------------------------------------------------------------------------------- the whole

# One run at a time on a node, and whoever lost the connection to one can wait for its end (wait.sh). The lock is on a
# folder that is there anyway, and is also held by what a step has started, for as long as that takes.
hold() {
    command -v flock >/dev/null && [ -d /etc/firewalld ] || return 0
    exec 9</etc/firewalld
    # The timeout of busybox leaves a watcher behind, for a second or two, that has the lock with all else.
    for try in 1 2 3 4 5 6; do
        flock -n 9 && return
        sleep 0.5 2>/dev/null || sleep 1
    done
    number=0
    answer="another run of fwdeploy is changing this node"
    failed 75
}

main() {
    for signal in HUP INT PIPE TERM; do trap "stopped=$signal" "$signal"; done
    hold
    find_lock
    plan
    rm -rf /run/fwdeploy
    say end
    exit 0
}
