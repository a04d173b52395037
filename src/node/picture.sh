# ---------------------------------------------------------------------------------------------------- Docker's picture
#
# A line for each network that somebody made, for each container, and for each place that a container has on a network. Each word
# is coded as in an address of the web: a name, a label or an option can have anything in it, is one word on one line all the
# same, and means nothing to a shell.
#
#   network NAME DRIVER INTERNAL IPV6 SUBNETS OPTIONS LABELS ID
#   container NAME RUNNING ID
#   place CONTAINER NETWORK FIXED FIXED6 ADDRESS ADDRESS6 ALIASES LINKS
#
# `stopped` alone on the first line: there was no Docker to ask.

# coded WORD: as the templates of Docker code it (Go's url.QueryEscape).
coded() {
    case $1 in
    *[!A-Za-z0-9_.~-]*) ;;
    *)
        printf '%s\n' "$1"
        return
        ;;
    esac
    printf %s "$1" | od -An -v -tx1 | awk '
        BEGIN {
            for (i = 33; i < 127; i++) { c = sprintf("%c", i); if (c ~ /[A-Za-z0-9_.~-]/) plain[sprintf("%02x", i)] = c }
            plain["20"] = "+"
        }
        { for (i = 1; i <= NF; i++) printf "%s", ($i in plain) ? plain[$i] : "%" toupper($i) }
        END { print "" }'
}

# spoken TEXT: coded words as one reads them, on one line each whatever is in them.
spoken() { printf '%s\n' "$1" | sed 's/+/ /g; s/%2F/\//g; s/%3A/:/g; s/%2C/,/g; s/%3D/=/g'; }

# docker_tells WORD…: in $told what docker prints, without its warnings; or in $answer why not.
docker_tells() {
    told=$(limited docker "$@" 2>/dev/null </dev/null) && return
    told_code=$?
    # What hangs would hang again.
    if [ "$told_code" = 124 ]; then
        answer="docker $1 does not end within $seconds seconds"
        return 124
    fi
    ask docker "$@" || told_code=$?
    return "$told_code"
}

picture_of_networks() {
    docker_tells network ls -q --no-trunc || return
    picture_networks=
    [ -n "$told" ] || return 0
    # shellcheck disable=SC2016,SC2086
    docker_tells network inspect -f 'network {{urlquery .Name}} {{urlquery .Driver}} {{.Internal}} {{.EnableIPv6}} {{range .IPAM.Config}}{{urlquery .Subnet}}|{{urlquery .Gateway}}|{{urlquery .IPRange}}|{{range $k, $v := .AuxAddress}}{{urlquery $k}}:{{urlquery $v}}|{{end}},{{end}}. {{range $k, $v := .Options}}{{urlquery $k}}={{urlquery $v}},{{end}}. {{range $k, $v := .Labels}}{{urlquery $k}}={{urlquery $v}},{{end}}. {{.ID}}' $told || return
    picture_networks=$told
}

picture_of_containers() {
    docker_tells ps -aq --no-trunc || return
    picture_containers=
    [ -n "$told" ] || return 0
    # shellcheck disable=SC2016,SC2086
    docker_tells inspect --type container -f 'container {{urlquery .Name}} {{.State.Running}} {{.ID}}{{range $n, $e := .NetworkSettings.Networks}}
place {{urlquery $.Name}} {{urlquery $n}} {{with $e.IPAMConfig}}{{urlquery .IPv4Address}}{{end}}. {{with $e.IPAMConfig}}{{urlquery .IPv6Address}}{{end}}. {{urlquery $e.IPAddress}}. {{urlquery $e.GlobalIPv6Address}}. {{range $e.Aliases}}{{urlquery .}},{{end}}. {{range $e.Links}}{{urlquery .}},{{end}}. {{$.ID}}{{end}}' $told || return
    picture_containers=$told
}

# picture: in $picture, all of it; fails if Docker does not tell. What goes away in the middle is asked for once more.
picture() {
    for picture_try in 1 2 3; do
        if picture_of_networks && picture_of_containers; then
            picture=$(printf '%s\n%s\n' "$picture_networks" "$picture_containers" | picture_in_order)
            return
        fi
        picture_code=$?
        [ "$picture_code" = 1 ] || break
    done
    picture=
    because "docker does not tell where its networks and containers are:"
}

# Docker's own three networks are always there. Each container has its short id for an alias in some versions.
picture_in_order() {
    sed 's/invalid+\(IP\|Prefix\)//g; s/^container %2F/container /; s/^place %2F/place /' | awk '
        $1 == "network" && ($2 == "bridge" || $2 == "host" || $2 == "none") { next }
        $1 == "place" {
            n = split($8, alias, ",")
            $8 = ""
            for (i = 1; i < n; i++) {
                if (alias[i] == substr($10, 1, 12)) continue
                for (j = i; j > 1 && (alias[j] "") < (alias[j - 1] ""); j--) { swap = alias[j]; alias[j] = alias[j - 1]; alias[j - 1] = swap }
            }
            for (i = 1; i < n; i++) if (alias[i] != substr($10, 1, 12)) $8 = $8 alias[i] ","
            print $1, $2, $3, $4, $5, $6, $7, $8 ".", $9
            next
        }
        NF { print }' | sort
}

# docker_settles: waits until Docker is neither stopped nor started just now; its unit then, in $pictured_unit. Between the two
# halves of a restart it looks as if it were stopped: only its job tells.
docker_settles() {
    settle_until=$(($(uptime_now) + seconds))
    while :; do
        pictured_unit=$(systemctl show -p LoadState -p ActiveState -p Job docker.service 2>/dev/null)
        case $pictured_unit in
        *ActiveState=deactivating* | *ActiveState=inactive*Job=[1-9]* | *ActiveState=failed*Job=[1-9]*) ;;
        *) return 0 ;;
        esac
        if [ "$(uptime_now)" -ge "$settle_until" ]; then
            answer="docker.service is being stopped or started, without an end within $seconds seconds"
            return 1
        fi
        sleep 0.2
    done
}

# pictured: in $picture what a snapshot says of Docker. One that should answer and does not cannot be brought back.
pictured() {
    picture=stopped
    command -v docker >/dev/null || return 0
    docker_settles || return
    case $pictured_unit in
    # A question could start it.
    *LoadState=loaded*ActiveState=inactive* | *LoadState=loaded*ActiveState=failed*) return 0 ;;
    esac
    picture && return
    # Where it does not run under that name, it is not there if nobody listens.
    case $pictured_unit:$answer in
    *ActiveState=inactive*:*onnect*) ;;
    *) return 1 ;;
    esac
    picture=stopped
}

# line_of PICTURE KIND NAME [NETWORK]: its line; nothing if there is none.
line_of() {
    printf '%s\n' "$1" | awk -v kind="$2" -v name="$3" -v network="${4:-}" '$1 == kind && $2 == name && (network == "" || $3 == network)'
}
