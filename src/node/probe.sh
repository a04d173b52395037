# Reads a node: all questions are asked and answered in one exec.
#
# Reads only: no file is written, not even a temporary one, nothing is started and nothing is set. Runs in any POSIX
# shell (dash, bash, busybox ash), fed to `sh -s` as root. FWDEPLOY_ZONE is the firewalld zone to read, empty for the
# node's default zone; SSH_CONNECTION may come as the first argument, for callers that sudo takes the variable from.
#
# The answer on stdout:
#
#   fwdeploy-probe 1 SECONDS      the format's version, and the time limit of a question
#   ! NAME LENGTH                 what a question printed on stderr, if anything: LENGTH bytes, a newline
#   = NAME CODE LENGTH            its answer: LENGTH bytes, a newline. CODE is its exit code (124, 137, 143: it took
#                                 too long; 127: no such command), or `-` if it was not asked, for the reason in `!`
#   fwdeploy-probe end            without this line the answer was cut off
#
# Text before the first line is a login greeting. Everything is in functions that the last line starts, so
# half a script does nothing.
#
# Variables are `local` to their function. These are shared:
#
#   FWDEPLOY_ZONE                      see above
#   seconds firewalld object newline   fixed values: the time limit, names on D-Bus, a line break
#   docker_socket bus_socket           where Docker and the system bus listen, other fixed values
#   python                             the Python that is on the node (interpreter.sh)
#   home live                          folders (records.sh)
#   guard_file guard_unit              where the guard is on the disk (records.sh)
#   guard_drop_in guard_link           the same
#   timeout_words                      how timeout(1) is called here, without the limit; empty where there is none
#   answer code                        the answer to the last question, and its exit code, `-` if it was not asked
#   silent                             `yes` once a daemon has let a question time out; reset for each daemon
#   other_save                         the program that saves the other iptables backend's rules
#   kernel_then                        a line break, and the rules as they were read first; empty if they were not
#   matched                            the ipsets that saved rules use
#   nft_list nft_code                  the tables that nft lists, and the exit code of that
#   stamp_then                         checksums of firewalld's files as they were first
#   zone active default                the zone that is queried, and firewalld's answers for the active and the default one
#   firewalld_version                  the version that firewalld reports
#   listed                             the zones, policies and services whose settings are queried
#   named_sets                         the address sets of firewalld that these name
#   own_sets                           those of fwdeploy that firewalld has in memory

LC_ALL=C # Lengths are bytes, and messages are the ones that are looked for.
export LC_ALL
# systemd 247 colours its errors even in a pipe.
TERM=dumb
SYSTEMD_COLORS=0
SYSTEMD_LOG_COLOR=0
export TERM SYSTEMD_COLORS SYSTEMD_LOG_COLOR
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/snap/bin
export PATH
# The node's own engine, whatever the user's context points to.
docker_socket=/var/run/docker.sock
DOCKER_HOST=unix://$docker_socket
export DOCKER_HOST
unset DOCKER_CONTEXT
bus_socket=/run/dbus/system_bus_socket

seconds=5
firewalld=org.fedoraproject.FirewallD1
object=/org/fedoraproject/FirewallD1
newline='
'

# limited COMMAND…: the command, with a time limit in seconds. A daemon that hangs must not block the reading.
limited() { limited_to "$seconds" "$@"; }

# limited_to LIMIT COMMAND…: the same with that limit.
limited_to() {
    local limit="$1"
    shift
    if ! command -v "$1" >/dev/null; then
        echo "$1 is not installed" >&2
        return 127
    fi
    [ -z "$timeout_words" ] || set -- $timeout_words "$limit" "$@"
    "$@"
}

# become COMMAND…: the command in place of this shell, a process less. For the last command of a subshell, such as a question is. Without a
# time limit: for a command that only asks the kernel, or for nothing but its own version.
become() {
    if ! command -v "$1" >/dev/null; then
        echo "$1 is not installed" >&2
        exit 127
    fi
    exec "$@"
}

# become_limited COMMAND…: the same with a time limit.
become_limited() {
    command -v "$1" >/dev/null || become "$1"
    [ -z "$timeout_words" ] || set -- $timeout_words "$seconds" "$@"
    exec "$@"
}

# ask NAME COMMAND…: asks, and prints the answer. Leaves it in $answer and $code.
ask() {
    local name="$1" said
    shift
    answer=$(
        exec 3>&1
        said=$("$@" 2>&1 >&3 3>&- 4>&- </dev/null)
        code=$?
        [ -z "$said" ] || printf '! %s %s\n%s\n' "$name" "${#said}" "$said" >&4
        # Without a last character the shell would strip the answer's last newlines.
        printf .
        exit "$code"
    )
    code=$?
    answer=${answer%.}
    printf '= %s %s %s\n%s\n' "$name" "$code" "${#answer}" "$answer" >&4
}

