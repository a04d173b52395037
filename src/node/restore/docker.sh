# Restoring: Docker's networks, and where its containers are, compared with the snapshot's picture of them.
#
# Each of these may be done any number of times, and does nothing where what it is about is as it was. What is not known, because
# Docker does not answer, is a failure: it is never taken for what is not there.

fresh_picture= # Whether $picture is of now.

# see: Docker as it is now, in $picture.
see() {
    [ -z "$fresh_picture" ] || return 0
    picture || return
    fresh_picture=yes
}

# was KIND NAME [NETWORK], is KIND NAME [NETWORK]: the line in the snapshot's picture, and in the one of now.
was() { line_of "$(cat "$snapshot/picture")" "$@"; }
is() { line_of "$picture" "$@"; }
without_id() { awk '{ NF--; print }'; }

# network_id NETWORK: its id, in $answer; fails if two networks have this name.
network_id() {
    answer=$(is network "$1" | awk '{ print $NF }')
    case $answer in
    *"$newline"*)
        answer="two networks are called $(spoken "$1"), and nobody can tell which is meant: $(printf '%s' "$answer" | tr '\n' ' ')"
        return 1
        ;;
    esac
}

# same_network NETWORK: whether it is as it was.
same_network() { [ "$(was network "$1" | without_id)" = "$(is network "$1" | without_id)" ]; }

# same_place CONTAINER NETWORK: whether the container has the addresses there that it was told to have, and the network is the same.
same_place() {
    same_network "$2" || case $2 in bridge | host | none) ;; *) return 1 ;; esac
    place_was=$(was place "$1" "$2" | awk '{ print $4, $5 }')
    [ -n "$place_was" ] && [ "$place_was" = "$(is place "$1" "$2" | awk '{ print $4, $5 }')" ] || return
    # One that runs may have another address than it was told, until it is attached anew.
    is place "$1" "$2" | awk '($4 != "." && $6 != "." && $4 != $6) || ($5 != "." && $7 != "." && $5 != $7) { other = 1 } END { exit other }'
}

# touch_now LINE: a rollback writes down what it changes, ahead of each change, for whoever takes it back.
touch_now() {
    fresh_picture=
    is_rollback || return 0
    if [ "$(head -n 1 "$home/armed/picture")" = stopped ]; then
        answer="Docker has been started since the node was armed, and what it had then is not known: nothing of it is changed"
        return 1
    fi
    { printf '%s\n' "$1" >>"$home/armed/touched"; } 2>/dev/null || because "$home/armed/touched could not be written" || return
    sync "$home/armed/touched" 2>/dev/null || sync
}
is_rollback() { [ "$mode" = docker ] || [ "$mode" = chosen ]; }
is_touched() { touched_lines | grep -qxF -e "$1"; }

# touched_lines: what a rollback has written down. Snapshots of before write the names of networks, in two files.
touched_lines() {
    cat "$snapshot/touched" 2>/dev/null
    cat "$snapshot/made" "$snapshot/removed" 2>/dev/null | while IFS= read -r touched_name; do echo "network $(coded "$touched_name")"; done
    return 0
}

# last_of WORD…: the last of them, coded, in $last_code.
last_of() {
    for last_word in "$@"; do :; done
    last_code=$(coded "$last_word")
}

# network OPTION… NAME: there is a network of that name, as it was. Another one gives way, with the containers that the snapshot knows.
network() {
    last_of "$@"
    network_code=$last_code
    see && network_id "$network_code" || return
    if [ -n "$answer" ]; then
        ! same_network "$network_code" || return 0
        leave "$network_code" && drop_network "$network_code" || return
    fi
    touch_now "network $network_code" && create_network "$@"
}

# leave NETWORK: takes the containers off it that were on it, and those that the run has put there. Others are not ours to move; then Docker will not remove it.
leave() {
    for leave_container in $(printf '%s\n' "$picture" | awk -v network="$1" '$1 == "place" && $3 == network { print $2 }'); do
        [ -z "$(was place "$leave_container" "$1")" ] && ! ours | grep -qxF -e "place $leave_container $1" || off "$leave_container" "$1" || return
    done
    see
}

# off CONTAINER NETWORK: both coded.
off() {
    network_id "$2" || return
    off_network=$answer
    case $2 in bridge | host | none) off_network=$2 ;; esac
    touch_now "place $1 $2" && disconnect "${off_network:-$2}" "$1"
}

