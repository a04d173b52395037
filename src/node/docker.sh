# ---------------------------------------------------------------------------------------------------- Docker

# How long a question to Docker may take, and a change of its networks. A dockerd that is blocked answers neither, ever.
docker_asking=15
docker_changing=40

# is_hang CODE: whether a command took too long: timeout's own code, or that of the signal it was ended by (busybox).
is_hang() {
    case $1 in 124 | 137 | 143) return 0 ;; esac
    return 1
}

# docker_asked WORD…: Docker's answer to a question, in $answer. 124 says that none came in time: it is then not known, and never
# *not there*.
docker_asked() {
    asked_seconds=$seconds
    [ "$seconds" -le "$docker_asking" ] || seconds=$docker_asking
    answer=$(limited docker "$@" 2>/dev/null </dev/null)
    asked_code=$?
    if is_hang "$asked_code"; then
        answer="docker does not answer (docker $1 has no end within $seconds seconds)"
        asked_code=124
    fi
    seconds=$asked_seconds
    return "$asked_code"
}

# unanswered: what is printed in place of a list that Docker does not tell: it is like no other list.
unanswered() {
    printf '%s, %s\n' "$answer" "$(cat /proc/uptime)"
    return 124
}

# docker_quiet: until Docker has put back what a reload of firewalld has taken, if somebody has just made one. From 28.1 on, and before
# 29, a network that is changed meanwhile may block the daemon for good (moby#50619). Only these versions tell of reloads.
#
# firewalld answers when its reload is over, and Docker's bridges are in no zone from then on until Docker has put them back.
quiet_vain= # Whether it was waited for in vain.
quiet_at=   # When it was quiet last.
docker_quiet() {
    # A step that detaches is followed by one that attaches.
    [ -z "$quiet_at" ] || [ "$(uptime_now)" -gt "$((quiet_at + 2))" ] || return 0
    docker_rests && quiet_at=$(uptime_now)
}
docker_rests() {
    quiet_first=$(reloaded_at) || {
        answer=${quiet_first%,*}
        because_of 124 "nothing was changed:"
        return
    }
    [ -z "$quiet_vain" ] || return 0
    case $quiet_first in *firewalld*) ;; *) return 0 ;; esac
    quiet_until=$(($(uptime_now) + (seconds < 15 ? seconds : 15)))
    quiet_before=
    quiet_lost= # Whether a bridge was seen in no zone.
    quiet_same=0
    quiet_stamp=$quiet_first
    quiet_networks=$(docker_networks) || quiet_networks=
    while [ "$(uptime_now)" -lt "$quiet_until" ]; do
        [ -z "$quiet_before" ] || quiet_stamp=$(reloaded_at) || { answer=${quiet_stamp%,*} && return 124; }
        quiet_now="$quiet_stamp$newline$(limited iptables-save 2>/dev/null </dev/null | grep '^-A')"
        quiet_bridges=yes
        are_zoned "$quiet_networks" || quiet_bridges= quiet_lost=yes
        [ "$quiet_now" = "$quiet_before" ] && quiet_same=$((quiet_same + 1)) || quiet_same=0
        quiet_before=$quiet_now
        # The stamp counts whole seconds: where it stays the same, nothing has moved for a while instead.
        if [ -n "$quiet_bridges" ] && [ "$quiet_same" -gt 0 ]; then
            [ -n "$quiet_lost" ] && [ "$quiet_stamp" = "$quiet_first" ] && [ "$quiet_same" -lt 8 ] || return 0
        fi
        pause
    done
    # A bridge that is in no zone for another reason, or rules that somebody changes all the time, are not waited for again.
    quiet_vain=yes
    answer=
    return 0
}

# are_zoned NETWORKS: whether each bridge of these that is there is in a zone of firewalld's.
are_zoned() {
    for zoned_device in $(printf '%s\n' "$1" | cut -d' ' -f1); do
        [ -e "/sys/class/net/$zoned_device" ] || continue
        ! fw "$runtime" "$firewalld.zone" getZoneOfInterface s "$zoned_device" || [ "$answer" != 's ""' ] || return 1
    done
}

# change_network TROUBLE WORD…: changes Docker's networks, and says what the trouble is if that fails.
change_network() {
    change_trouble=$1
    shift
    docker_quiet || because "$change_trouble" || return
    change_seconds=$seconds
    [ "$seconds" -le "$docker_changing" ] || seconds=$docker_changing
    ask docker network "$@"
    change_code=$?
    ! is_hang "$change_code" || change_code=124
    [ "$change_code" = 0 ] || because_of "$change_code" "$change_trouble"
    seconds=$change_seconds
    return "$change_code"
}
because_of() {
    because_text=$2
    (exit "$1")
    because "$because_text"
}