# tell NAME TEXT: prints an answer that is known already, which takes no process.
tell() {
    answer=$2
    code=0
    printf '= %s 0 %s\n%s\n' "$1" "${#answer}" "$answer" >&4
}

# tell_file NAME FILE: the text of a small file, read by this shell.
tell_file() {
    local line='' text=''
    if { while IFS= read -r line; do text=$text$line$newline; done <"$2"; } 2>/dev/null; then
        tell "$1" "$text$line"
    else
        ask "$1" become cat "$2"
    fi
}

# first_line FILE: leaves it in $answer; empty if there is none.
first_line() {
    answer=
    { IFS= read -r answer <"$1"; } 2>/dev/null || [ -n "$answer" ]
}

# skip WHY NAME…: reports that questions were not asked, and why.
skip() {
    local why="$1" name
    shift
    for name in "$@"; do
        printf '! %s %s\n%s\n= %s - 0\n\n' "$name" "${#why}" "$why" "$name" >&4
    done
}

# ask_daemon WHOM NAME COMMAND…: asks, until one question times out: the rest would as well, and the reading would
# take minutes.
ask_daemon() {
    local whom="$1"
    shift
    if [ -n "$silent" ]; then
        skip "$whom did not answer within $seconds s" "$1"
        code=-
        return
    fi
    ask "$@"
    case $code in
    124 | 137 | 143) silent=yes ;;
    esac
}

# tools: those of the programs in question that exist.
tools() {
    local tool
    for tool in systemctl busctl firewall-cmd iptables-save ip6tables-save nft docker sudo timeout; do
        ! command -v "$tool" >/dev/null || echo "$tool"
    done
}

# connection: the one that this runs in. sudo removes the variable, but root may read it from the shells above.
connection() {
    local process generation line
    process=$$
    for generation in 1 2 3 4 5 6 7 8; do
        [ "$process" -gt 1 ] && [ -r "/proc/$process/environ" ] || return 0
        line=$(tr '\0' '\n' <"/proc/$process/environ" | sed -n 's/^SSH_CONNECTION=//p')
        if [ -n "$line" ]; then
            echo "$line"
            return
        fi
        process=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$process/status")
    done
}

# units UNIT…: for the last command of a subshell.
units() {
    become_limited systemctl show -p Id -p LoadState -p ActiveState -p SubState -p Result -p UnitFileState "$@"
}

# call PATH INTERFACE METHOD [SIGNATURE ARGUMENT…]: for the last command of a subshell.
call() {
    become_limited busctl call -- "$firewalld" "$@"
}

# machine: the running kernel and its network, on one line: no other machine has both, not even one with a copied disk.
machine() {
    local kernel network
    kernel=$(boot_now) && network=$(readlink /proc/self/ns/net) && echo "$kernel $network"
}

look_at_system() {
    ask uid become id -u
    tell_file os /etc/os-release
    tell_file kernel /proc/sys/kernel/osrelease
    if [ -n "$1" ]; then tell connection "$1$newline"; else ask connection connection; fi
    # The words are meant to be split: the third is the address that was connected to.
    set -- $answer
    if [ $# -ge 3 ]; then
        ask ssh-interface become ip -o addr show to "$3"
    else
        skip "this is no ssh connection" ssh-interface
    fi
    ask machine machine
    ask tools tools
    ask systemd become systemctl --version
    ask iptables become iptables -V
    case $answer in
    *nf_tables*) other_save=iptables-legacy-save ;;
    *) other_save=iptables-nft-save ;;
    esac
    # Not by this shell: it reads byte by byte, and the kernel gives a number of /proc/sys with one read or not at all.
    ask ip_forward become cat /proc/sys/net/ipv4/ip_forward
    look_at_routing
}

# The node's routes. A router of the Internet has a million of them: that many are not read.
look_at_routing() {
    ask addresses at_most 2000 ip -o addr show
    ask routes-ipv4 at_most 5000 ip -4 -o route show table all
    ask routes-ipv6 at_most 5000 ip -6 -o route show table all
    ask resolvers resolvers
}

# at_most NUMBER COMMAND…: at most that many lines of the command's output, then `more` or `end`; neither if it failed.
at_most() {
    local most="$1"
    shift
    { "$@" && echo end; } | awk -v most="$most" 'NR > most && $0 != "end" { print "more"; exit } { print }'
}

