# ---------------------------------------------------------------------------------------------------- the snapshot
#
# The content of /var/lib/fwdeploy/snapshots/N:
#
#   about                 the run: operator, time, and later how it ended
#   library.sh restore.sh the program that restores it
#   firewalld/            /etc/firewalld: the content, wherever its links lead
#   files                 a line for each thing in there: type and mode, owner, group; and where each link leads to
#   beside                copies that are kept elsewhere than in /etc/firewalld/.fwdeploy, because only there a rename works
#   state runtime         the state that firewalld reported, and its memory
#   iptables ip6tables ebtables nft
#   guard.table guard.nft guard.service guard.link   the guard: its table as text, and the files that load it at boot
#   guard.drop-in                      what nftables.service does about it
#   picture docker networks stamp   Docker: see picture.sh; what its rules depend on; whether it was running
#   subnets               those whose new flows are blocked while the rollback reloads firewalld
#   touched               what a rollback has changed of Docker's, written before each change

things=5000 # More than that in $etc is somebody's whole disk behind a link.

# save_file NAME TEXT: a file of the snapshot. A shell may not notice that a disk is full: `check_saved` compares what was written.
saved=
saved_files=
save_file() {
    capture write_file "$snapshot/$1" "$2" || fail_with "$snapshot/$1 could not be written:" || return
    saved=$saved$2$newline
    saved_files="$saved_files $snapshot/$1"
}
# check_saved: whether the files hold what was written since the last time, all of them at once.
check_saved() {
    local wanted
    wanted=$(printf '%s' "$saved" | cksum)
    # The names are meant to be split.
    [ "$(cat $saved_files | cksum)" = "$wanted" ] || {
        answer="$snapshot does not hold what was written ($(df -P "$snapshot" 2>/dev/null | tail -n 1 | tr -s ' '))"
        return 1
    }
    saved=
    saved_files=
}
write_file() { printf '%s\n' "$2" >"$1"; }

# take_snapshot: the present state, into the snapshot. What cannot be read cannot be restored, so the run does not start.
take_snapshot() {
    local state
    snapshot_files || return
    if await_firewalld_state; then
        state=$answer
    elif [ -n "$recovering" ] && ! limited systemctl is-active -q firewalld.service </dev/null 2>/dev/null; then
        state=dead
    else
        fail_with "firewalld does not report its state:"
        return
    fi
    save_file state "$state" && snapshot_tables || return
    if [ "$state" = dead ]; then save_file runtime ""; else snapshot_runtime; fi || return
    snapshot_guard && snapshot_docker || return
    save_file picture "$picture" && save_file docker "$layout" && save_file networks "$bridges" &&
        save_file stamp "$(systemctl show -p ActiveState docker.service 2>/dev/null)"
}

# snapshot_tables: the kernel's. `read_kernel` takes an answer that fails for an empty one.
snapshot_tables() {
    read_kernel || return
    if [ -z "$now_ip6tables" ] && command -v ip6tables-save >/dev/null && [ -d /proc/sys/net/ipv6 ]; then
        capture_limited ip6tables-save -c || fail_with "ip6tables-save does not report what the kernel holds:" || return
        now_ip6tables=$answer
    fi
    if [ -z "$now_ebtables" ] && command -v ebtables-save >/dev/null; then
        capture_limited ebtables-save || fail_with "ebtables-save does not report what the kernel holds:" || return
        now_ebtables=$answer
    fi
    save_file iptables "$now_iptables" && save_file ip6tables "$now_ip6tables" && save_file ebtables "$now_ebtables" || return
    # Only a recovery has to restore these.
    [ -z "$recovering" ] || save_file nft "$(firewalld_tables)"
}

# firewalld_tables: firewalld's own tables of nft.
firewalld_tables() {
    local family
    command -v nft >/dev/null || return 0
    for family in inet ip ip6; do nft list table "$family" firewalld 2>/dev/null </dev/null; done
}

# snapshot_runtime: firewalld's memory.
snapshot_runtime() {
    local text
    text=$(runtime_text) || {
        answer=$text
        fail_with "firewalld does not report its runtime configuration:"
        return
    }
    save_file runtime "$text"
}

# ---------------------------------------------------------------------------------------------------- firewalld's files

