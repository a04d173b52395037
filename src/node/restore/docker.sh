# Restoring: Docker's networks, and where its containers are.

# Each of these may be done any number of times.
network() {
    for network_name in "$@"; do :; done
    has_network "$network_name" || { note_network made "$network_name" && create_network "$@"; }
}

# network_again: the same, of a network that this snapshot's rollback has removed. What others have removed since stays away.
network_again() {
    for network_name in "$@"; do :; done
    ! grep -qxF -e "$network_name" "$snapshot/removed" 2>/dev/null || network "$@"
}

# note_network made|removed NAME: a rollback writes down which networks it makes and removes, for whoever takes it back.
note_network() {
    is_rollback || return 0
    { printf '%s\n' "$2" >>"$home/armed/$1"; } 2>/dev/null || because "$home/armed/$1 could not be written"
}
is_rollback() { [ "$mode" = docker ] || [ "$mode" = chosen ]; }
has_network() { limited docker network inspect "$1" >/dev/null 2>&1 </dev/null; }

# unmake: takes back the networks that this snapshot's rollback has made.
unmake() {
    for made_name in $(cat "$snapshot/made" 2>/dev/null); do no_network "$made_name" || return; done
}

no_network() {
    ! has_network "$1" || { note_network removed "$1" && remove_network "$1"; }
}
is_attached() {
    case " $(limited docker inspect --type container -f '{{range $name, $settings := .NetworkSettings.Networks}}{{$name}} {{end}}' "$2" 2>/dev/null </dev/null)" in
    *" $1 "*) return 0 ;;
    esac
    return 1
}
# Without the type a network of that name would do.
has_container() { limited docker inspect --type container -f '{{.Id}}' "$1" >/dev/null 2>&1 </dev/null; }
attached() {
    attached_network=
    attached_container=
    for attached_word in "$@"; do
        attached_network=$attached_container
        attached_container=$attached_word
    done
    # What others have removed since nobody can be attached to.
    ! is_rollback || has_network "$attached_network" || return 0
    ! has_container "$attached_container" || is_attached "$attached_network" "$attached_container" || connect "$@"
}
detached() {
    ! has_container "$2" || ! is_attached "$1" "$2" || disconnect "$1" "$2"
}

# only_on CONTAINER NETWORK…
only_on() {
    only_container=$1
    shift
    has_container "$only_container" || return 0
    for only_network in $(limited docker inspect --type container -f '{{range $name, $settings := .NetworkSettings.Networks}}{{$name}} {{end}}' "$only_container" 2>/dev/null </dev/null); do
        case " $* " in *" $only_network "*) ;; *) disconnect "$only_network" "$only_container" || return ;; esac
    done
}

# docker_up: a Docker that ran is there again. systemd starts a killed one by itself, after a while and not for ever.
docker_up() {
    command -v docker >/dev/null || return 0
    case $(cat "$snapshot/stamp" 2>/dev/null) in *=active*) ;; *) return 0 ;; esac
    docker_until=$(($(uptime_now) + 15))
    until limited docker version >/dev/null 2>&1 </dev/null; do
        [ "$(uptime_now)" -lt "$docker_until" ] || {
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