# The DNS servers of the node, and those that systemd-resolved queries for it.
resolvers() {
    local file
    set --
    for file in /etc/resolv.conf /run/systemd/resolve/resolv.conf; do
        [ ! -r "$file" ] || set -- "$@" "$file"
    done
    [ $# = 0 ] || awk '$1 == "nameserver" && NF > 1 && ++count <= 64 { print FILENAME, $2 }' "$@" || return
    echo end
}

look_at_kernel() {
    matched=
    ask iptables-save become_limited iptables-save
    match_sets
    # The line break makes an empty answer one that was given.
    kernel_then=
    [ "$code" != 0 ] || kernel_then=$newline$answer
    ask ip6tables-save become_limited ip6tables-save
    match_sets
    # The other backend's tables. Running the legacy one where it was never used could load its module. A file of /proc
    # has no size: only its content shows whether it is empty.
    if ! command -v "$other_save" >/dev/null; then
        skip "no $other_save" other-save
    elif [ "$other_save" = iptables-legacy-save ] && ! first_line /proc/net/ip_tables_names; then
        skip "no legacy tables" other-save
    else
        ask other-save become_limited "$other_save"
    fi
    ask nft-tables list_nft_tables
    nft_list=$newline$answer
    nft_code=$code
    look_at_guard
    ask_backend
    look_at_networking
}

# has_tables_of_nft: whether nft has listed its tables. Without a list nothing is known of them, in particular not that there are none.
has_tables_of_nft() {
    [ "$nft_code" != 0 ] || return 0
    echo "nft did not list its tables" >&2
    return 1
}

# look_at_guard: fwdeploy's own table, and the files that load it at boot.
look_at_guard() {
    ask guard-files guard_files
    if ! command -v nft >/dev/null; then
        skip "nft is not installed" nft-version guard-table
        return
    fi
    ask nft-version become nft --version
    case $nft_list in
    *"${newline}table inet fwdeploy$newline"*) ask guard-table bounded limited nft -j -p list table inet fwdeploy ;;
    *) ask guard-table has_tables_of_nft ;;
    esac
}

# guard_files: a line for each file that loads the guard at boot, with its SHA-256, and for all that keeps systemd from doing so.
guard_files() {
    local file
    set --
    for file in "$guard_file" "$guard_unit"; do
        [ ! -e "$file" ] || set -- "$@" "$file"
    done
    [ $# = 0 ] || limited sha256sum "$@" || return
    [ ! -e "$guard_link" ] || echo enabled
    ! is_guard_active || echo active
    # A unit is masked by a link to /dev/null, and changed by files in folders of this name.
    for file in /etc /run; do
        [ ! -L "$file/systemd/system/${guard_unit##*/}" ] ||
            [ "$(readlink "$file/systemd/system/${guard_unit##*/}")" != /dev/null ] || echo masked
        [ ! -d "$file/systemd/system/${guard_unit##*/}.d" ] || echo changed
    done
    [ ! -e "$guard_drop_in" ] || awk 'NR <= 100 { print "drop-in " substr($0, 1, 500) }' "$guard_drop_in" || return
    nftables_service
}

# nftables_service: `service` for the unit of the distribution that flushes all tables, if there is one, and a line for each command of it. A
# unit in /etc or /run is in place of the others, and a folder of its name has what is added.
nftables_service() {
    local folder file='' added
    for folder in /etc /run /usr/local/lib /usr/lib /lib; do
        [ -n "$file" ] || [ ! -e "$folder/systemd/system/nftables.service" ] || file=$folder/systemd/system/nftables.service
    done
    # Masked: a link to /dev/null, or an empty file.
    [ -n "$file" ] && [ -s "$file" ] || return 0
    set -- "$file"
    for folder in /etc /run /usr/local/lib /usr/lib; do
        for added in "$folder/systemd/system/nftables.service.d"/*.conf; do
            [ ! -f "$added" ] || [ "$added" = "$guard_drop_in" ] || set -- "$@" "$added"
        done
    done
    echo service
    awk '/^[[:space:]]*Exec/ && ++count <= 20 { sub(/^[[:space:]]*/, ""); print "service " substr($0, 1, 500) }' "$@"
}

# ask_backend: the content of firewalld's own nft tables, as far as it matters.
ask_backend() {
    if ! command -v nft >/dev/null; then
        skip "nft is not installed" firewalld-nft
        return
    fi
    ask firewalld-nft firewalld_nft
}

# firewalld_nft: a line for each forward, for each way from chain to chain ahead of it, for each chain with a hook that holds a rule
# twice, and for each such chain that is empty. The rest, however long, is not sent: zones can have tens of thousands of elements.
firewalld_nft() {
    local family listing
    has_tables_of_nft || return
    for family in inet ip ip6; do
        case $nft_list in *"${newline}table $family firewalld$newline"*) ;; *) continue ;; esac
        listing=$(limited nft -nn list table "$family" firewalld) || return
        echo "table $family"
        printf '%s\n' "$listing" | awk_firewalld_nft | awk 'NR > 30000 { print "more"; exit } { print substr($0, 1, 500) }'
    done
    echo end
}