# copy_all WORD…: cp that keeps everything: mode, owner, times, security labels (SELinux), and fails if attributes would be lost.
copy_options=
copy_all() {
    if [ -z "$copy_options" ]; then
        copy_options=-a
        case $(cp --help 2>&1) in *--preserve*) copy_options="-a --preserve=xattr" ;; esac
    fi
    capture_limited cp $copy_options "$@"
}

# survey_folder FOLDER: a line for each thing in it, links followed, sorted. Names have no control characters: `snapshot_files` has
# checked that.
survey_folder() {
    {
        [ ! -L "$1" ] || printf 'link\t.\t%s\n' "$(readlink "$1")"
        (
            cd "$1" || exit
            find -L . -path ./.fwdeploy -prune -o -name '.*.fwdeploy' -prune -o -name .fwdeploy.part -prune -o -exec sh -c '
                for file; do [ ! -L "$file" ] || printf "link\t%s\t%s\n" "$file" "$(readlink "$file")"; done
                stat -L -c "%f %u %g	%n" "$@"' sh {} + || exit
            if command -v getfattr >/dev/null; then
                printf 'asked\tattributes\n'
                find -L . -path ./.fwdeploy -prune -o -name '.*.fwdeploy' -prune -o -name .fwdeploy.part -prune -o -exec getfattr -L -d -m - -e hex {} + |
                    awk '/^# file: / { file = substr($0, 9); next } NF { print "attribute\t" file "\t" $0 }'
            fi
        )
    } | sort
}

# survey_etc: in $survey the content of /etc/firewalld; fails if it cannot be read completely, as with a loop of links.
survey_etc() {
    answer=
    [ -d "$live" ] || mkdir -p "$live" 2>/dev/null
    if { : >"$live/survey"; } 2>/dev/null; then
        survey=$(survey_folder $etc 2>"$live/survey")
        [ ! -s "$live/survey" ] || answer=$(cat "$live/survey")
    else
        answer=$({ survey_folder $etc >/dev/null; } 2>&1)
        survey=$(survey_folder $etc 2>/dev/null)
    fi
    [ -z "$answer" ]
}

# without_attributes SURVEY: a tool for attributes may have been installed or removed since.
without_attributes() { printf '%s\n' "$1" | grep -v -e "^asked$tab" -e "^attribute$tab"; }

# same_files: whether /etc/firewalld matches the snapshot; the differences are in $answer.
same_files() {
    local before now_there other kind file
    survey_etc || fail_with "$etc cannot be read:" || return
    before=$(cat "$snapshot/files")
    now_there=$survey
    case "$before$newline=$newline$now_there" in
    *"asked$tab"*"$newline=$newline"*"asked$tab"*) ;;
    *)
        before=$(without_attributes "$before")
        now_there=$(without_attributes "$now_there")
        ;;
    esac
    [ "$before" = "$now_there" ] || {
        other=$(lines_only_in "$before" "$now_there" && lines_only_in "$now_there" "$before")
        answer="$etc is not as it was: $(printf '%s\n' "$other" | tr '\t' ' ' | head -n 4)"
        return 1
    }
    other=$(printf '%s\n' "$before" | grep '^8' | while IFS=$tab read -r kind file; do
        cmp -s "$snapshot/firewalld/$file" "$etc/$file" || echo "$file"
    done)
    answer="$etc is not as it was: $(printf '%s' "$other" | head -n 4)"
    [ -z "$other" ]
}

# snapshot_files: firewalld's files, or why they could not be restored as they are.
snapshot_files() {
    local count odd
    answer=
    count=$(find -L $etc 2>/dev/null | head -n "$((things + 1))" | grep -c .)
    [ "$count" -le "$things" ] || fail_with "$etc has more than $things files in it, counting what its links lead to: that is not a configuration of firewalld" || return
    # Mostly there is nothing odd; then one question is enough.
    odd=$(cd $etc && find -L . -path ./.fwdeploy -prune -o '(' -name '*[[:cntrl:]]*' -o -type l -o ! -type f ! -type d -o -type f -links +1 ')' -print 2>&1 | head -n 1)
    [ -z "$odd" ] || check_oddities || return
    survey_etc || fail_with "$etc cannot be read to its end:" || return
    case $survey in
    *"link$tab"*)
        odd=$(printf '%s\n' "$survey" | sed -n "s/^link${tab}[^$tab]*$tab//p" | tr -d '\n')
        case $odd in
        *[[:cntrl:]]*) fail_with "a symbolic link in $etc leads to a name with a control character in it" || return ;;
        esac
        ;;
    esac
    save_file files "$survey" || return
    copy_all -L $etc "$snapshot/firewalld" || fail_with "firewalld's files could not be copied to $snapshot:" || return
    rm -rf "$snapshot/firewalld/.fwdeploy"
    same_files || fail_with "another program is writing to firewalld's files:"
}

