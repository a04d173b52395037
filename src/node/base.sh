# The beginning of every program that changes a node. Runs in any POSIX shell that has `local` (dash, bash, busybox ash), as root.
#
# Variables. A function declares its own with `local`, on lines of their own: `local x=$(…)` would hide the command's exit code, and dash
# would split the text. A function returns its result on stdout, or in `answer`. All other shared variables are listed here, and
# `every_variable_is_local_or_listed` (programs_tests.rs) keeps the list complete.
#
# Fixed values:
#   firewalld runtime permanent running    firewalld's names on D-Bus, and its word for being well
#   newline record separator escape tab    single characters; for `record` and `separator` see bus_answers.awk
#   home live etc staging units            folders: snapshots and lease; what a boot may take; firewalld's; its staged copy; systemd's
#   transient_units                        folders of systemd's
#   guard_file guard_unit guard_link       the guard's script, its unit, and the link that enables that (records.sh)
#   guard_drop_in                          what nftables.service does about it (records.sh)
#   guard_unit_text                        what is in that unit
#   EDITED                                 an exit code
#   docker_socket bus_socket               where Docker listens, and the system bus
#   docker_asking docker_changing          the limits in seconds of a question to Docker, and of a change of its networks
#   snapshots_kept things                  how many snapshots are kept, and how many files of firewalld's are still a configuration
#   attempts repeat_after                  how often a restore is tried, and how many seconds there are between two attempts
# What the program was composed with (arm.rs, restore.rs, recover.rs):
#   library restore_program about managed  what a run writes into its snapshot
#   seen_checksums                         firewalld's files as the look has seen them: `CHECKSUM SIZE PATH` lines
#   subnets touched recovery               of a restore: whom to latch, what the run changes of Docker's, whether it was a recovery
#   entries_count xml_head xml_tail        of a recovery: how many entries direct.xml has, and the text around them
# How to work, settled once by each program:
#   seconds patience                       how long a command may take, and how long Docker may take to put its rules back
#   python                                 the Python that is on the node (interpreter.sh)
#   has_timeout wait_flag                  `yes` where there is timeout(1); `-w` where iptables-restore knows it
#   mode                                   of a restore: what it was started for
#   recovering                             `yes` in a program that recovers
#   reload_command                         the function that makes firewalld load its permanent configuration
#   bus bus_files                          the process that calls firewalld for the program, and its files (bus.sh); empty where there is none
#   saved saved_files                      what was written into the snapshot, and into which files, until it has been compared
# The run:
#   answer                                 what the last command or function had to say: its result, or why it has failed
#   stopped                                the signal that has asked the run to stop
#   armed snapshot number                  the number of the armed run; its folder; in a restore, the number of its own snapshot
#   spared                                 a snapshot that is not to be removed: the one that a rollback goes to
#   step_number reached                    the current step; the last step that a run had started
#   how troubles remarks                   of a restore: in which way; what went wrong; what is not as it was, without a fault
#   edits_kept                             the folder where edits were kept that a write would have lost
# The kernel's tables (tables.sh, chain.sh):
#   now_iptables now_ip6tables now_ebtables      as they were read last
#   was_iptables was_ip6tables was_ebtables      as they are to be again
#   left_iptables left_ip6tables left_ebtables   as a failed reload has left them
#   now was                                those of the program that was selected last
#   filter_table                           the filter table of one program
#   jump_wanted                            where the jump was put, behind the end of the chain being its end
#   chain_program                          the program whose DOCKER-USER was taken away on purpose; empty in a reload
#   flushed                                the programs whose tables were found flushed
#   kernel_whole                           `yes` where the kernel is compared as a whole
# Docker:
#   containers_were networks devices stamp  before a reload: its containers, bridge networks, their devices, when it was reloaded last
#   changed quiet                          while waiting for its rules: whether a container came or went; how often nothing has moved
#   reload_vain reload_over                whether a reload was waited for in vain; when none was under way last, by uptime
#   docker_output                          what a question has printed
#   docker_unit                            the state of docker.service when it was at rest last
#   picture picture_networks picture_containers fresh_picture   the picture (picture.sh), its parts, and whether it is of now
#   layout bridges                         of a snapshot: the running containers, and the bridge networks, as text
# firewalld:
#   zone_path set_path                     the D-Bus paths of the permanent zone, and of the permanent ipset, that were read last
#   runtime_trouble                        what could not be restored at runtime
#   survey files_was files_trouble         its files now and before (snapshot.sh); what could not be put back
#   copy_options                           what cp can keep
# A recovery:
#   entries_kept set_aside passed          of direct.xml: entries that can be loaded, those that cannot, and chains among the former

umask 077
set -f # Lists are split at white space below, and none of their words is a pattern.
LC_ALL=C
export LC_ALL
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/snap/bin
export PATH
# The node's own engine, whatever the user's context points to.
docker_socket=/var/run/docker.sock
DOCKER_HOST=unix://$docker_socket
export DOCKER_HOST
bus_socket=/run/dbus/system_bus_socket
unset DOCKER_CONTEXT

firewalld=org.fedoraproject.FirewallD1
runtime=/org/fedoraproject/FirewallD1
permanent=/org/fedoraproject/FirewallD1/config
newline='
'
separator=$(printf '\037')
record=$(printf '\036')
escape=$(printf '\033')
tab=$(printf '\t')
etc=/etc/firewalld
staging=/etc/firewalld/.fwdeploy
units=/etc/systemd/system
# Where systemd has those that systemd-run made: in a folder of their own since version 229.
transient_units="/run/systemd/transient /run/systemd/system"
# A busy dockerd takes seconds to attach a container; a firewalld with thousands of rules takes as long to reload.
seconds=60
# How long Docker may take to restore its rules after a reload; on an idle node it takes 0.1 to 0.5 s.
patience=30
has_timeout=
! command -v timeout >/dev/null || has_timeout=yes

