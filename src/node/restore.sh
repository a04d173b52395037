# Restoring: brings the node back to the snapshot that this program lies in. Started by the timer of an armed run, by a boot in
# the middle of one, by the operator's machine after a failure, or as a step of `fwdeploy rollback`.
#
# First in place, step by step, while firewalld is well: nothing leaks and nothing else is touched. If what is there afterwards is
# not what was, then as a whole: the files, and a reload with the latch on; firewalld is started if it is gone.
#
# Arguments: timer, now, boot, files (at boot, before firewalld); reloaded, docker and chosen (in the step of a rollback, which has
# the lock and is armed itself: its files, taking back what its run did to Docker, and the rest).

snapshot=${0%/*}
number=${snapshot##*/}
seconds=8   # Whoever waits for this waits for seconds, not minutes.
patience=6
attempts=5
trouble=
how=
recovery= # Whether the run was a recovery.

note() {
    printf '%s\n' "$1"
    trouble="$trouble${trouble:+$newline}$1"
}

is_armed() { [ "$(readlink "$home/armed" 2>/dev/null)" = "snapshots/$number" ]; }

# ---------------------------------------------------------------------------------------------------- the run at work

# take_over: the run's script is told to stop between two steps, and ended if it does not. Ends with the lock ours.
take_over() {
    mkdir -p "$live" 2>/dev/null
    { : >"$live/stop-$number"; } 2>/dev/null
    command -v flock >/dev/null && [ -d /etc/firewalld ] || return 0
    exec 8</etc/firewalld
    for round in 1 2 3; do
        for try in 1 2 3 4 5 6 7 8 9 10; do
            flock -n 8 && return
            is_armed || return
            pause
        done
        end_holders
    done
    return 1
}

# end_holders: ends whoever has the lock, and that is the run's script and what it has started. firewalld may read its own folder.
end_holders() {
    for holder in $(ls /proc); do
        case $holder in *[!0-9]*) continue ;; esac
        [ "$(readlink "/proc/$holder/fd/9" 2>/dev/null)" = /etc/firewalld ] || continue
        [ "$(cat "/proc/$holder/comm" 2>/dev/null)" = firewalld ] || kill -9 "$holder" 2>/dev/null
    done
}

# ---------------------------------------------------------------------------------------------------- files

# files_of FOLDER: what is in it, but for the staging copy.
files_of() { (cd "$1" 2>/dev/null && find . -path ./.fwdeploy -prune -o \( -type f -o -type l \) -print | sort); }

same_files() {
    [ "$(files_of /etc/firewalld)" = "$(files_of "$snapshot/firewalld")" ] || return
    files_list=$(files_of "$snapshot/firewalld")
    files_ifs=$IFS
    IFS=$newline
    for file in $files_list; do
        cmp -s "$snapshot/firewalld/$file" "/etc/firewalld/$file" || {
            IFS=$files_ifs
            return 1
        }
    done
    IFS=$files_ifs
}