# check_oddities: why something in /etc/firewalld could not be restored as it is.
check_oddities() {
    local odd
    odd=$(cd $etc && find -L . -path ./.fwdeploy -prune -o -name '*[[:cntrl:]]*' -print 2>/dev/null | tr '[:cntrl:]' '?' | head -c 200)
    [ -z "$odd" ] || fail_with "a name in $etc has a control character in it, and could not be restored: $odd" || return
    # With links followed, an entry that is still a link leads nowhere.
    odd=$(cd $etc && find -L . -path ./.fwdeploy -prune -o -type l -print 2>/dev/null | head -n 3 | tr '\n' ' ')
    [ -z "$odd" ] || fail_with "a symbolic link in $etc leads to nothing, and what is written there could not be undone: $odd" || return
    odd=$(cd $etc && find -L . -path ./.fwdeploy -prune -o ! -type f ! -type d -print 2>/dev/null | head -n 3 | tr '\n' ' ')
    [ -z "$odd" ] || fail_with "neither a file nor a folder, so it could not be restored, in $etc: $odd" || return
    odd=$(cd $etc && find -L . -path ./.fwdeploy -prune -o -type f -links +1 -print 2>/dev/null | head -n 3 | tr '\n' ' ')
    [ -z "$odd" ] || fail_with "a file of $etc has another name elsewhere (a hard link), which a rollback would lose: $odd"
}

# stage_files: a copy of firewalld's files, where a rename can restore them if the disk is full.
stage_files() {
    local beside line ifs
    copy_all "$snapshot/firewalld" "$staging" || fail_with "there is no space beside firewalld's files for a copy of them, which a rollback needs when the disk is full:" || return
    beside=$(files_elsewhere)
    save_file beside "$beside" || return
    ifs=$IFS
    IFS=$newline
    for line in $beside; do
        IFS=$ifs
        copy_all "$snapshot/firewalld/${line%%"$tab"*}" "${line#*"$tab"}" || fail_with "there is no space for a copy of what a link in $etc leads to:" || return
        sync "${line#*"$tab"}" 2>/dev/null || sync
        IFS=$newline
    done
    IFS=$ifs
}

# files_elsewhere: each file of the survey that is not in /etc/firewalld itself, and where its copy is kept: in its own directory,
# under a name that firewalld does not read.
files_elsewhere() {
    local root mounts kind file real here
    root=$(readlink -f $etc)
    mounts=$(awk -v root="$root/" 'index($5, root) == 1 { print $5 }' /proc/self/mountinfo)
    case $mounts:$survey in :*"link$tab./"*) ;; :*) return 0 ;; esac
    printf '%s\n' "$survey" | while IFS=$tab read -r kind file; do
        case $kind in 8*) ;; *) continue ;; esac
        real=$(readlink -f "$etc/$file")
        here=$root/${file#./}
        if [ "$real" = "$here" ] && ! is_under "$real" "$mounts"; then continue; fi
        # What is mounted read-only cannot change.
        [ -w "${real%/*}" ] || continue
        printf '%s\t%s\n' "$file" "${real%/*}/.${real##*/}.fwdeploy"
    done
}

# is_under PATH FOLDERS
is_under() {
    local folder
    printf '%s\n' "$2" | while IFS= read -r folder; do
        case $1 in "${folder:-/nowhere}"/*) echo yes ;; esac
    done | grep -q yes
}

# required_mounts: what has to be mounted before firewalld's files can be restored, in systemd's format.
required_mounts() {
    sed -n "s/^[^$tab]*$tab\(.*\)\/[^\/]*\$/\1/p" "$snapshot/beside" 2>/dev/null | sort -u | sed 's/[\\"]/\\&/g; s/%/%%/g; s/.*/ "&"/' | tr -d '\n'
}
