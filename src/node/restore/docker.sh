# Restoring: Docker's networks and the endpoints of its containers, compared with the snapshot's picture of them.
#
# Each of these may be executed any number of times, and does nothing if its subject is as it was. An unknown state, because
# Docker does not answer, is a failure: it is never treated as missing.

fresh_picture=

# read_picture_once: the present state of Docker, in $picture.
read_picture_once() {
    [ -z "$fresh_picture" ] || return 0
    read_picture || return
    fresh_picture=yes
}

# picture_before KIND NAME [NETWORK], picture_now KIND NAME [NETWORK]: the line in the snapshot's picture, and in the one of now.
picture_before() { picture_line "$(cat "$snapshot/picture")" "$@"; }
picture_now() { picture_line "$picture" "$@"; }
without_id() { awk '{ NF--; print }'; }

# network_id NETWORK: its id, in $answer; fails if two networks have this name.
network_id() {
    answer=$(picture_now network "$1" | awk '{ print $NF }')
    case $answer in
    *"$newline"*)
        answer="two networks are called $(readable "$1"), and it is unknown which one is meant: $(printf '%s' "$answer" | tr '\n' ' ')"
        return 1
        ;;
    esac
}

# same_network NETWORK: whether it is as it was.
same_network() { [ "$(picture_before network "$1" | without_id)" = "$(picture_now network "$1" | without_id)" ]; }

# same_place CONTAINER NETWORK: whether the container has its configured addresses there, and the network is the same.
same_place() {
    local before
    same_network "$2" || case $2 in bridge | host | none) ;; *) return 1 ;; esac
    before=$(picture_before place "$1" "$2" | awk '{ print $4, $5 }')
    [ -n "$before" ] && [ "$before" = "$(picture_now place "$1" "$2" | awk '{ print $4, $5 }')" ] || return
    # A running container may have another address than its configured one, until it is reattached.
    picture_now place "$1" "$2" | awk '($4 != "." && $6 != "." && $4 != $6) || ($5 != "." && $7 != "." && $5 != $7) { other = 1 } END { exit other }'
}

# record_change LINE: a rollback records its changes, each before it is made, for the program that undoes it.
record_change() {
    fresh_picture=
    is_rollback || return 0
    if [ "$(head -n 1 "$home/armed/picture")" = stopped ]; then
        answer="Docker was started after the node was armed, so its earlier state is unknown: nothing of it is changed"
        return 1
    fi
    { printf '%s\n' "$1" >>"$home/armed/touched"; } 2>/dev/null || fail_with "$home/armed/touched could not be written" || return
    sync "$home/armed/touched" 2>/dev/null || sync
}
is_rollback() { [ "$mode" = docker ] || [ "$mode" = chosen ]; }
is_recorded() { recorded_changes | grep -qxF -e "$1"; }

# recorded_changes: what a rollback has recorded. Snapshots of an earlier version have the names of networks, in two files.
recorded_changes() {
    local name
    cat "$snapshot/touched" 2>/dev/null
    cat "$snapshot/made" "$snapshot/removed" 2>/dev/null | while IFS= read -r name; do echo "network $(url_encode "$name")"; done
    return 0
}

# encode_last WORD…: the last of them, encoded.
encode_last() {
    shift $(($# - 1))
    url_encode "$1"
}

# restore_network OPTION… NAME: makes sure that the network exists as it was. Another one is removed, with the containers that the snapshot
# knows.
restore_network() {
    local network
    network=$(encode_last "$@")
    read_picture_once && network_id "$network" || return
    if [ -n "$answer" ]; then
        ! same_network "$network" || return 0
        detach_all "$network" && drop_network "$network" || return
    fi
    record_change "network $network" && create_network "$@"
}

# detach_all NETWORK: detaches the containers that were on it, and those that the run has attached. Others are not ours to move; then
# Docker will not remove it.
detach_all() {
    local container
    for container in $(printf '%s\n' "$picture" | awk -v network="$1" '$1 == "place" && $3 == network { print $2 }'); do
        [ -z "$(picture_before place "$container" "$1")" ] && ! own_changes | grep -qxF -e "place $container $1" || detach "$container" "$1" || return
    done
    read_picture_once
}

# detach CONTAINER NETWORK: both encoded.
detach() {
    local network
    network_id "$2" || return
    network=$answer
    case $2 in bridge | host | none) network=$2 ;; esac
    record_change "place $1 $2" && disconnect "${network:-$2}" "$1"
}

# drop_network NETWORK: removes the one with that encoded name.
drop_network() {
    local network
    read_picture_once && network_id "$1" || return
    [ -n "$answer" ] || return 0
    network=$answer
    record_change "network $1" && remove_network "$network"
}

# restore_changed_network: the same, of a network that this snapshot's rollback has changed. What others have done since stays.
restore_changed_network() {
    ! is_recorded "network $(encode_last "$@")" || restore_network "$@"
}

# remove_new_network NAME: removes it, unless it existed before.
remove_new_network() { remove_unwanted_network "$(url_encode "$1")"; }
# remove_unwanted_network NETWORK: the same for an encoded name.
remove_unwanted_network() {
    read_picture_once || return
    [ -n "$(picture_now network "$1")" ] && ! same_network "$1" || return 0
    detach_all "$1" && drop_network "$1"
}

# remove_made_networks: removes the networks that this snapshot's rollback has created.
remove_made_networks() {
    local network
    for network in $(recorded_changes | sed -n 's/^network //p' | sort -u); do
        [ -n "$(picture_before network "$network")" ] || remove_unwanted_network "$network" || return
    done
}

# detach_moved: detaches what this snapshot's rollback has attached differently, so that no address is held by a container that moves
# only later.
detach_moved() {
    local place container network
    read_picture_once || return
    for place in $(recorded_changes | sed -n 's/^place \([^ ]*\) \([^ ]*\)$/\1,\2/p' | sort -u); do
        container=${place%,*}
        network=${place#*,}
        [ -n "$(picture_now place "$container" "$network")" ] && ! same_place "$container" "$network" || continue
        detach "$container" "$network" && read_picture_once || return
    done
}

# restore_attachment OPTION… NETWORK CONTAINER: reattaches it. A container that others have removed since cannot be attached, nor any to
# a network that they have removed; `same_docker` reports both.
restore_attachment() {
    local word network='' container=''
    for word in "$@"; do
        network=$container
        container=$word
    done
    network=$(url_encode "$network")
    container=$(url_encode "$container")
    read_picture_once || return
    [ -n "$(picture_now container "$container")" ] || return 0
    case $network in
    bridge | host | none) ;;
    *) [ -n "$(picture_now network "$network")" ] || return 0 ;;
    esac
    ! same_place "$container" "$network" || return 0
    [ -z "$(picture_now place "$container" "$network")" ] || detach "$container" "$network" || return
    record_change "place $container $network" && connect "$@"
}