# match_sets: adds the names of the sets that the answer's rules use to $matched.
match_sets() {
    case $answer in
    *"--match-set "*) matched=$matched$(printf %s "$answer" | grep -o -e '--match-set [^ ]*' | cut -d ' ' -f 2 | sort -u)$newline ;;
    esac
}

# bounded COMMAND…: its output, up to 12 MB, and `end` if that is all.
bounded() {
    {
        "$@" && echo end
    } | head -c 12582912
}

# sets: the sets that rules use, and those of fwdeploy, as ipset saves them.
sets() {
    local name ours=''
    # One that does not work is of no use to firewalld either.
    ! command -v ipset >/dev/null || ours=$(limited ipset list -n 2>/dev/null) || ours=
    ours=$(printf '%s\n' "$ours" | grep '^fwdeploy-')
    printf '%s\n' "$matched" "$ours" | sort -u | while IFS= read -r name; do
        case $name in '' | -*) continue ;; esac
        limited ipset save "$name" || return
    done
}

# nft_tables: the tables of nft that iptables does not show, each as one line of JSON.
nft_tables() {
    local word family name
    # Without nft there are none: only it creates them.
    command -v nft >/dev/null || return 0
    has_tables_of_nft || return
    printf '%s' "$nft_list" | while read -r word family name; do
        case $word:$family:$name in
        table:ip:filter | table:ip:nat | table:ip:mangle | table:ip:raw | table:ip:security) continue ;;
        table:inet:fwdeploy) continue ;;
        table:ip6:filter | table:ip6:nat | table:ip6:mangle | table:ip6:raw | table:ip6:security) continue ;;
        table:ip:* | table:ip6:* | table:inet:* | table:netdev:*) ;;
        *) continue ;;
        esac
        limited nft -j list table "$family" "$name" || return
        echo
    done
}

# routing: routing rules apart from the default ones.
routing() {
    local version
    for version in 4 6; do
        ip "-$version" rule | sed "s/^/rule$version /"
    done
    [ ! -r /proc/sys/net/ipv6/conf/all/forwarding ] || echo "forwarding6 $(cat /proc/sys/net/ipv6/conf/all/forwarding)"
    grep -l '^1' /proc/sys/net/ipv4/conf/*/rp_filter 2>/dev/null | sed 's|.*/conf/\(.*\)/rp_filter|strict \1|'
    return 0
}

# other6 COMMAND: the IPv6 tables of the other iptables backend.
other6() {
    # Running the legacy one where it was never used could load its module.
    case $1 in
    *legacy*) first_line /proc/net/ip6_tables_names || return 0 ;;
    esac
    ! command -v "$1" >/dev/null || become_limited "$1"
}

# What else decides about a packet, apart from iptables and firewalld.
look_at_networking() {
    ask listeners bounded limited ss -lntup
    ask routing bounded routing
    if [ -n "$matched" ] || command -v ipset >/dev/null; then ask sets bounded sets; else tell sets "end$newline"; fi
    ask nft-rules bounded nft_tables
    ask other6-save other6 "ip6tables${other_save#iptables}"
}

# kernel_moved: `moved` if a rule has changed since. The comments of iptables-save contain the time, and its counters move all the time.
kernel_moved() {
    local now
    now=$(become_limited iptables-save) || return
    printf '%s\n=\n%s\n' "$kernel_then" "$now" | awk '
        /^#/ || !NF { next }
        $0 == "=" { again = 1; next }
        { sub(/ \[[0-9]*:[0-9]*\]$/, "") }
        !again { was[++before] = $0; next }
        was[++now] != $0 { moved = 1 }
        END { print moved || before != now ? "moved" : "still" }'
}

# The last question: whether the rules are still those that were read first. Docker restores its own, one every few milliseconds.
look_at_kernel_again() {
    if [ -n "$kernel_then" ]; then
        ask kernel-moved kernel_moved
    else
        skip "iptables-save has no answer" kernel-moved
    fi
}