# put_files: /etc/firewalld as it was, each file by one rename. On a full disk the staged copy needs no room.
put_files() {
    files_trouble=
    files_ifs=$IFS
    files_list=$(files_of /etc/firewalld)
    IFS=$newline
    for file in $files_list; do
        [ -e "$snapshot/firewalld/$file" ] || [ -L "$snapshot/firewalld/$file" ] || rm -f "/etc/firewalld/$file" || files_trouble="$file cannot be removed"
    done
    files_list=$(files_of "$snapshot/firewalld")
    for file in $files_list; do
        ! cmp -s "$snapshot/firewalld/$file" "/etc/firewalld/$file" || continue
        mkdir -p "/etc/firewalld/${file%/*}" 2>/dev/null
        if [ "$mode" != reloaded ] && cmp -s "$snapshot/firewalld/$file" "$staging/$file" && mv -f "$staging/$file" "/etc/firewalld/$file"; then continue; fi
        files_part=/etc/firewalld/${file%/*}/.fwdeploy.part
        cp -p "$snapshot/firewalld/$file" "$files_part" 2>/dev/null && mv -f "$files_part" "/etc/firewalld/$file" || {
            rm -f "$files_part"
            # The room of the old content is all there is.
            cat "$snapshot/firewalld/$file" >"/etc/firewalld/$file" || files_trouble="/etc/firewalld/$file cannot be written"
        }
    done
    IFS=$files_ifs
    answer=$files_trouble
    [ -z "$answer" ]
}

# ---------------------------------------------------------------------------------------------------- Docker, as it was

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

# ---------------------------------------------------------------------------------------------------- firewalld, as it was

# same_rules: whether firewalld and the kernel hold what they held, in $answer what differs.
same_rules() {
    rules_now=$(runtime_text) || {
        answer="firewalld does not tell: $rules_now"
        return 1
    }
    rules_was=$(with_devices "$(cat "$snapshot/runtime")" "$rules_now")
    [ "$(alike "$rules_was")" = "$(alike "$rules_now")" ] || {
        answer="firewalld's runtime is not as it was: $(only_in "$(alike "$rules_was")" "$(alike "$rules_now")" | tr '\037' ' ' | head -n 3)"
        return 1
    }
    same_kernel
}

# is_placed: whether every container and every network is where it was. Then Docker's rules must be what they were too. It may not
# be asked of a snapshot of long ago: others have rules too.
is_placed() {
    [ "$mode" != chosen ] && [ "$(cat "$snapshot/docker")" = "$(placed)" ] && [ "$(cat "$snapshot/networks")" = "$(docker_networks)" ]
}

same_kernel() {
    look || return
    recall
    kernel_whole=
    ! is_placed || kernel_whole=yes
    for kind in iptables ip6tables; do
        eval "was=\$was_$kind now=\$now_$kind"
        if [ -n "$kernel_whole" ]; then
            [ "$(lines "$was")" = "$(lines "$now")" ] || {
                answer="$kind is not as it was: $(lacking "$was" "$now" | head -n 3); $(lacking "$now" "$was" | head -n 3)"
                return 1
            }
        else
            [ "$(chain_of "$was")" = "$(chain_of "$now")" ] || {
                answer="$kind: DOCKER-USER is not as it was"
                return 1
            }
            [ "$(places "$(uncounted "$was")")" != 1 ] || [ "$(places "$(uncounted "$now")")" = 1 ] || {
                answer="$kind: the jump to DOCKER-USER is not first, as it was"
                return 1
            }
        fi
    done
}

uncounted() { printf '%s\n' "$1" | sed 's/^\[[0-9]*:[0-9]*\] //'; }

# recall: the kernel's tables of before, from the snapshot.
recall() {
    was_iptables=$(cat "$snapshot/iptables")
    was_ip6tables=$(cat "$snapshot/ip6tables")
    was_ebtables=$(cat "$snapshot/ebtables")
}

# kernel_again: the kernel's tables as they were. As a whole where every container is where it was, else DOCKER-USER and the jump.
kernel_again() {
    look || return
    recall
    kernel_whole=
    ! is_placed || kernel_whole=yes
    for kind in iptables ip6tables ebtables; do
        eval "was=\$was_$kind now=\$now_$kind"
        case $kind in
        iptables) family=ipv4 options="$lock -c" ;;
        ip6tables) family=ipv6 options="$lock -c" ;;
        *) family= options= ;;
        esac
        [ -n "$was" ] || continue
        [ -n "$family" ] || [ "$mode" != chosen ] || continue
        if [ -n "$kernel_whole" ] || [ -z "$family" ]; then
            # shellcheck disable=SC2086
            [ "$(lines "$was")" = "$(lines "$now")" ] || load "$kind" "$was" $options || return
            continue
        fi
        has_chain "$was" || continue
        was=$(uncounted "$was")
        [ "$(content "$was")" = "$(content "$(uncounted "$now")")" ] ||
            load "$kind" "*filter$newline:DOCKER-USER - [0:0]$newline$(content "$was")${newline}COMMIT" $lock --noflush || return
        [ "$(places "$was")" != 1 ] || place_jump "$family" 1 || return
    done
}

# undo STEP COMMAND…: takes back a step of the run, if it had begun.
undo() {
    undo_step=$1
    shift
    case $reached in
    arm) return 0 ;;
    [0-9]*) [ "$undo_step" -le "$reached" ] || return 0 ;;
    esac
    "$@"
}

# in_place: every step that had begun is taken back. Each of these changes nothing where there is nothing to take back.
in_place() {
    is_running || {
        note "firewalld is not running: $answer"
        return 1
    }
    docker_up || {
        note "$answer"
        return 1
    }
    answer=
    # A run that never marked a step took none.
    reached=$(cat "$live/step" 2>/dev/null) || reached=arm
    take_back || {
        note "in place: $answer"
        return 1
    }
    unlatch && put_files || {
        note "in place: $answer"
        return 1
    }
    # Docker puts its own rules in another order when a network comes and goes.
    same_rules || { kernel_again && same_rules; } || {
        note "in place: $answer"
        return 1
    }
    how="in place"
}

# as_a_whole: the files, then a reload, or a start where firewalld is gone. Where that fails the latch stays closed.
as_a_whole() {
    whole && return
    # shellcheck disable=SC2086
    [ -z "$subnets" ] || latch $subnets
    return 1
}

whole() {
    [ -z "$subnets" ] || latch $subnets || note "$answer"
    put_files || note "$answer"
    recall
    mine=
    containers_were=$(containers)
    networks=$(cat "$snapshot/networks")
    devices=$(printf '%s\n' "$networks" | while read -r device rest; do printf '%s ' "$device"; done)
    docker_up || note "$answer"
    stamp=$(reloaded_at)
    if firewalld_state; then
        reload_now || note "$answer"
        how="by a reload of firewalld"
    fi
    if ! is_running; then
        stale=$(nft list tables 2>/dev/null | grep ' firewalld$')
        systemctl reset-failed firewalld.service >/dev/null 2>&1
        limited systemctl restart firewalld.service >/dev/null 2>&1 </dev/null || note "firewalld did not start"
        how="by a start of firewalld"
        # A Docker without firewalld tells no stamp; it is waited for all the same. Docker 28 before 29 may hang for good when one of its
        # networks is changed while it puts its rules back (moby#50619).
        stamp=
        for try in 1 2 3 4 5 6 7 8 9 10; do
            ! is_running || break
            pause
        done
        # One that was killed leaves its table, and the next may add every rule to it once more. A reload begins afresh.
        [ -z "$stale" ] || fw "$runtime" "$firewalld" reload || note "firewalld did not reload: $answer"
    fi
    hold_latch
    # shellcheck disable=SC2046
    await_docker $(printf '%s\n' "$networks" | while read -r device rest; do printf '%s ' "$rest"; done) || :
    mend || note "$answer"
    answer=
    docker_back || note "$answer"
    runtime_again "$(cat "$snapshot/runtime")" || note "$answer"
    kernel_again || note "$answer"
    [ -z "$subnets" ] || unlatch || note "$answer"
    is_running || {
        note "firewalld is not running: $answer"
        return 1
    }
    same_files || {
        note "/etc/firewalld is not as it was"
        return 1
    }
    # Docker before 25 also puts rules back of networks that are gone, and does it late.
    same_rules || { sleep 1 && kernel_again && same_rules; } || {
        note "$answer"
        return 1
    }
}

# as_it_stood: from a recovery, which begins on a node that is not well. What firewalld's files and its memory were comes back; what
# the kernel held comes back where firewalld was in state FAILED, or dead, and held nothing of its own. What was flushed does not go
# again.
as_it_stood() {
    how="as it stood"
    state_was=$(cat "$snapshot/state")
    if [ "$mode" = boot ]; then
        how="by a boot"
        same_files
        return
    fi
    if same_files && has_state && same_memory && same_kernel; then
        [ -z "$subnets" ] || unlatch || note "$answer"
        return
    fi
    # shellcheck disable=SC2086
    [ -z "$subnets" ] || latch $subnets || note "$answer"
    stood_files=
    same_files || stood_files=other
    put_files || note "$answer"
    case $state_was in
    dead) limited systemctl stop firewalld.service </dev/null >/dev/null 2>&1 ;;
    "$running") reload_now || note "$answer" ;;
    # It fails as it did.
    *) [ -z "$stood_files" ] || reload_now || : ;;
    esac
    docker_up || note "$answer"
    if [ "$state_was" = "$running" ]; then
        runtime_again "$(cat "$snapshot/runtime")" || note "$answer"
    else
        kernel_again || note "$answer"
        own_tables_again || note "$answer"
    fi
    [ -z "$subnets" ] || unlatch || note "$answer"
    same_files || {
        note "/etc/firewalld is not as it was"
        return 1
    }
    { if [ "$state_was" = "$running" ]; then same_memory; else same_kernel; fi; } || {
        note "$answer"
        return 1
    }
}

# has_state: whether firewalld is as it was, in its own word.
has_state() {
    firewalld_state || answer=dead
    [ "$answer" = "$state_was" ]
}

# same_memory: whether firewalld holds what it held, if it was well.
same_memory() {
    [ "$state_was" = "$running" ] || return 0
    memory_now=$(runtime_text) && [ "$(alike "$(cat "$snapshot/runtime")")" = "$(alike "$memory_now")" ] || {
        answer="firewalld's runtime is not as it was"
        return 1
    }
}

# own_tables_again: the tables of firewalld's nftables backend.
own_tables_again() {
    [ -s "$snapshot/nft" ] && grep -q . "$snapshot/nft" || return 0
    again_text=$(
        sed -n 's/^table \([a-z0-9]* firewalld\) {$/add table \1;delete table \1/p' "$snapshot/nft" | tr ';' '\n'
        cat "$snapshot/nft"
    )
    answer=$(printf '%s\n' "$again_text" | limited nft -f - 2>&1) || because "firewalld's tables could not be put back:"
}

# reloaded, and then chosen: to this snapshot, which may be of long ago, in a step of a rollback. What others have made since stays, but
# for what is in firewalld. What fails ends it; then the rollback itself is taken back.
#
# Docker up to 27 does not forget a network that is removed: at the next reload its rules are there again. So firewalld reloads
# while all networks are as they are.
reloaded() {
    docker_up && put_files || return
    # shellcheck disable=SC2046,SC2086
    reload $(docker_networks | while read -r device rest; do printf '%s\n' $rest; done | grep -v :)
}
chosen() {
    docker_back && runtime_again "$(cat "$snapshot/runtime")" && kernel_again || return
    same_files || {
        answer="/etc/firewalld is not as it was"
        return 1
    }
    same_rules
}

# after_boot: the files were put back before firewalld read them; what is left is Docker's.
after_boot() {
    for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        ! is_running || break
        pause
    done
    if ! is_running || ! same_files; then
        note "firewalld did not come up with its files of before: $answer"
        return 1
    fi
    docker_up && docker_back || {
        note "$answer"
        return 1
    }
    how="by a boot"
}

# ---------------------------------------------------------------------------------------------------- the whole

# ended OUTCOME: written where a full disk does not matter, and in the snapshot if there is room.
ended() {
    [ "$mode" != timer ] || [ ! -e "$live/asked-$number" ] || mode=now
    ended_text="outcome=$1${newline}ended=$(date -u +%Y-%m-%dT%H:%M:%SZ)${newline}why=$mode${newline}how=$how"
    mkdir -p "$live" 2>/dev/null
    { printf '%s\n%s\n' "$ended_text" "$(printf '%s\n' "$trouble" | sed 's/^/trouble=/')" >"$live/outcome-$number"; } 2>/dev/null
    { printf '%s\n' "$ended_text" >>"$snapshot/about"; } 2>/dev/null
}

finish() {
    ended restored
    end_lease "$number"
    forget_boot
    exit 0
}

# forget_boot: systemd has read the units of a boot, and forgets what is not there any more.
forget_boot() { [ "$mode" != boot ] || systemctl daemon-reload >/dev/null 2>&1; }

main() {
    mode=${1:-now}
    trap '' HUP INT PIPE
    case $mode in
    reloaded | chosen | docker)
        # The run at work waits for minutes, and its caller too.
        seconds=60
        patience=30
        find_lock
        case $mode in docker) docker_back ;; *) "$mode" ;; esac && exit 0
        printf '%s\n' "$answer"
        exit 1
        ;;
    esac
    if ! is_armed; then
        # The plug was pulled when the lease had ended and not all was tidied up.
        case $mode in boot | files) leased || { tidy && forget_boot; } ;; esac
        exit 0
    fi
    if [ "$mode" = files ]; then
        put_files && exit 0
        printf '%s\n' "$answer"
        exit 1
    fi
    take_over || {
        is_armed || exit 0
        note "the run at work could not be ended"
    }
    # Somebody may have confirmed, or have gone back, while we waited.
    is_armed || exit 0
    tried=$(cat "$live/attempts-$number" 2>/dev/null)
    tried=$((${tried:-0} + 1))
    { printf '%s\n' "$tried" >"$live/attempts-$number"; } 2>/dev/null
    find_lock
    if [ -n "$recovery" ]; then
        as_it_stood
    elif [ "$mode" = boot ]; then
        after_boot || as_a_whole
    else
        in_place || as_a_whole
    fi && finish
    # systemd starts a program again that fails. What fails again and again is left to `--recover`.
    [ "$tried" -ge "$attempts" ] || exit 1
    ended failed
    exit 0
}