answer=
stopped=

# limited COMMAND…: the command, with a time limit in seconds.
limited() {
    if [ -n "$has_timeout" ]; then timeout "$seconds" "$@"; else "$@"; fi
}

# fail_with TEXT: fails with that reason, followed by the output of the program that failed, and with that program's code.
fail_with() {
    # The code of the command before: this must stay the first line.
    local code=$?
    case $code$answer in
    124*"not finished within "*) ;;
    124*) answer="${answer:+$answer$newline}not finished within $seconds seconds" ;;
    esac
    answer="$1${answer:+$newline$answer}"
    [ "$code" != 0 ] || code=1
    return "$code"
}

# fail_with_code CODE TEXT: the same with that code.
fail_with_code() {
    (exit "$1")
    fail_with "$2"
}

# capture_limited COMMAND…: runs it for a limited time; what it prints is the answer.
capture_limited() { answer=$(limited "$@" 2>&1 </dev/null); }

# capture FUNCTION…: the same for one of our functions, without a limit.
capture() { answer=$("$@" 2>&1 </dev/null); }

# restore_tables PROGRAM TEXT OPTION…: feeds PROGRAM-restore.
restore_tables() {
    local program="$1" text="$2"
    shift 2
    answer=$(printf '%s\n' "$text" | limited "$program-restore" "$@" 2>&1)
}

# find_wait_flag: the lock of the older iptables is held by any program that changes rules. Before 1.6.2, and the backport of CentOS 7, its
# restore does not know the option: it says so, works without it, and ends with 0.
wait_flag=
find_wait_flag() {
    local said
    ! said=$(printf '' | iptables-restore -w --noflush --test 2>&1) || [ -n "$said" ] || wait_flag=-w
}

# iptables_of FAMILY: its program.
iptables_of() {
    case $1 in
    ipv4) echo iptables ;;
    ipv6) echo ip6tables ;;
    esac
}

# Empty if the node was not read, as in a rollback.
seen_checksums=
EDITED=65 # A file has been edited by somebody since (EX_DATAERR of sysexits.h).

# remark TEXT: for programs that have a place for remarks.
remark() { :; }

# checksum_of FILE: `CHECKSUM SIZE`, or `-` where there is none.
checksum_of() { if [ -e "$1" ]; then cksum <"$1"; else echo -; fi; }

# check_unedited FILE: whether it is as it was read, or as we have written it since. firewalld writes its files from its memory, and would
# overwrite an edit that was made meanwhile. If the node was not read, the present file is kept instead.
check_unedited() {
    local before
    if [ -z "$seen_checksums" ]; then
        preserve_edit "${1#/etc/firewalld/}"
        return 0
    fi
    before=$(printf '%s\n' "$seen_checksums" | awk_seen_checksum -v path="$1")
    [ "$(checksum_of "$1")" = "$before" ] || {
        answer="$1 has been edited since the node was read; it was not written"
        return "$EDITED"
    }
}

# record_written FILE: firewalld has written it for us, together with the file next to it.
record_written() {
    local file line
    for file in "$1" "$1.old"; do
        [ -f "$file" ] || continue
        line="$(checksum_of "$file") $file"
        [ -z "$seen_checksums" ] || seen_checksums="$seen_checksums$newline$line"
        # Without a snapshot there is no rollback that would need it.
        [ -z "$snapshot" ] || { printf '%s\n' "$line" >>"$snapshot/wrote"; } 2>/dev/null || :
    done
}

# preserve_edit FILE: a file of /etc/firewalld that is neither as in the snapshot nor as the run has written it was edited by hand. It is
# about to be overwritten, and is kept in the snapshot. In the step of a rollback the rollback's own snapshot has it.
preserve_edit() {
    local file="/etc/firewalld/$1" copy
    [ -n "$snapshot" ] || return 0
    case ${mode:-} in reloaded | chosen | docker) return 0 ;; esac
    [ -f "$file" ] && ! cmp -s "$file" "$snapshot/firewalld/$1" || return 0
    ! grep -qxF -e "$(checksum_of "$file") $file" "$snapshot/wrote" 2>/dev/null || return 0
    copy=$snapshot/kept/$1
    ! cmp -s "$file" "$copy" || return 0
    [ ! -e "$copy" ] || copy=$copy.$(uptime_now)
    if mkdir -p "${copy%/*}" 2>/dev/null && cp -p "$file" "$copy" 2>/dev/null; then
        edits_kept=$snapshot/kept
        remark "$file was edited during the run; the edit is kept as $copy"
    else
        rm -f "$copy"
        remark "$file was edited during the run, and there is no space to keep the edit"
    fi
}
edits_kept=

pause() { sleep 0.2 2>/dev/null || sleep 1; }

# take_lock: one program of fwdeploy changes a node at a time. The lock is on a directory that always exists, and is also held by what a step
# has started, for as long as that takes.
take_lock() {
    local attempt
    command -v flock >/dev/null && [ -d /etc/firewalld ] || return 0
    exec 9</etc/firewalld
    # The timeout of busybox leaves a watcher behind, for a second or two, that also holds the lock.
    for attempt in 1 2 3 4 5 6; do
        flock -n 9 && return
        sleep 0.5 2>/dev/null || sleep 1
    done
    return 1
}
