# ---------------------------------------------------------------------------------------------------- Docker

# How long a query to Docker may take, and a change of its networks. A blocked dockerd never answers either.
docker_asking=15
docker_changing=40

# is_timeout CODE: whether a command took too long: timeout's own code, or that of the signal it was ended by (busybox).
is_timeout() {
    case $1 in 124 | 137 | 143) return 0 ;; esac
    return 1
}

# query_docker WORD…: Docker's answer to a query, in $answer. 124 means that none came in time: the result is then unknown, and never
# *not there*.
query_docker() {
    local code seconds_before="$seconds"
    [ "$seconds" -le "$docker_asking" ] || seconds=$docker_asking
    answer=$(limited docker "$@" 2>/dev/null </dev/null)
    code=$?
    if is_timeout "$code"; then
        answer="docker does not answer (docker $1 did not finish within $seconds seconds)"
        code=124
    fi
    seconds=$seconds_before
    return "$code"
}

# ask_engine QUESTION…: Docker's answers to questions of python/docker_query.py, in $answer, a $separator after each. One process asks
# them all over Docker's socket; a single docker command takes as long as that. 3 means that the commands are to be asked; 124 as above.
ask_engine() {
    local code limit="$seconds"
    [ "$limit" -le "$docker_asking" ] || limit=$docker_asking
    [ -S "$docker_socket" ] && find_python || return 3
    answer=$(python_docker_query "$python" "$docker_socket" "$limit" "$@" 2>/dev/null </dev/null)
    code=$?
    case $code in
    0 | 1) ;;
    124) answer="docker does not answer (not finished within $limit seconds)" ;;
    *) answer= && return 3 ;;
    esac
    return "$code"
}

# print_no_answer: what is printed in place of a list that Docker does not report: it differs from every list.
print_no_answer() {
    printf '%s, %s\n' "$answer" "$(cat /proc/uptime)"
    return 124
}

# await_docker_idle: waits until Docker has restored what a reload of firewalld has removed, if there was one just now. From 28.1 on, and
# before 29, changing a network meanwhile may block the daemon permanently (moby#50619). Only these versions report reloads.
#
# firewalld answers when its reload is over, and from then on Docker's bridges are in no zone until Docker has restored them.
reload_vain=
reload_over=
await_docker_idle() {
    # A step that detaches is followed by one that attaches.
    [ -z "$reload_over" ] || [ "$(uptime_now)" -gt "$((reload_over + 2))" ] || return 0
    await_stable_rules && reload_over=$(uptime_now)
}
# await_stable_rules: the same with new queries.
await_stable_rules() {
    local first deadline before='' lost='' same=0 stamp_now bridges_then rules zoned
    first=$(docker_reload_stamp) || {
        answer=${first%,*}
        fail_with_code 124 "nothing was changed:"
        return
    }
    [ -z "$reload_vain" ] || return 0
    case $first in *firewalld*) ;; *) return 0 ;; esac
    deadline=$(($(uptime_now) + (seconds < 15 ? seconds : 15)))
    stamp_now=$first
    bridges_then=$(bridge_networks) || bridges_then=
    while [ "$(uptime_now)" -lt "$deadline" ]; do
        [ -z "$before" ] || stamp_now=$(docker_reload_stamp) || { answer=${stamp_now%,*} && return 124; }
        rules="$stamp_now$newline$(limited iptables-save 2>/dev/null </dev/null | grep '^-A')"
        zoned=yes
        # A bridge that was seen in no zone has not been restored by Docker yet.
        bridges_have_zones "$bridges_then" || zoned='' lost=yes
        [ "$rules" = "$before" ] && same=$((same + 1)) || same=0
        before=$rules
        # The stamp counts whole seconds: if it stays the same, stability over time decides instead.
        if [ -n "$zoned" ] && [ "$same" -gt 0 ]; then
            [ -n "$lost" ] && [ "$stamp_now" = "$first" ] && [ "$same" -lt 8 ] || return 0
        fi
        pause
    done
    # A bridge that is in no zone for another reason, or rules that change all the time, are not waited for again.
    reload_vain=yes
    answer=
    return 0
}

# bridges_have_zones NETWORKS: whether each existing bridge of these is in a zone of firewalld.
bridges_have_zones() {
    local device
    for device in $(printf '%s\n' "$1" | cut -d' ' -f1); do
        [ -e "/sys/class/net/$device" ] || continue
        ! call_firewalld "$runtime" "$firewalld.zone" getZoneOfInterface s "$device" || [ "$answer" != 's ""' ] || return 1
    done
}

# change_network TROUBLE WORD…: changes Docker's networks, and fails with that text if it cannot.
change_network() {
    local trouble="$1" code seconds_before
    shift
    await_docker_idle || fail_with "$trouble" || return
    seconds_before=$seconds
    [ "$seconds" -le "$docker_changing" ] || seconds=$docker_changing
    capture_limited docker network "$@"
    code=$?
    ! is_timeout "$code" || code=124
    [ "$code" = 0 ] || fail_with_code "$code" "$trouble"
    seconds=$seconds_before
    return "$code"
}

create_network() { change_network "docker did not make the network:" create --driver bridge "$@"; }
remove_network() { change_network "docker did not remove the network:" rm "$@"; }