look_at_firewalld() {
    local properties=org.freedesktop.DBus.Properties path
    silent=
    ask firewalld-unit units firewalld.service
    ask firewalld-owner become_limited busctl call -- \
        org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus NameHasOwner s "$firewalld"
    # A call to a name without owner could start the daemon.
    if [ "$answer" != "b true$newline" ]; then
        skip "firewalld is not on the bus" firewalld-properties firewalld-config default-zone active-zones panic \
            zone permanent-direct permanent-zone permanent-rich runtime-chains runtime-rules runtime-passthroughs \
            runtime-rich runtime-sets permanent-sets settings files
        return
    fi
    stamp_then=$(stamp)
    tell file-sums "$stamp_then$newline"
    ask_daemon firewalld firewalld-properties call "$object" "$properties" GetAll s "$firewalld"
    firewalld_version=$(printf %s "$answer" | grep -o '"version" s "[0-9.]*' | cut -d '"' -f 4)
    ask_daemon firewalld firewalld-config call "$object/config" "$properties" GetAll s "$firewalld.config"
    ask_daemon firewalld active-zones call "$object" "$firewalld.zone" getActiveZones
    active=$answer
    ask_daemon firewalld panic call "$object" "$firewalld" queryPanicMode
    ask_daemon firewalld permanent-direct call "$object/config" "$firewalld.config.direct" getSettings
    ask_daemon firewalld runtime-chains call "$object" "$firewalld.direct" getAllChains
    ask_daemon firewalld runtime-rules call "$object" "$firewalld.direct" getAllRules
    ask_daemon firewalld runtime-passthroughs call "$object" "$firewalld.direct" getAllPassthroughs
    ask_daemon firewalld default-zone call "$object" "$firewalld" getDefaultZone
    default=$answer
    zone=$FWDEPLOY_ZONE
    if [ -z "$zone" ] && [ "$code" = 0 ]; then
        zone=${answer#s \"}
        zone=${zone%%\"*}
    fi
    if [ -z "$zone" ]; then
        skip "the default zone is unknown" zone permanent-zone permanent-rich runtime-rich settings files
        return
    fi
    tell zone "$zone"
    ask_daemon firewalld runtime-rich call "$object" "$firewalld.zone" getRichRules s "$zone"
    ask_daemon firewalld permanent-zone call "$object/config" "$firewalld.config" getZoneByName s "$zone"
    if [ "$code" = 0 ]; then
        path=${answer#o \"}
        ask_daemon firewalld permanent-rich call "${path%%\"*}" "$firewalld.config.zone" getRichRules
    else
        skip "the permanent zone was not found" permanent-rich
        ask zone-names zone_names
    fi
    look_at_settings
}

# zone_names: the existing zones, for a message about a zone that does not exist.
zone_names() {
    local file
    for file in /etc/firewalld/zones/*.xml /usr/lib/firewalld/zones/*.xml; do
        file=${file##*/}
        [ "$file" = "*.xml" ] || echo "${file%.xml}"
    done | sort -u
}

# settings: what a reload could change: the active zones, and everything with a file of its own in /etc/firewalld. The
# rest is as the distribution ships it, and is not active.
settings() {
    local word folder kind file
    echo "zone $zone"
    # A word of the answer that is not a zone, such as an interface's name, has no file.
    for word in $active $default; do
        word=${word#\"}
        word=${word%\"}
        for folder in /etc/firewalld /usr/lib/firewalld; do
            [ ! -e "$folder/zones/$word.xml" ] || echo "zone $word"
        done
    done
    for kind in zone:zones policy:policies service:services; do
        for file in "/etc/firewalld/${kind#*:}"/*.xml; do
            file=${file##*/}
            [ "$file" = "*.xml" ] || echo "${kind%:*} ${file%.xml}"
        done
    done
    echo end
}

# saved METHOD INTERFACE GETTER NAME: the permanent settings of the zone, policy or service of that name.
saved() {
    local found
    found=$(call "$object/config" "$firewalld.config" "$1" s "$4") || return
    found=${found#o \"}
    call "${found%%\"*}" "$firewalld.config.$2" "$3"
}

# stamp: shows whether firewalld's files were written meanwhile, also where they are behind links.
stamp() { become_limited find -L /etc/firewalld -name .fwdeploy -prune -o -name '.*.fwdeploy' -prune -o -type f -exec cksum {} + 2>/dev/null; }

# files_at_rest: the files, if none was written since firewalld was first queried. Otherwise its answers and the files' content
# may be from two moments, and the difference is not an edit.
files_at_rest() {
    files || return
    [ "$(stamp)" = "$stamp_then" ] || { echo "another program is writing to firewalld's files" >&2 && return 1; }
}

# files: what a reload would load, each from /etc/firewalld or else as the distribution ships it. First the path of each,
# or that there is none; then the texts, with a space before each line. One process, whatever their number.
files() {
    local line name places place found
    set --
    for line in direct:direct conf:firewalld $listed; do
        name=${line#*:}.xml
        case $line in
        direct:*) places=/etc/firewalld ;;
        conf:*) places=/etc/firewalld name=firewalld.conf ;;
        zone:*) places="/etc/firewalld/zones /usr/lib/firewalld/zones" ;;
        policy:*) places="/etc/firewalld/policies /usr/lib/firewalld/policies" ;;
        service:*) places="/etc/firewalld/services /usr/lib/firewalld/services" ;;
        ipset:*) places="/etc/firewalld/ipsets /usr/lib/firewalld/ipsets" ;;
        *) continue ;;
        esac
        found=
        for place in $places; do
            [ -n "$found" ] || ! [ -e "$place/$name" ] || found=$place/$name
        done
        echo "$line ${found:--}"
        [ -z "$found" ] || set -- "$@" "$found"
    done
    limited awk 'FNR == 1 { print "=" FILENAME } { print " " $0 } END { print "end" }' "$@"
}