# drop_network NETWORK: the one of that coded name goes.
drop_network() {
    see && network_id "$1" || return
    [ -n "$answer" ] || return 0
    drop_id=$answer
    touch_now "network $1" && remove_network "$drop_id"
}

# network_again: the same, of a network that this snapshot's rollback has changed. What others have done since stays.
network_again() {
    last_of "$@"
    ! is_touched "network $last_code" || network "$@"
}

# no_network NAME: there is none, unless there was.
no_network() { unwanted "$(coded "$1")"; }
unwanted() {
    see || return
    [ -n "$(is network "$1")" ] && ! same_network "$1" || return 0
    leave "$1" && drop_network "$1"
}

# unmake: takes back the networks that this snapshot's rollback has made.
unmake() {
    for made_name in $(touched_lines | sed -n 's/^network //p' | sort -u); do
        [ -n "$(was network "$made_name")" ] || unwanted "$made_name" || return
    done
}

# unsettle: takes off what this snapshot's rollback has attached otherwise than it was, so that no address is held by one that gives
# way only later.
unsettle() {
    see || return
    for unsettled in $(touched_lines | sed -n 's/^place \([^ ]*\) \([^ ]*\)$/\1,\2/p' | sort -u); do
        [ -n "$(is place "${unsettled%,*}" "${unsettled#*,}")" ] && ! same_place "${unsettled%,*}" "${unsettled#*,}" || continue
        off "${unsettled%,*}" "${unsettled#*,}" && see || return
    done
}

# attached OPTION… NETWORK CONTAINER: it is where it was. Whom others have removed since cannot be attached, and nobody can be
# attached to a network that they have removed; `same_docker` tells of both.
attached() {
    attached_network=
    attached_container=
    for attached_word in "$@"; do
        attached_network=$attached_container
        attached_container=$attached_word
    done
    attached_network=$(coded "$attached_network")
    attached_container=$(coded "$attached_container")
    see || return
    [ -n "$(is container "$attached_container")" ] || return 0
    case $attached_network in
    bridge | host | none) ;;
    *) [ -n "$(is network "$attached_network")" ] || return 0 ;;
    esac
    ! same_place "$attached_container" "$attached_network" || return 0
    [ -z "$(is place "$attached_container" "$attached_network")" ] || off "$attached_container" "$attached_network" || return
    touch_now "place $attached_container $attached_network" && connect "$@"
}

# detached NETWORK CONTAINER: it is not there, unless it was.
detached() {
    detached_network=$(coded "$1")
    detached_container=$(coded "$2")
    see || return
    [ -n "$(is place "$detached_container" "$detached_network")" ] || return 0
    same_place "$detached_container" "$detached_network" || off "$detached_container" "$detached_network"
}

# only_on CONTAINER NETWORK…: of those that the rollback has attached it to.
only_on() {
    only_container=$(coded "$1")
    shift
    only_networks=" "
    for only_network in "$@"; do only_networks="$only_networks$(coded "$only_network") "; done
    see || return
    for only_network in $(is place "$only_container" | awk '{ print $3 }'); do
        case $only_networks in *" $only_network "*) continue ;; esac
        ! is_touched "place $only_container $only_network" || off "$only_container" "$only_network" || return
        see || return
    done
}

# ours: a line for each network and place that the run or the rollback has changed.
ours() {
    printf '%s\n' "$touched"
    touched_lines
}

# same_docker: whether networks and containers are as they were, in $answer what is not. What others have done to what was none of
# ours makes nothing fail: it is a remark. So is what nobody can bring back, because others have removed it.
same_docker() {
    remarks=
    if [ "$(head -n 1 "$snapshot/picture")" = stopped ]; then
        [ -n "$(ours)" ] || return 0
        answer="Docker did not run when the node was armed, so that what was changed there since cannot be compared"
        return 1
    fi
    fresh_picture=
    see || return
    docker_said=$(printf '%s\n=\n%s\n=\n%s\n' "$(ours)" "$(cat "$snapshot/picture")" "$picture" | differing)
    docker_remarks=$(printf '%s\n' "$docker_said" | sed -n 's/^remark //p')
    [ -z "$docker_remarks" ] || remark "$(spoken "$docker_remarks")"
    answer=$(spoken "$(printf '%s\n' "$docker_said" | sed -n 's/^wrong //p' | head -n 5)")
    [ -z "$answer" ]
}