# remove_new_attachment NETWORK CONTAINER: detaches it, unless it was attached before.
remove_new_attachment() {
    local network container
    network=$(url_encode "$1")
    container=$(url_encode "$2")
    read_picture_once || return
    [ -n "$(picture_now place "$container" "$network")" ] || return 0
    same_place "$container" "$network" || detach "$container" "$network"
}

# detach_from_others CONTAINER NETWORK…: detaches it from all other networks to which the rollback has attached it.
detach_from_others() {
    local container network stays=" "
    container=$(url_encode "$1")
    shift
    for network in "$@"; do stays="$stays$(url_encode "$network") "; done
    read_picture_once || return
    for network in $(picture_now place "$container" | awk '{ print $3 }'); do
        case $stays in *" $network "*) continue ;; esac
        ! is_recorded "place $container $network" || detach "$container" "$network" || return
        read_picture_once || return
    done
}

# own_changes: a line for each network and endpoint that the run or the rollback has changed.
own_changes() {
    printf '%s\n' "$touched"
    recorded_changes
}

# same_docker: whether networks and containers are as they were; the differences are in $answer. Changes by others outside of our own
# changes are remarks, not failures. So is what cannot be restored because others have removed it.
same_docker() {
    local differences remarks_now
    remarks=
    if [ "$(head -n 1 "$snapshot/picture")" = stopped ]; then
        [ -n "$(own_changes)" ] || return 0
        answer="Docker was not running when the node was armed, so changes since then cannot be compared"
        return 1
    fi
    fresh_picture=
    read_picture_once || return
    differences=$(printf '%s\n=\n%s\n=\n%s\n' "$(own_changes)" "$(cat "$snapshot/picture")" "$picture" | docker_differences)
    remarks_now=$(printf '%s\n' "$differences" | sed -n 's/^remark //p')
    [ -z "$remarks_now" ] || remark "$(readable "$remarks_now")"
    answer=$(readable "$(printf '%s\n' "$differences" | sed -n 's/^wrong //p' | head -n 5)")
    [ -z "$answer" ]
}

# docker_differences: from our changes, the state before and the state now, a line for each difference: `wrong`, or `remark`. For an old
# snapshot only our changes count, and what others have removed meanwhile stays removed.
docker_differences() {
    awk_docker_differences -v old="$(! is_rollback || echo yes)"
}

# await_docker_up: waits until a Docker that was running is running again. systemd starts a killed one by itself, after a while, with a limit.
await_docker_up() {
    local deadline
    command -v docker >/dev/null || return 0
    case $(cat "$snapshot/stamp" 2>/dev/null) in *=active*) ;; *) return 0 ;; esac
    deadline=$(($(uptime_now) + 15))
    until limited docker version >/dev/null 2>&1 </dev/null; do
        [ "$(uptime_now)" -lt "$deadline" ] || {
            answer="docker does not answer"
            return 1
        }
        case $(systemctl show -p ActiveState docker.service 2>/dev/null) in
        *=failed* | *=inactive*)
            systemctl reset-failed docker.service >/dev/null 2>&1
            systemctl start --no-block docker.service >/dev/null 2>&1
            ;;
        esac
        pause
    done
}