look_at_settings() {
    local line whose
    named_sets=
    ask settings settings
    listed=$(printf %s "$answer" | awk '/^[a-z]* [A-Za-z0-9_.-]*$/ && !known[$0]++ { print $1 ":" $2 }')
    for line in $listed; do
        whose=${line#*:}
        case $line in
        zone:*)
            set -- "$firewalld.zone" getZoneSettings2 getZoneByName zone getSettings2
            # The form of the settings that names each of them came with 0.9 for zones, and with 0.7 for services.
            case $firewalld_version in
            0.[0-8] | 0.[0-8].*) set -- "$firewalld" getZoneSettings getZoneByName zone getSettings ;;
            esac
            ;;
        policy:*)
            set -- "$firewalld.policy" getPolicySettings getPolicyByName policy getSettings
            ;;
        service:*)
            set -- "$firewalld" getServiceSettings2 getServiceByName service getSettings2
            case $firewalld_version in
            0.[0-6] | 0.[0-6].*) set -- "$firewalld" getServiceSettings getServiceByName service getSettings ;;
            esac
            ;;
        esac
        ask_daemon firewalld "runtime-$line" call "$object" "$1" "$2" s "$whose"
        name_sets
        ask_daemon firewalld "permanent-$line" saved "$3" "$4" "$5" "$whose"
    done
    ask_daemon firewalld permanent-sets call "$object/config" "$firewalld.config" getIPSetNames
    for whose in $(our_sets); do
        ask_daemon firewalld "permanent-set:$whose" saved getIPSetByName ipset getSettings "$whose"
        listed="$listed ipset:$whose"
    done
    ask_daemon firewalld runtime-sets call "$object" "$firewalld.ipset" getIPSets
    own_sets=$(our_sets)
    ask files files_at_rest
    look_at_sets
}

# name_sets: adds the address sets that the answer names to $named_sets: `ipset:NAME` of a source, `ipset=\"NAME\"` of a rich rule.
name_sets() {
    case $answer in
    *ipset*) named_sets="$named_sets $(printf %s "$answer" | grep -oE 'ipset(:|=\\")[A-Za-z0-9_.-]+' | sed 's/.*[:"]//')" ;;
    esac
}

# our_sets: the names of fwdeploy's own sets in the answer.
our_sets() { printf %s "$answer" | tr ' ' '\n' | sed -n 's/^"\(fwdeploy-[A-Za-z0-9_.-]*\)"$/\1/p'; }

# look_at_sets: their kind, options and entries. Only firewalld's own sets are reported.
look_at_sets() {
    local whose
    for whose in $({
        printf '%s\n' $named_sets | grep -v '^fwdeploy-' | sort -u | head -n 64
        printf '%s\n' $own_sets
    }); do
        ask_daemon firewalld "set:$whose" call "$object" "$firewalld.ipset" getIPSetSettings s "$whose"
    done
}

# The number of them, then one line of JSON for each network and container. Fields are selected, because a container's
# environment holds secrets.
networks() {
    local template
    template='{"name":{{json .Name}},"id":{{json .Id}},"driver":{{json .Driver}},"ipam":{{json .IPAM.Config}}'
    template=$template',"internal":{{json .Internal}},"ipv6":{{json .EnableIPv6}},"options":{{json .Options}}'
    template=$template',"labels":{{json .Labels}},"ipam_driver":{{json .IPAM.Driver}}'
    template=$template',"ipam_options":{{json .IPAM.Options}},"attachable":{{json .Attachable}}}'
    each "network ls -q --no-trunc" "network inspect" "$template"
}

