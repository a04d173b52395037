# ---------------------------------------------------------------------------------------------------- the chain and firewalld

is_chain_owned() { call_firewalld "$runtime" "$firewalld.direct" queryChain sss "$1" filter DOCKER-USER && [ "$answer" = 'b true' ]; }

# own_chain FAMILY: DOCKER-USER becomes owned by firewalld, with its content and the jumps to it.
own_chain() {
    local program trouble code
    program=$(iptables_of "$1")
    if is_chain_owned "$1"; then
        read_kernel || return
        select_tables "$program"
        has_chain "$now" || restore_tables "$program" "*filter${newline}:DOCKER-USER - [0:0]${newline}COMMIT" $wait_flag --noflush
        return
    fi
    recreate_chain "$1" addChain && return
    trouble=$answer
    ! is_chain_owned "$1" || recreate_chain "$1" removeChain || trouble="$trouble${newline}and releasing DOCKER-USER failed: $answer"
    # 69: firewalld is no longer running, so there is no other way either.
    code=69
    ! firewalld_state || code=1
    answer=$trouble
    return "$code"
}

# disown_chain FAMILY: DOCKER-USER is no longer owned by firewalld, and keeps its content.
disown_chain() {
    local trouble
    if ! is_chain_owned "$1"; then
        case $answer in b*) return 0 ;; esac
        fail_with "firewalld does not report whether it owns DOCKER-USER:"
        return
    fi
    recreate_chain "$1" removeChain && return
    trouble=$answer
    is_chain_owned "$1" || recreate_chain "$1" addChain || trouble="$trouble${newline}and taking the chain again failed: $answer"
    answer=$trouble
    return 1
}

# recreate_chain FAMILY addChain|removeChain: firewalld creates or deletes a chain only if it does not exist, or is empty and
# has no jumps to it. So the chain is removed, firewalld makes its change, and everything is restored.
#
# From 2.0 on, with its nftables backend, firewalld's first call of this kind flushes every table of iptables, ip6tables
# and ebtables (firewalld#1354, b7faa74d), and sends no signal that would notify Docker. That is restored too.
recreate_chain() {
    local method="$2" chain_was unlink trouble
    chain_program=$(iptables_of "$1")
    containers_were=$(container_state) || {
        answer="docker does not answer"
        fail_with "nothing was changed:"
        return 124
    }
    read_kernel || return
    remember_kernel
    select_tables "$chain_program"
    chain_was=$was
    # What could not be restored must not be removed.
    restore_tables iptables "$was_iptables" $wait_flag -c --test || fail_with "iptables-restore does not accept the output of iptables-save; nothing was changed:" || return
    restore_tables ip6tables "$was_ip6tables" $wait_flag -c --test || fail_with "ip6tables-restore does not accept the output of ip6tables-save; nothing was changed:" || return
    unlink=$(printf '%s\n' "$chain_was" | awk_unlink_chain -v method="$method")
    [ "$method" = removeChain ] || remember_tables "$chain_program" "$(with_chain "$chain_was")"
    [ -z "$unlink" ] || restore_tables "$chain_program" "$unlink" $wait_flag --noflush || fail_with "the kernel did not release DOCKER-USER; nothing was changed:" || return
    trouble=
    call_firewalld "$runtime" "$firewalld.direct" "$method" sss "$1" filter DOCKER-USER ||
        trouble="firewalld refused ($method): $answer"
    [ -z "$trouble" ] || remember_tables "$chain_program" "$chain_was"
    put_back_tables || trouble="$trouble${trouble:+$newline}$answer"
    # Docker may have written a rule between our reading and the flush, and only Docker knows which.
    [ -z "$flushed" ] || [ "$containers_were" = "$(container_state)" ] ||
        trouble="$trouble${trouble:+$newline}a container started or stopped while the chain was recreated: Docker's rules may lack one of its own until the next reload"
    answer=$trouble
    [ -z "$answer" ]
}

# chain_and_jumps TABLES: DOCKER-USER and the jumps to it.
chain_and_jumps() {
    printf '%s\n' "$1" | awk_chain_and_jumps
}

