# ---------------------------------------------------------------------------------------------------- reload

reload_command=reload_firewalld
reload_firewalld() {
    ensure_firewalld_table
    call_firewalld "$runtime" "$firewalld" reload && return
    # With its nftables backend firewalld also prints everything that it wanted to load.
    answer=$(printf %.600s "$answer")
    fail_with "firewalld did not reload:"
}

# ensure_firewalld_table: a firewalld that wants to delete its table and finds none fails, and leaves one behind that drops everything.
ensure_firewalld_table() {
    local families family
    command -v nft >/dev/null || return 0
    firewalld_property "$permanent" "$firewalld.config" FirewallBackend && [ "$answer" = 'v s "nftables"' ] || return 0
    families=inet
    # Before 1.0 the translation has tables of its own.
    ! firewalld_property "$runtime" "$firewalld" version || case $answer in *'"0.'*) families="inet ip ip6" ;; esac
    for family in $families; do
        nft list table "$family" firewalld >/dev/null 2>&1 </dev/null || nft add table "$family" firewalld >/dev/null 2>&1 </dev/null || :
    done
}

# reload SUBNET…: under the latch. Docker restores its own rules, and we restore those that it forgets.
reload() {
    local trouble='' attempt jump_trouble='' family program lost settled began device rest
    chain_program=
    read_kernel || return
    remember_kernel
    containers_were=$(container_state) && networks=$(bridge_networks) && stamp=$(docker_reload_stamp) || {
        answer="docker does not answer"
        fail_with "nothing was reloaded, because Docker would not restore its rules:"
        return 124
    }
    devices=$(printf '%s\n' "$networks" | while read -r device rest; do printf '%s ' "$device"; done)
    # Docker's stamp counts whole seconds: two reloads within one could not be distinguished.
    case $stamp in *"$(date -u +%Y-%m-%dT%H:%M:%S)"*) sleep 1 ;; esac
    "$reload_command" || trouble=$answer
    firewalld_state || answer="no answer: $answer"
    [ "$answer" = "$running" ] || trouble="$trouble${trouble:+$newline}firewalld's state after the reload: $answer"
    if [ -n "$trouble" ]; then
        # The state that it left, for finding the cause.
        ! read_kernel || { left_iptables=$now_iptables left_ip6tables=$now_ip6tables left_ebtables=$now_ebtables; }
        # A reload that fails has flushed Docker's rules and sends no signal. Before 0.7 it leaves every policy at DROP.
        put_back_tables || trouble="$trouble$newline$answer"
        answer=$trouble
        return 1
    fi
    restore_latch
    began=$(uptime_now)
    # A busy dockerd may pause for longer than we wait, and put a rule of its own ahead of ours afterwards. What the tables hold
    # in the end counts: as long as there is time, it is waited for once more.
    for attempt in 1 2 3 4 5; do
        settled=yes
        await_docker_rules "$@" || settled=
        restore_docker_rules || return
        jump_trouble=
        for family in ipv4 ipv6; do
            program=$(iptables_of $family)
            command -v "$program-save" >/dev/null && read_filter "$program" && has_chain "$filter_table" || continue
            place_jump $family 1 || jump_trouble=$answer
        done
        lost=
        if ! is_docker_nft; then
            read_kernel || return
            lost=$(missing_nat "$@")
        fi
        [ -n "$jump_trouble" ] || [ -n "${settled:+$lost}" ] || break
    done
    answer=$jump_trouble
    [ -z "$answer" ] || return
    [ -z "$lost" ] || fail_with "Docker has not restored its address translation for$lost; waited for $(($(uptime_now) - began)) seconds (a dockerd that started before firewalld may not be notified of its reloads until it is restarted)"
}

# The latch of a node without nft was flushed with all else.
restore_latch() {
    local program rules
    for program in iptables ip6tables; do
        select_tables "$program"
        rules=$(printf '%s\n' "$was" | sed -n 's/^\[[0-9]*:[0-9]*\] //; /^-A FORWARD .*--comment "*fwdeploy:latch"* -j DROP$/{s/^-A FORWARD/-I FORWARD 1/;p;}')
        [ -z "$rules" ] || [ -n "$(latch_rules "$program" -D)" ] || restore_tables "$program" "*mangle$newline$rules${newline}COMMIT" $wait_flag --noflush
    done
}

