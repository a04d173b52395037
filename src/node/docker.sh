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
        connect_holder=$(limited docker network inspect -f '{{range .Containers}}{{.Name}} {{.IPv4Address}} {{.IPv6Address}}{{"\n"}}{{end}}' "$connect_network" 2>/dev/null </dev/null |
            awk -v address="$connect_word/" 'index($2, address) == 1 || index($3, address) == 1 { print $1 }')
        [ -z "$connect_holder" ] || because "$connect_word on network $(called "$connect_network") is taken by container $connect_holder; nothing was changed" || return
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

# called NETWORK: the name of a network that may be told by its id.
called() { limited docker network inspect -f '{{.Name}}' "$1" 2>/dev/null </dev/null || printf '%s\n' "$1"; }

attachments() {
    limited docker inspect -f '{{range $name, $settings := .NetworkSettings.Networks}}{{$name}} {{end}}' "$connect_container" 2>&1 </dev/null
}

disconnect() { ask docker network disconnect "$@" || because "docker did not detach the container:"; }

# What changes when a container starts, stops or moves: its devices first, then what Docker says about it.
containers() {
    ls /sys/class/net
    limited docker ps --no-trunc --format '{{.ID}} {{.Networks}} {{.Ports}}' </dev/null 2>&1
}

# placed: every running container with its networks, addresses and ports: what Docker's rules hang on.
placed() {
    placed_ids=$(limited docker ps -q --no-trunc 2>/dev/null </dev/null) && [ -n "$placed_ids" ] || return 0
    limited docker inspect -f '{{.Id}} {{range $name, $settings := .NetworkSettings.Networks}}{{$name}}={{$settings.IPAddress}},{{$settings.GlobalIPv6Address}} {{end}}{{json .NetworkSettings.Ports}}' $placed_ids 2>/dev/null </dev/null | sort
}
