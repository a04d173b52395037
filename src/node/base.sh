# What every program that changes a node begins with. Runs in any POSIX shell (dash, bash, busybox ash), as root.

umask 077
set -f # Lists are split at white space below, and none of their words is a pattern.
LC_ALL=C
export LC_ALL
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/snap/bin
export PATH
# The node's own engine, wherever the user's context points to.
DOCKER_HOST=unix:///var/run/docker.sock
export DOCKER_HOST
unset DOCKER_CONTEXT

firewalld=org.fedoraproject.FirewallD1
runtime=/org/fedoraproject/FirewallD1
permanent=/org/fedoraproject/FirewallD1/config
newline='
'
separator=$(printf '\037')
escape=$(printf '\033')
# What lasts: the snapshots, and `armed`, the lease. What a boot may take: how far a run is.
home=/var/lib/fwdeploy
live=/run/fwdeploy
staging=/etc/firewalld/.fwdeploy
units=/etc/systemd/system
# A busy dockerd takes seconds to attach a container; a firewalld with thousands of rules takes as long to reload.
seconds=60
# How long Docker may take to put its rules back after a reload; on an idle node it takes 0.1 to 0.5 s.
patience=30
clock=
! command -v timeout >/dev/null || clock=yes

answer=  # Why the step at work has failed.
stopped= # The signal that asked us to stop.

# limited COMMAND…: the command, for so many seconds at most.
limited() {
    if [ -n "$clock" ]; then timeout "$seconds" "$@"; else "$@"; fi
}

# because TEXT: fails for that reason, ahead of what a program has said about it, and with that program's code.
because() {
    because_code=$?
    case $because_code$answer in
    124*"no end within "*) ;;
    124*) answer="${answer:+$answer$newline}no end within $seconds seconds" ;;
    esac
    answer="$1${answer:+$newline$answer}"
    [ "$because_code" != 0 ] || because_code=1
    return "$because_code"
}

# ask COMMAND…: runs it; what it prints is the answer.
ask() { answer=$(limited "$@" 2>&1 </dev/null); }

# try FUNCTION…: the same for a function of ours.
try() { answer=$("$@" 2>&1 </dev/null); }

# load PROGRAM TEXT OPTION…: feeds PROGRAM-restore.
load() {
    load_program=$1
    load_text=$2
    shift 2
    answer=$(printf '%s\n' "$load_text" | limited "$load_program-restore" "$@" 2>&1)
}

# The lock of the older iptables is held by whoever else changes rules. Before 1.6.2, and the backport of CentOS 7, its
# restore does not know the option.
lock=
find_lock() { ! printf '' | iptables-restore -w --noflush --test >/dev/null 2>&1 || lock=-w; }

program_of() {
    case $1 in
    ipv4) program=iptables ;;
    ipv6) program=ip6tables ;;
    esac
}

# What the look has seen of firewalld's files: `CHECKSUM SIZE PATH`. Empty where nobody has looked, as on the way back.
seen=
EDITED=65 # A file has been edited by somebody since (EX_DATAERR of sysexits.h).

# remark TEXT: for programs that have a place for it.
remark() { :; }

# sum_of FILE: `CHECKSUM SIZE`, or `-` where there is none.
sum_of() { if [ -e "$1" ]; then cksum <"$1"; else echo -; fi; }

# untouched FILE: whether it is as it was seen, or as we have written it since. firewalld writes its files from its memory, and would
# overwrite what somebody has edited meanwhile. Where nobody has looked, what is there is kept instead.
untouched() {
    if [ -z "$seen" ]; then
        keep_edit "${1#/etc/firewalld/}"
        return 0
    fi
    touched_was=$(printf '%s\n' "$seen" | awk -v path="$1" '{ sum = $1 " " $2; sub(/^[^ ]+ [^ ]+ /, ""); if ($0 == path) was = sum } END { print was == "" ? "-" : was }')
    [ "$(sum_of "$1")" = "$touched_was" ] || {
        answer="$1 was edited by somebody since the node was looked at; it was not written"
        return "$EDITED"
    }
}

# wrote FILE: firewalld has written it for us, and what was there beside it.
wrote() {
    for wrote_file in "$1" "$1.old"; do
        [ -f "$wrote_file" ] || continue
        wrote_line="$(sum_of "$wrote_file") $wrote_file"
        [ -z "$seen" ] || seen="$seen$newline$wrote_line"
        # Without a snapshot there is no way back that would ask.
        [ -z "$snapshot" ] || { printf '%s\n' "$wrote_line" >>"$snapshot/wrote"; } 2>/dev/null || :
    done
}

# keep_edit FILE: a file of /etc/firewalld that is neither as in the snapshot nor as the run has written it is somebody's edit. It is
# about to be overwritten, and is kept in the snapshot. In the step of a rollback the rollback's own snapshot has it.
keep_edit() {
    [ -n "$snapshot" ] || return 0
    case ${mode:-} in reloaded | chosen | docker) return 0 ;; esac
    edit_file=/etc/firewalld/$1
    [ -f "$edit_file" ] && ! cmp -s "$edit_file" "$snapshot/firewalld/$1" || return 0
    ! grep -qxF -e "$(sum_of "$edit_file") $edit_file" "$snapshot/wrote" 2>/dev/null || return 0
    edit_kept=$snapshot/kept/$1
    ! cmp -s "$edit_file" "$edit_kept" || return 0
    [ ! -e "$edit_kept" ] || edit_kept=$edit_kept.$(uptime_now)
    if mkdir -p "${edit_kept%/*}" 2>/dev/null && cp -p "$edit_file" "$edit_kept" 2>/dev/null; then
        edits_kept=$snapshot/kept
        remark "$edit_file was edited by somebody meanwhile; that is kept as $edit_kept"
    else
        rm -f "$edit_kept"
        remark "$edit_file was edited by somebody meanwhile, and there is no room to keep that"
    fi
}
edits_kept= # Where edits were kept.

# What no setting of the clock moves: whole seconds since the node has booted.
uptime_now() {
    IFS=' .' read -r uptime_seconds uptime_rest </proc/uptime
    echo "$uptime_seconds"
}

pause() { sleep 0.2 2>/dev/null || sleep 1; }

# The lock: one program of ours changes a node at a time. It is on a folder that is there anyway, and is also held by
# what a step has started, for as long as that takes.
lock_now() {
    command -v flock >/dev/null && [ -d /etc/firewalld ] || return 0
    exec 9</etc/firewalld
    # The timeout of busybox leaves a watcher behind, for a second or two, that has the lock with all else.
    for try in 1 2 3 4 5 6; do
        flock -n 9 && return
        sleep 0.5 2>/dev/null || sleep 1
    done
    return 1
}