containers() {
    local template
    template='{"name":{{json .Name}},"id":{{json .Id}},"running":{{json .State.Running}}'
    template=$template',"mode":{{json .HostConfig.NetworkMode}},"bindings":{{json .HostConfig.PortBindings}}'
    template=$template',"ports":{{json .NetworkSettings.Ports}},"networks":{{json .NetworkSettings.Networks}}'
    template=$template',"status":{{json .State.Status}},"dns":{{json .HostConfig.Dns}}'
    template=$template',"privileged":{{json .HostConfig.Privileged}},"capabilities":{{json .HostConfig.CapAdd}}'
    template=$template',"compose_service":{{with .Config.Labels}}{{json (index . "com.docker.compose.service")}}{{else}}null{{end}}'
    template=$template',"swarm_service":{{with .Config.Labels}}{{json (index . "com.docker.swarm.service.name")}}{{else}}null{{end}}}'
    each "ps -aq --no-trunc" "container inspect" "$template"
}

# each LIST INSPECT TEMPLATE: inspects everything in the list; once more if something disappeared in between.
each() {
    local attempt ids found status
    for attempt in 1 2 3; do
        ids=$(become_limited docker $1) || return
        if [ -z "$ids" ]; then
            echo 0
            return 0
        fi
        found=$(become_limited docker $2 --format "$3" $ids) && {
            set -- $ids
            printf '%s\n%s\n' "$#" "$found"
            return 0
        }
        status=$?
        [ "$status" = 1 ] || return "$status"
    done
    return "$status"
}

# docker_told PROCESS: Docker's configuration about iptables and DNS servers, from daemon.json and its command line; nothing if there is none.
docker_told() {
    local file process="$1"
    for file in /etc/docker/daemon.json /var/snap/docker/current/config/daemon.json; do
        [ ! -r "$file" ] || tr -d ' \t\r\n' <"$file" | grep -oE '"ip6?tables":(true|false)|"dns":\["' | sed 's/"dns".*/dns=true/; s/"//g; s/:/=/'
    done
    [ "${process:-0}" = 0 ] || tr '\0' '\n' <"/proc/$process/cmdline" | sed -n -E 's/^--?(ip6?tables)$/\1=true/p; s/^--?(ip6?tables)=(.*)$/\1=\2/p; s/^--?dns(=.*)?$/dns=true/p'
    return 0
}

# settling FIREWALL: why Docker's rules are not all restored yet, from what it reports of its firewall; nothing if nothing indicates it.
settling() {
    local unit back began
    unit=$(become_limited systemctl show -p ActiveState -p ActiveEnterTimestamp firewalld.service)
    case $unit in
    *ActiveState=activating*) echo "firewalld is starting" && return ;;
    esac
    # Docker 28.1 and later report when they last restored their rules.
    back=${1#*\"ReloadedAt\",\"}
    [ "$back" != "$1" ] || return 0
    back=${back%%\"*}
    began=${unit#*ActiveEnterTimestamp=}
    began=${began%%"$newline"*}
    began=$(date -d "$began" +%s 2>/dev/null) && back=$(date -d "$back" +%s 2>/dev/null) || return 0
    # One that is not notified of firewalld's starts never will.
    [ "$back" -ge "$began" ] || [ "$(($(date +%s) - began))" -gt 60 ] || echo "Docker has not restored its rules since firewalld was started"
}

# look_at_docker: Docker, by its command.
look_at_docker() {
    local unit process service socket
    silent=
    ask docker-unit units -p MainPID docker.service docker.socket
    unit=$answer
    process=
    case $unit in *MainPID=*) process=${unit#*MainPID=} ;; esac
    ask docker-told docker_told "${process%%"$newline"*}"
    if ! command -v docker >/dev/null; then
        skip "docker is not installed" docker-version docker-firewall docker-networks docker-containers
        return
    fi
    # A query would start the engine if systemd listens on its socket.
    service=${unit%%"$newline$newline"*}
    socket=${unit#*"$newline$newline"}
    case $service in
    *ActiveState=activating* | *ActiveState=reloading*)
        tell settling "Docker is starting$newline"
        ask_docker starting
        return
        ;;
    *ActiveState=active*) ;;
    *)
        case $socket in
        *ActiveState=active*)
            skip "docker is not running" docker-version docker-firewall docker-networks docker-containers
            return
            ;;
        esac
        ;;
    esac
    ask_docker
}