# is_docker_nft: whether Docker has its rules in nft tables of its own, which a reload does not touch. A docker command before 28.1 cannot say.
is_docker_nft() {
    case $stamp in
    *'"nftables'*) return 0 ;;
    *'"Driver"'*) return 1 ;;
    esac
    has_nft_table ip docker-bridges
}

# missing_nat SUBNET…: those that Docker should translate and does not, according to $now_iptables.
missing_nat() {
    local subnet
    for subnet in "$@"; do
        case " $(printf '%s' "$networks" | tr '\n' ' ') " in *" $subnet "*) ;; *) continue ;; esac
        printf '%s\n' "$now_iptables" | grep -q -e "-A POSTROUTING -s $subnet " || printf ' %s' "$subnet"
    done
}

# await_docker_rules SUBNET…: waits until Docker has restored its rules; 1 if it has not in time.
await_docker_rules() {
    local deadline before='' listing
    changed=
    [ "$containers_were" = "$(container_state)" ] || changed=yes
    # No daemon, or one that started before firewalld and is not notified by it: nothing else will restore the rules.
    [ -n "$networks" ] || return 0
    ! is_docker_nft || return 0
    case $stamp in '' | *firewalld*) ;; *) return 0 ;; esac
    deadline=$(($(uptime_now) + patience))
    quiet=0
    while :; do
        # What cannot be read while others write can be the next time.
        if read_kernel; then
            listing="$(comparable_rules "$now_iptables")$newline$(comparable_rules "$now_ip6tables")"
        else
            listing=
        fi
        [ -n "$listing" ] && [ "$listing" = "$before" ] && quiet=$((quiet + 1)) || quiet=0
        before=$listing
        [ "$quiet" -lt 1 ] || [ -n "$(missing_nat "$@")" ] || ! jump_is_back || ! docker_has_finished || return 0
        [ "$(uptime_now)" -lt "$deadline" ] || return 1
        sleep 0.1 2>/dev/null || sleep 1
    done
}

# Docker reports only from 28.1 on that it has finished. Before, it has when nothing has moved for a second, or for two
# while something is missing: some rules never return, and on a loaded machine dockerd may wait between two rules.
docker_has_finished() {
    local stamp_now
    if [ -n "$stamp" ]; then
        # No answer does not count as another stamp.
        stamp_now=$(docker_reload_stamp) && [ "$stamp" != "$stamp_now" ]
    else
        [ "$quiet" -ge 16 ] || { [ "$quiet" -ge 8 ] && [ -z "$(missing_docker_rules iptables)$(missing_docker_rules ip6tables)" ]; }
    fi
}

# Docker before 18.02 does not restore the jump, and a node may have had none.
jump_is_back() {
    case $was_iptables in *"-A FORWARD -j DOCKER-USER$newline"*) ;; *) return 0 ;; esac
    case $now_iptables in *"-A FORWARD -j DOCKER-USER$newline"*) return 0 ;; esac
    return 1
}

# restore_docker_rules: what Docker had in its own chains, and in the built-in ones about its own devices, and has not restored: before 28
# the isolation of its networks, and everything if it is not notified by firewalld. Each rule follows the one that
# it followed before.
restore_docker_rules() {
    local kind text
    read_kernel || return
    for kind in iptables ip6tables; do
        text=$(missing_docker_rules $kind)
        [ -z "$text" ] || restore_tables "$kind" "$text" $wait_flag --noflush || fail_with "the rules of Docker that the reload removed could not be restored:" || return
    done
}

# missing_docker_rules PROGRAM: the input for it from `restore_docker_rules`, according to $now_PROGRAM.
missing_docker_rules() {
    select_tables "$1"
    printf '%s\n' "$was" '=' "$now" | awk_missing_docker_rules -v devices="$devices" -v changed="$changed"
}