# connect OPTION… NETWORK CONTAINER. An attachment that fails on a running container stays in that container's settings in
# every version from 20.10 to 28.5, `docker network disconnect` knows nothing of it, and once the network is gone the
# container no longer starts. So what is known to fail is not tried, and what fails is undone.
connect() {
    local word option='' network='' container='' addresses='' holder before code trouble
    for word in "$@"; do
        case $option in --ip | --ip6) addresses="$addresses $word" ;; esac
        option=$word
        network=$container
        container=$word
    done
    for word in $addresses; do
        query_docker network inspect -f '{{range .Containers}}{{.Name}} {{.IPv4Address}} {{.IPv6Address}}{{"\n"}}{{end}}' "$network"
        # A network that does not exist is left for Docker to report.
        case $? in
        0) ;;
        124) fail_with_code 124 "nothing was changed:" || return ;;
        *) answer= ;;
        esac
        holder=$(printf '%s\n' "$answer" | awk -v address="$word/" 'index($2, address) == 1 || index($3, address) == 1 { print $1 }')
        answer=
        [ -z "$holder" ] || fail_with "$word on network $(network_name "$network") is taken by container $holder; nothing was changed" || return
    done
    attachments "$container" || fail_with "nothing was changed:" || return
    before=$answer
    answer=
    change_network "docker did not attach the container:" connect "$@" && return
    code=$?
    trouble=$answer
    if ! attachments "$container"; then
        trouble="$trouble${newline}and whether its settings name the network now is not known: $answer"
    elif [ "$before" != "$answer" ]; then
        capture_limited docker network connect "$network" "$container" && capture_limited docker network disconnect "$network" "$container" ||
            trouble="$trouble${newline}and its settings still name the network: $answer"
    fi
    answer=$trouble
    return "$code"
}

# network_name NETWORK: the name of a network that may be given by its id.
network_name() { limited docker network inspect -f '{{.Name}}' "$1" 2>/dev/null </dev/null || printf '%s\n' "$1"; }

# attachments CONTAINER: the networks in its settings, in $answer; fails if Docker does not answer.
attachments() {
    query_docker inspect --type container -f '{{range $name, $settings := .NetworkSettings.Networks}}{{$name}} {{end}}' "$1"
    case $? in
    0) ;;
    124) return 124 ;;
    *) answer="no such container" ;;
    esac
}

disconnect() { change_network "docker did not detach the container:" disconnect "$@"; }

# container_state: what changes when a container starts, stops or moves: its devices first, then what Docker reports about it. 124 means
# that Docker does not answer; one that does not run has no containers.
container_state() {
    ls /sys/class/net
    query_docker ps --no-trunc --format '{{.ID}} {{.Networks}} {{.Ports}}'
    case $? in
    0) printf '%s\n' "$answer" ;;
    124) print_no_answer ;;
    *) echo "no docker" ;;
    esac
}

# inspect_all LIST TEMPLATE: the inspection of everything in the list, in $answer. Once more if something disappeared in between.
# 124 as above; a Docker that does not run lists nothing.
inspect_all() {
    local attempt
    for attempt in 1 2 3; do
        query_docker $1
        case $? in
        0) ;;
        124) return 124 ;;
        *) answer= && return 0 ;;
        esac
        [ -n "$answer" ] || return 0
        query_docker ${1%% *} inspect -f "$2" $answer
        case $? in
        0) return 0 ;;
        124) return 124 ;;
        esac
    done
    answer="docker does not report what it lists"
    return 124
}

# container_layout: every running container with its networks, addresses and ports, on which Docker's rules depend.
container_layout() {
    ask_engine layout
    case $? in
    0) sorted_layout "${answer%"$separator"}" && return ;;
    124) print_no_answer || return ;;
    esac
    inspect_all "container ls -q --no-trunc" '{{.Id}} {{range $name, $settings := .NetworkSettings.Networks}}{{$name}}={{$settings.IPAddress}},{{$settings.GlobalIPv6Address}} {{end}}{{json .NetworkSettings.Ports}}' || print_no_answer || return
    sorted_layout "$answer"
}

# sorted_layout TEXT: the lines, without the words that Docker 29 has for an address that there is not.
sorted_layout() {
    [ -z "$1" ] || printf '%s\n' "$1" | sed 's/invalid IP//g' | sort
}

# bridge_networks: a line for each bridge network: its device, then the IPv4 subnets that Docker translates.
bridge_networks() {
    ask_engine bridges
    case $? in
    0) bridge_lines "${answer%"$separator"}" && return ;;
    124) print_no_answer || return ;;
    esac
    inspect_all "network ls -q --no-trunc --filter driver=bridge" '{{.Id}}|{{.Internal}}|{{range $k, $v := .Options}}{{$k}}={{$v}}|{{end}} {{range .IPAM.Config}}{{.Subnet}} {{end}}' || print_no_answer || return
    bridge_lines "$answer"
}

# bridge_lines TEXT: these lines, from what Docker reports of each bridge network.
bridge_lines() {
    local network translated device
    [ -z "$1" ] || printf '%s\n' "$1" |
        while read -r network translated; do
            case $network in
            *'|com.docker.network.bridge.name='*)
                device=${network##*'|com.docker.network.bridge.name='}
                device=${device%%'|'*}
                ;;
            *) device=br-$(printf %.12s "$network") ;;
            esac
            case $network in *'|true|'* | *enable_ip_masquerade=false* | *gateway_mode_ipv4=routed* | *gateway_mode_ipv4=isolated*) translated= ;; esac
            echo "$device $translated"
        done | sort
}

# docker_reload_stamp: what Docker 28.1 and later report about reloads: when they last finished restoring their rules. 124 as above.
docker_reload_stamp() {
    query_docker info --format '{{json .FirewallBackend}}'
    case $? in
    0) printf '%s\n' "$answer" | grep Driver || : ;;
    124) print_no_answer ;;
    esac
}