# ask_docker [starting]: all questions to Docker itself.
ask_docker() {
    silent=
    ask_daemon docker docker-version become_limited docker version --format '{{.Server.Version}}'
    case $code:$answer in
    # Docker reports which firewall it uses since 28.1.
    0:28.0.* | 0:1.* | 0:1[0-9].* | 0:2[0-7].*) tell docker-firewall "$newline" ;;
    0:*) ask_daemon docker docker-firewall become_limited docker info --format '{{json .FirewallBackend}}' ;;
    *) skip "docker does not answer" docker-firewall docker-networks docker-containers && return ;;
    esac
    [ -n "${1-}" ] || ask settling settling "$answer"
    ask_daemon docker docker-networks networks
    ask_daemon docker docker-containers containers
}

# look_at_daemons: all answers of the daemons, from one process, after its number; then `all`. Without `all` firewalld is still to be asked: where
# that process fails, the commands are to be asked, firewalld's after the kernel was read.
look_at_daemons() {
    if [ ! -S "$bus_socket" ] || ! find_python; then
        look_at_docker
        return
    fi
    python_daemons "$python" "$docker_socket" "$bus_socket" "$seconds" "$FWDEPLOY_ZONE" 2>/dev/null >&4
    case $? in
    0) ;;
    4) ask_docker ;;
    5) ask_docker starting ;;
    *)
        look_at_docker
        return
        ;;
    esac
    echo all >&4
}

# wait_for_daemons: lets the process that asks the daemons go on, and prints what it has found, from stdin.
wait_for_daemons() {
    local first answers
    IFS= read -r first || first=
    case $first in
    '' | *[!0-9]*) answers=$first$newline ;;
    *)
        # It may have ended long ago.
        kill -USR1 "$first" 2>/dev/null
        answers=
        ;;
    esac
    answers=$answers$(cat && printf .)
    answers=${answers%.}
    printf %s "${answers%"all$newline"}" >&4
    case $answers in *"${newline}all$newline") return ;; esac
    look_at_firewalld
}

# leftovers: what only an armed node has, where none is: a run was killed while it was being armed. One that is at it just now is not
# told apart from that for a minute.
leftovers() {
    local left
    for left in /etc/firewalld/.fwdeploy /etc/systemd/system/fwdeploy-restore.service /etc/systemd/system/fwdeploy-restore-files.service; do
        [ ! -e "$left" ] || limited find "$left" -prune -cmin +0 -exec echo leftover {} ';' 2>/dev/null
    done
}

# records: what runs have left on the node: the number of the last that was armed, the lease, and a paragraph for each snapshot.
records() {
    local number armed left line
    # Not to be allowed to read them is not to have none.
    [ ! -d "$home" ] || ls "$home" >/dev/null || return
    if [ -d "$home/snapshots" ]; then
        for number in $(snapshot_numbers); do
            printf 'snapshot %s\n' "$number"
            while IFS= read -r line || [ -n "$line" ]; do
                case $line in *=*) printf '%s\n' "$line" ;; esac
            done <"$home/snapshots/$number/about"
        done
    fi
    first_line "$home/last" || :
    echo "last ${answer:-0}"
    [ -L "$home/armed" ] && armed=$(leased_snapshot) || {
        leftovers
        return 0
    }
    echo "armed $armed"
    if is_lease_live "$armed" limited; then echo "alive yes"; else echo "alive no"; fi
    left=$(seconds_left "$armed")
    [ -z "$left" ] || echo "left $left"
    [ ! -s "$live/outcome-$armed" ] || sed -n 's/^outcome=/restore /p; s/^trouble=/trouble /p' "$live/outcome-$armed"
    ! first_line "$live/step" || echo "step $answer"
    # Without these it cannot be restored.
    missing_parts "$armed" | sed 's/^/missing /'
}

# look [CONNECTION]: all questions.
look() {
    if timeout -k 1 1 true 2>/dev/null; then
        timeout_words="timeout -k 1"
    elif timeout 1 true 2>/dev/null; then
        timeout_words="timeout"
    else
        timeout_words=
    fi
    exec 4>&1
    printf 'fwdeploy-probe 1 %s\n' "$seconds"
    # First of all: a run that begins while we look has a number that we have not seen.
    ask records records
    # The daemons are asked beside the rest; the pipe keeps their answers until the others are out.
    {
        look_at_daemons 4>&1
    } | {
        look_at_system "$1"
        look_at_kernel
        wait_for_daemons
        look_at_kernel_again
    }
    printf 'fwdeploy-probe end\n'
}

look "${1:-${SSH_CONNECTION-}}"