create_network() { change_network "docker did not make the network:" create --driver bridge "$@"; }
remove_network() { change_network "docker did not remove the network:" rm "$@"; }

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
        docker_asked network inspect -f '{{range .Containers}}{{.Name}} {{.IPv4Address}} {{.IPv6Address}}{{"\n"}}{{end}}' "$connect_network"
        # A network that is not there is for Docker to tell.
        case $? in
        0) ;;
        124) because_of 124 "nothing was changed:" || return ;;
        *) answer= ;;
        esac
        connect_holder=$(printf '%s\n' "$answer" | awk -v address="$connect_word/" 'index($2, address) == 1 || index($3, address) == 1 { print $1 }')
        answer=
        [ -z "$connect_holder" ] || because "$connect_word on network $(called "$connect_network") is taken by container $connect_holder; nothing was changed" || return
    done
    attachments || because "nothing was changed:" || return
    connect_before=$attachments
    change_network "docker did not attach the container:" connect "$@" && return
    connect_code=$?
    connect_trouble=$answer
    if ! attachments; then
        connect_trouble="$connect_trouble${newline}and whether its settings name the network now is not known: $answer"
    elif [ "$connect_before" != "$attachments" ]; then
        ask docker network connect "$connect_network" "$connect_container" && ask docker network disconnect "$connect_network" "$connect_container" ||
            connect_trouble="$connect_trouble${newline}and its settings still name the network: $answer"
    fi
    answer=$connect_trouble
    return "$connect_code"
}

# called NETWORK: the name of a network that may be told by its id.
called() { limited docker network inspect -f '{{.Name}}' "$1" 2>/dev/null </dev/null || printf '%s\n' "$1"; }

# attachments: the networks that the settings of the container name, in $attachments; fails if Docker does not answer.
attachments() {
    docker_asked inspect --type container -f '{{range $name, $settings := .NetworkSettings.Networks}}{{$name}} {{end}}' "$connect_container"
    case $? in
    0) attachments=$answer ;;
    124) return 124 ;;
    *) attachments="no such container" ;;
    esac
    answer=
}

disconnect() { change_network "docker did not detach the container:" disconnect "$@"; }

# What changes when a container starts, stops or moves: its devices first, then what Docker says about it. 124 says that Docker does not
# answer; one that does not run has no containers.
containers() {
    ls /sys/class/net
    docker_asked ps --no-trunc --format '{{.ID}} {{.Networks}} {{.Ports}}'
    case $? in
    0) printf '%s\n' "$answer" ;;
    124) unanswered ;;
    *) echo "no docker" ;;
    esac
}

# listed LIST TEMPLATE: what the inspection of all that is listed tells, in $answer. Once more if something went away in between. 124 as
# above; a Docker that does not run lists nothing.
listed() {
    for listed_try in 1 2 3; do
        # shellcheck disable=SC2086
        docker_asked $1
        case $? in
        0) ;;
        124) return 124 ;;
        *) answer= && return 0 ;;
        esac
        [ -n "$answer" ] || return 0
        # shellcheck disable=SC2086
        docker_asked ${1%% *} inspect -f "$2" $answer
        case $? in
        0) return 0 ;;
        124) return 124 ;;
        esac
    done
    answer="docker does not tell what it lists"
    return 124
}

# placed: every running container with its networks, addresses and ports: what Docker's rules hang on.
placed() {
    listed "container ls -q --no-trunc" '{{.Id}} {{range $name, $settings := .NetworkSettings.Networks}}{{$name}}={{$settings.IPAddress}},{{$settings.GlobalIPv6Address}} {{end}}{{json .NetworkSettings.Ports}}' || unanswered || return
    [ -z "$answer" ] || printf '%s\n' "$answer" | sort
}

# docker_networks: a line for each bridge network: its device, then the IPv4 subnets that Docker translates.
docker_networks() {
    listed "network ls -q --no-trunc --filter driver=bridge" '{{.Id}}|{{.Internal}}|{{range $k, $v := .Options}}{{$k}}={{$v}}|{{end}} {{range .IPAM.Config}}{{.Subnet}} {{end}}' || unanswered || return
    [ -z "$answer" ] || printf '%s\n' "$answer" |
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

# reloaded_at: what Docker 28.1 and later tell about reloads: when they had put the last of their rules back. 124 as above.
reloaded_at() {
    docker_asked info --format '{{json .FirewallBackend}}'
    case $? in
    0) printf '%s\n' "$answer" | grep Driver || : ;;
    124) unanswered ;;
    esac
}
