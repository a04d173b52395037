# ---------------------------------------------------------------------------------------------------- Docker's picture
#
# A line for each network that a user created, for each container, and for each endpoint of a container on a network. Each word
# is URL-encoded: a name, a label or an option can contain any character, but is still one word on one line,
# and has no meaning to a shell.
#
#   network NAME DRIVER INTERNAL IPV6 SUBNETS OPTIONS LABELS ID
#   container NAME RUNNING ID
#   place CONTAINER NETWORK FIXED FIXED6 ADDRESS ADDRESS6 ALIASES LINKS
#
# `stopped` alone on the first line: Docker was not running.

# url_encode WORD: as the templates of Docker code it (Go's url.QueryEscape).
url_encode() {
    case $1 in
    *[!A-Za-z0-9_.~-]*) ;;
    *)
        printf '%s\n' "$1"
        return
        ;;
    esac
    printf %s "$1" | od -An -v -tx1 | awk_url_encode
}

# readable TEXT: encoded words in readable form, on one line each whatever they contain.
readable() { printf '%s\n' "$1" | sed 's/+/ /g; s/%2F/\//g; s/%3A/:/g; s/%2C/,/g; s/%3D/=/g'; }

# docker_output WORD…: in $docker_output what docker prints, without its warnings; or in $answer the reason for a failure.
docker_output() {
    local code
    docker_output=$(limited docker "$@" 2>/dev/null </dev/null) && return
    code=$?
    # A command that hangs would hang again.
    if [ "$code" = 124 ]; then
        answer="docker $1 did not finish within $seconds seconds"
        return 124
    fi
    capture_limited docker "$@" || code=$?
    return "$code"
}

picture_of_networks() {
    docker_output network ls -q --no-trunc || return
    picture_networks=
    [ -n "$docker_output" ] || return 0
    docker_output network inspect -f 'network {{urlquery .Name}} {{urlquery .Driver}} {{.Internal}} {{.EnableIPv6}} {{range .IPAM.Config}}{{urlquery .Subnet}}|{{urlquery .Gateway}}|{{urlquery .IPRange}}|{{range $k, $v := .AuxAddress}}{{urlquery $k}}:{{urlquery $v}}|{{end}},{{end}}. {{range $k, $v := .Options}}{{urlquery $k}}={{urlquery $v}},{{end}}. {{range $k, $v := .Labels}}{{urlquery $k}}={{urlquery $v}},{{end}}. {{.ID}}' $docker_output || return
    picture_networks=$docker_output
}

picture_of_containers() {
    docker_output ps -aq --no-trunc || return
    picture_containers=
    [ -n "$docker_output" ] || return 0
    docker_output inspect --type container -f 'container {{urlquery .Name}} {{.State.Running}} {{.ID}}{{range $n, $e := .NetworkSettings.Networks}}
place {{urlquery $.Name}} {{urlquery $n}} {{with $e.IPAMConfig}}{{urlquery .IPv4Address}}{{end}}. {{with $e.IPAMConfig}}{{urlquery .IPv6Address}}{{end}}. {{urlquery $e.IPAddress}}. {{urlquery $e.GlobalIPv6Address}}. {{range $e.Aliases}}{{urlquery .}},{{end}}. {{range $e.Links}}{{urlquery .}},{{end}}. {{$.ID}}{{end}}' $docker_output || return
    picture_containers=$docker_output
}

# read_picture: in $picture, all of it; fails if Docker does not report it. If something disappears in the middle, it is queried again.
read_picture() {
    local attempt code
    ask_engine picture
    case $? in
    0)
        picture=$(printf '%s\n' "${answer%"$separator"}" | sort_picture)
        answer=
        return
        ;;
    3) ;;
    *)
        picture=
        fail_with "docker does not report where its networks and containers are:"
        return
        ;;
    esac
    for attempt in 1 2 3; do
        picture_of_networks && picture_of_containers && {
            picture=$(printf '%s\n%s\n' "$picture_networks" "$picture_containers" | sort_picture)
            return
        }
        code=$?
        [ "$code" = 1 ] || break
    done
    picture=
    fail_with "docker does not report where its networks and containers are:"
}

# read_docker: in $picture, $layout and $bridges, all that a snapshot records of Docker; fails if Docker does not report it.
read_docker() {
    local rest
    ask_engine picture layout bridges
    case $? in
    0)
        picture=$(printf '%s\n' "${answer%%"$separator"*}" | sort_picture)
        rest=${answer#*"$separator"}
        layout=$(sorted_layout "${rest%%"$separator"*}")
        rest=${rest#*"$separator"}
        bridges=$(bridge_lines "${rest%%"$separator"*}")
        answer=
        return
        ;;
    124) fail_with "docker does not report where its networks and containers are:" || return ;;
    esac
    read_picture || return
    layout=$(container_layout) && bridges=$(bridge_networks) || {
        answer="docker does not answer, so the networks of its containers cannot be recorded"
        return 1
    }
}

# sort_picture: the picture on stdin in an order that does not change, without Docker's own networks.
sort_picture() {
    sed 's/invalid+\(IP\|Prefix\)//g; s/^container %2F/container /; s/^place %2F/place /' | awk_picture_in_order | sort
}

# wait_until_docker_settles: waits until Docker is not being stopped or started. Leaves its unit in $docker_unit. Between the two
# halves of a restart it looks as if it were stopped: only its job shows the difference.
wait_until_docker_settles() {
    local until
    until=$(($(uptime_now) + seconds))
    while :; do
        docker_unit=$(systemctl show -p LoadState -p ActiveState -p Job docker.service 2>/dev/null)
        case $docker_unit in
        *ActiveState=deactivating* | *ActiveState=inactive*Job=[1-9]* | *ActiveState=failed*Job=[1-9]*) ;;
        *) return 0 ;;
        esac
        if [ "$(uptime_now)" -ge "$until" ]; then
            answer="docker.service is being stopped or started, and did not finish within $seconds seconds"
            return 1
        fi
        sleep 0.2
    done
}

# snapshot_docker: in $picture, $layout and $bridges what a snapshot records of Docker. A Docker that should answer and does not cannot be restored.
snapshot_docker() {
    picture=stopped
    layout=
    bridges=
    command -v docker >/dev/null || return 0
    wait_until_docker_settles || return
    case $docker_unit in
    # A query could start it.
    *LoadState=loaded*ActiveState=inactive* | *LoadState=loaded*ActiveState=failed*) return 0 ;;
    esac
    read_docker && return
    # If there is no unit with that name, it is not running if nothing listens.
    case $docker_unit:$answer in
    *ActiveState=inactive*:*onnect*) ;;
    *) return 1 ;;
    esac
    picture=stopped
}

# picture_line PICTURE KIND NAME [NETWORK]: its line; nothing if there is none.
picture_line() {
    printf '%s\n' "$1" | awk -v kind="$2" -v name="$3" -v network="${4:-}" '$1 == kind && $2 == name && (network == "" || $3 == network)'
}