# put_back_tables: restores the kernel to what $was_PROGRAM holds, if it was flushed, and restores DOCKER-USER and the jumps to it, which
# were removed on purpose, in $chain_program, one of these programs. Other differences are recent changes by Docker.
put_back_tables() {
    local kind options trouble='' lost
    flushed=
    read_kernel || return
    for kind in iptables ip6tables ebtables; do
        select_tables "$kind"
        # A reload that failed may leave firewalld's own rules, and removes Docker's: there anything missing counts.
        if [ -z "$chain_program" ] && [ -n "$(missing_rules "$was" "$now")" ] || is_flushed "$was" "$now"; then
            flushed="$flushed $kind"
            case $kind in ebtables) options= ;; *) options="$wait_flag -c" ;; esac
            restore_tables "$kind" "$was" $options
        elif [ "$kind" = "$chain_program" ] && has_chain "$was"; then
            restore_tables "$kind" "$(printf '%s\n' "$was" | awk_relink_chain)" $wait_flag -c --noflush
        else
            :
        fi || trouble="$trouble${trouble:+$newline}$kind-restore: $answer"
    done
    read_kernel || return
    for kind in $flushed; do
        select_tables "$kind"
        [ "$(comparable_rules "$was")" = "$(comparable_rules "$now")" ] || {
            lost=$(missing_rules "$was" "$now")
            # One additional rule is a recent change by Docker.
            [ -z "$lost" ] && [ "$containers_were" != "$(container_state)" ] ||
                trouble="$trouble${trouble:+$newline}$kind is not as it was: ${lost:-the order differs}"
        }
    done
    if [ -n "$chain_program" ]; then
        select_tables "$chain_program"
        [ "$(chain_and_jumps "$was")" = "$(chain_and_jumps "$now")" ] ||
            trouble="$trouble${trouble:+$newline}DOCKER-USER is not as it was: $(chain_and_jumps "$now")"
    fi
    answer=$trouble
    [ -z "$answer" ]
}

# ---------------------------------------------------------------------------------------------------- the chain and the kernel

# read_filter PROGRAM: the filter table, in $filter_table.
read_filter() {
    filter_table=$(limited "$1-save" -t filter 2>&1 </dev/null) && return
    answer=$filter_table
    fail_with "$1-save does not report what the kernel holds:"
}

# chain_rules TABLES: the rules of DOCKER-USER.
chain_rules() { printf '%s\n' "$1" | sed -n -e '/^-A DOCKER-USER /p' -e '/^-A DOCKER-USER$/p'; }

# set_chain FAMILY COUNT RULES: the chain holds exactly these rules, in iptables-save's format. One transaction:
# restoring an existing chain empties it first.
set_chain() {
    local program before count
    program=$(iptables_of "$1")
    read_filter "$program" || return
    restore_tables "$program" "*filter$newline:DOCKER-USER - [0:0]${3:+$newline$3}${newline}COMMIT" $wait_flag --noflush ||
        fail_with "the kernel did not accept the chain:" || return
    before=$filter_table
    read_filter "$program" || return
    count=$(chain_rules "$filter_table" | grep -c .)
    [ "$count" != "$2" ] || return 0
    if has_chain "$before"; then
        restore_tables "$program" "*filter$newline:DOCKER-USER - [0:0]$newline$(chain_rules "$before")${newline}COMMIT" $wait_flag --noflush
    else
        remove_chain "$1"
    fi
    answer=
    fail_with "the kernel held $count rules in DOCKER-USER where $2 were written"
}

# remove_chain FAMILY: there is no DOCKER-USER.
remove_chain() {
    local program
    program=$(iptables_of "$1")
    read_filter "$program" || return
    ! has_chain "$filter_table" ||
        restore_tables "$program" "*filter$newline-F DOCKER-USER$newline-X DOCKER-USER${newline}COMMIT" $wait_flag --noflush ||
        fail_with "the kernel did not release DOCKER-USER:"
}

# jump_places TABLES: the positions of the jump among the rules of FORWARD, counted from 1. A rule that iptables cannot print is a
# bare `-A FORWARD`.
jump_places() {
    printf '%s\n' "$1" | awk_jump_places
}

# place_jump FAMILY PLACE…: the jump is at these positions, in this order, and nowhere else. All in one transaction, so that there
# is no moment without it; deleted by content and not by number, because Docker may insert a rule meanwhile.
place_jump() {
    local program before after trouble
    program=$(iptables_of "$1")
    shift
    read_filter "$program" || return
    before=$(jump_places "$filter_table")
    [ "$before" != "$*" ] || return 0
    move_jump "$program" "$*" || fail_with "the kernel did not move the jump to DOCKER-USER:" || return
    read_filter "$program" || return
    after=$(jump_places "$filter_table")
    [ "$after" != "$jump_wanted" ] || return 0
    trouble="the jump to DOCKER-USER came to stand at ${after:-no place} instead of $jump_wanted: somebody else writes to FORWARD"
    move_jump "$program" "$before"
    answer=
    fail_with "$trouble"
}

# move_jump PROGRAM PLACES: from its positions in $filter_table. A position beyond the end is the end. The new positions are in $jump_wanted.
move_jump() {
    local program="$1" text
    text=$(printf '%s\n' "$filter_table" | awk_move_jump -v places="$2")
    jump_wanted=${text%%"$newline"*}
    jump_wanted=${jump_wanted#?}
    restore_tables "$program" "$text" $wait_flag --noflush
}