# differing: from what is ours, what was and what is, a line for each difference: `wrong`, or `remark`. Of a snapshot of long ago only
# what is ours counts, and what others have removed meanwhile stays removed.
differing() {
    awk -v old="$(! is_rollback || echo yes)" '
        function plain(word) { sub(/\.$/, "", word); return word }
        function at(fixed, fixed6,    text) {
            text = plain(fixed) (fixed6 == "." ? "" : " " plain(fixed6))
            return text == "" ? "no fixed address" : text
        }
        function network(i, word) { return plain(word[i]) == "" ? "none" : plain(word[i]) }
        function tell(mine, text) { if (mine) print "wrong " text; else if (!old) print "remark " text " (not by this run)" }
        $0 == "=" { part++; next }
        part == 0 { if (NF) ours[$0] = 1; next }
        $1 == "network" { id = "network " $2; NF--; line[part, id] = $0; seen[part] = seen[part] id "\n" }
        $1 == "container" { ran[part, $2] = $3; line[part, "container " $2] = $0; seen[part] = seen[part] "container " $2 "\n" }
        $1 == "place" { id = "place " $2 " " $3; line[part, id] = $0; seen[part] = seen[part] id "\n" }
        END {
            n = split(seen[1], ids, "\n")
            for (i = 1; i < n; i++) {
                id = ids[i]
                split(id, key, " ")
                before = line[1, id]
                now = line[2, id]
                if (key[1] == "network") {
                    mine = (id in ours)
                    if (now == "") {
                        if (mine && !old) print "wrong network " key[2] " is gone"
                        else if (mine) print "remark network " key[2] " is gone since, and was not made anew"
                        else if (!old) print "remark network " key[2] " is gone (not by this run)"
                    } else if (now != before) {
                        split(before, a, " ")
                        split(now, b, " ")
                        text = ""
                        if (a[3] != b[3]) text = text ", driver " b[3] " where it was " a[3]
                        if (a[4] != b[4]) text = text ", internal " b[4] " where it was " a[4]
                        if (a[5] != b[5]) text = text ", IPv6 " b[5] " where it was " a[5]
                        if (a[6] != b[6]) text = text ", subnet " network(6, b) " where it was " network(6, a)
                        if (a[7] != b[7]) text = text ", options " network(7, b) " where they were " network(7, a)
                        if (a[8] != b[8]) text = text ", labels " network(8, b) " where they were " network(8, a)
                        tell(mine, "network " key[2] " is another one" text)
                    }
                } else if (key[1] == "container") {
                    mine = 0
                    for (each in ours) { split(each, word, " "); if (word[1] == "place" && word[2] == key[2]) mine = 1 }
                    if (now == "") { if (mine || !old) print "remark container " key[2] " is gone since, and could not be brought back to where it was" }
                    else if (ran[1, key[2]] == "true" && ran[2, key[2]] != "true" && (mine || !old)) print "remark container " key[2] " ran, and does not run now"
                } else {
                    mine = (id in ours) || (("network " key[3]) in ours)
                    if (line[2, "container " key[2]] == "") continue
                    split(before, a, " ")
                    split(now, b, " ")
                    if (now == "") {
                        # A network that is gone is told of above.
                        if (line[1, "network " key[3]] != "" && line[2, "network " key[3]] == "") continue
                        tell(mine, "container " key[2] " is not on network " key[3] ", where it was")
                    } else if (a[4] != b[4] || a[5] != b[5]) tell(mine, "container " key[2] " has " at(b[4], b[5]) " on network " key[3] " where it had " at(a[4], a[5]))
                    else if ((b[4] != "." && b[6] != "." && b[4] != b[6]) || (b[5] != "." && b[7] != "." && b[5] != b[7])) tell(mine, "container " key[2] " has " at(b[6], b[7]) " on network " key[3] " where it was told to have " at(b[4], b[5]))
                    else if (mine && a[6] != "." && b[6] != "." && a[6] != b[6]) print "remark container " key[2] " has " plain(b[6]) " on network " key[3] " where it had " plain(a[6]) ": it has no fixed address there"
                    else if (mine && (a[8] != b[8] || a[9] != b[9])) print "remark container " key[2] " has other aliases or links on network " key[3] " than it had"
                }
            }
            n = split(seen[2], ids, "\n")
            for (i = 1; i < n; i++) {
                id = ids[i]
                if (line[1, id] != "" || !(id in ours)) continue
                split(id, key, " ")
                if (key[1] == "network") print "wrong network " key[2] " is still there"
                else if (line[1, "container " key[2]] != "") print "wrong container " key[2] " is still on network " key[3]
            }
        }'
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
