# ---------------------------------------------------------------------------------------------------- the snapshot
#
# What is in /var/lib/fwdeploy/snapshots/N:
#
#   about                 the run: who, when, and later how it ended
#   library.sh restore.sh what brings it back
#   firewalld/            /etc/firewalld: the content, wherever its links lead to
#   files                 a line for each thing in there: type and mode, owner, group; and where each link leads to
#   beside                copies that lie ready elsewhere than in /etc/firewalld/.fwdeploy, because only there a rename works
#   state runtime         firewalld's word for how it was, and its memory
#   iptables ip6tables ebtables nft
#   picture docker networks stamp   Docker: see picture.sh; what its rules hang on; whether it ran
#   subnets               those that are closed to new flows while the way back reloads firewalld
#   touched               what a rollback has changed of Docker's, written ahead of each change

tab=$(printf '\t')
etc=/etc/firewalld
things=5000 # More than that in $etc is somebody's whole disk behind a link.

# keep NAME TEXT: a file of the snapshot. A shell may not notice that a disk is full.
keep() {
    try keep_now "$snapshot/$1" "$2" && printf '%s\n' "$2" | cmp -s - "$snapshot/$1" && return
    [ -n "$answer" ] || answer="it does not hold what was written ($(df -P "$snapshot" 2>/dev/null | tail -n 1 | tr -s ' '))"
    because "$snapshot/$1 could not be written:"
}
keep_now() { printf '%s\n' "$2" >"$1"; }

# take: the state as it is now, into the snapshot. What cannot be read cannot be brought back, and is a reason not to begin.
take() {
    take_files || return
    if state_soon; then
        take_state=$answer
    elif [ -n "$recovering" ] && ! limited systemctl is-active -q firewalld.service </dev/null 2>/dev/null; then
        take_state=dead
    else
        because "firewalld does not tell its state:"
        return
    fi
    keep state "$take_state" && take_tables || return
    if [ "$take_state" = dead ]; then keep runtime ""; else keep_runtime; fi || return
    pictured || return
    take_placed=
    take_networks=
    if [ "$picture" != stopped ]; then
        take_placed=$(placed) && take_networks=$(docker_networks) || {
            answer="docker does not answer, so that where its containers are cannot be written down"
            return 1
        }
    fi
    keep picture "$picture" && keep docker "$take_placed" && keep networks "$take_networks" &&
        keep stamp "$(systemctl show -p ActiveState docker.service 2>/dev/null)"
}

# take_tables: the kernel's. `look` takes an answer that fails for an empty one.
take_tables() {
    look || return
    if [ -z "$now_ip6tables" ] && command -v ip6tables-save >/dev/null && [ -d /proc/sys/net/ipv6 ]; then
        ask ip6tables-save -c || because "ip6tables-save does not tell what the kernel holds:" || return
        now_ip6tables=$answer
    fi
    if [ -z "$now_ebtables" ] && command -v ebtables-save >/dev/null; then
        ask ebtables-save || because "ebtables-save does not tell what the kernel holds:" || return
        now_ebtables=$answer
    fi
    keep iptables "$now_iptables" && keep ip6tables "$now_ip6tables" && keep ebtables "$now_ebtables" || return
    # Only a recovery has to bring these back.
    [ -z "$recovering" ] || keep nft "$(own_tables)"
}

# own_tables: firewalld's own tables of nft.
own_tables() {
    command -v nft >/dev/null || return 0
    for own_family in inet ip ip6; do nft list table "$own_family" firewalld 2>/dev/null </dev/null; done
}

keep_runtime() {
    take_runtime=$(runtime_text) || {
        answer=$take_runtime
        because "firewalld does not tell its runtime configuration:"
        return
    }
    keep runtime "$take_runtime"
}

# ---------------------------------------------------------------------------------------------------- firewalld's files

# cp that keeps all there is: mode, owner, times, links of security (SELinux), and fails where attributes would be lost.
copy() {
    if [ -z "${copy_options:-}" ]; then
        copy_options=-a
        case $(cp --help 2>&1) in *--preserve*) copy_options="-a --preserve=xattr" ;; esac
    fi
    # shellcheck disable=SC2086
    ask cp $copy_options "$@"
}

# survey FOLDER: a line for each thing in it, links followed, sorted. Names have no control characters: `take_files` has seen to that.
survey() {
    {
        [ ! -L "$1" ] || printf 'link\t.\t%s\n' "$(readlink "$1")"
        (
            cd "$1" || exit
            # shellcheck disable=SC2016
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

# surveyed: in $survey what is in /etc/firewalld; fails where it cannot be read to its end, as with a loop of links.
surveyed() {
    survey_trouble=$({ survey $etc >/dev/null; } 2>&1)
    survey=$(survey $etc 2>/dev/null)
    answer=$survey_trouble
    [ -z "$answer" ]
}

# comparable SURVEY: a tool for attributes may have come or gone since.
comparable() { printf '%s\n' "$1" | grep -v -e "^asked$tab" -e "^attribute$tab"; }

# same_files: whether /etc/firewalld is what the snapshot has, in $answer what is not.
same_files() {
    surveyed || because "$etc cannot be read:" || return
    files_was=$(cat "$snapshot/files")
    files_now=$survey
    case "$files_was$newline=$newline$files_now" in
    *"asked$tab"*"$newline=$newline"*"asked$tab"*) ;;
    *)
        files_was=$(comparable "$files_was")
        files_now=$(comparable "$files_now")
        ;;
    esac
    [ "$files_was" = "$files_now" ] || {
        answer="$etc is not as it was: $({ only_in "$files_was" "$files_now"; only_in "$files_now" "$files_was"; } | tr '\t' ' ' | head -n 4)"
        return 1
    }
    files_other=$(printf '%s\n' "$files_was" | while IFS=$tab read -r files_mode file; do
        case $files_mode in 8*) cmp -s "$snapshot/firewalld/$file" "$etc/$file" || echo "$file" ;; esac
    done)
    answer="$etc is not as it was: $(printf '%s' "$files_other" | head -n 4)"
    [ -z "$files_other" ]
}

# take_files: firewalld's files, or why they could not be brought back as they are.
take_files() {
    answer=
    take_count=$(find -L $etc 2>/dev/null | head -n "$((things + 1))" | grep -c .)
    [ "$take_count" -le "$things" ] || because "$etc has more than $things files in it, counting what its links lead to: that is no configuration of firewalld" || return
    take_odd=$(cd $etc && find -L . -path ./.fwdeploy -prune -o -name '*[[:cntrl:]]*' -print 2>/dev/null | tr '[:cntrl:]' '?' | head -c 200)
    [ -z "$take_odd" ] || because "a name in $etc has a control character in it, and could not be brought back: $take_odd" || return
    # With links followed, one that is still a link leads nowhere.
    take_odd=$(cd $etc && find -L . -path ./.fwdeploy -prune -o -type l -print 2>/dev/null | head -n 3 | tr '\n' ' ')
    [ -z "$take_odd" ] || because "a symbolic link in $etc leads to nothing, and what is written there could not be taken back: $take_odd" || return
    take_odd=$(cd $etc && find -L . -path ./.fwdeploy -prune -o ! -type f ! -type d -print 2>/dev/null | head -n 3 | tr '\n' ' ')
    [ -z "$take_odd" ] || because "neither a file nor a folder, so that it could not be brought back, in $etc: $take_odd" || return
    take_odd=$(cd $etc && find -L . -path ./.fwdeploy -prune -o -type f -links +1 -print 2>/dev/null | head -n 3 | tr '\n' ' ')
    [ -z "$take_odd" ] || because "a file of $etc has another name elsewhere (a hard link), which would be lost on the way back: $take_odd" || return
    surveyed || because "$etc cannot be read to its end:" || return
    case $(printf '%s\n' "$survey" | sed -n "s/^link$tab[^$tab]*$tab//p" | tr -d '\n') in
    *[[:cntrl:]]*) because "a symbolic link in $etc leads to a name with a control character in it" || return ;;
    esac
    keep files "$survey" || return
    copy -L $etc "$snapshot/firewalld" || because "firewalld's files could not be copied to $snapshot:" || return
    rm -rf "$snapshot/firewalld/.fwdeploy"
    same_files || because "somebody is writing to firewalld's files just now:"
}

# stage: firewalld's files once more, where a rename can put them back when the disk is full.
stage() {
    copy "$snapshot/firewalld" "$staging" || because "there is no place beside firewalld's files for a copy of them, from which they come back when the disk is full:" || return
    stage_beside=$(elsewhere)
    keep beside "$stage_beside" || return
    stage_ifs=$IFS
    IFS=$newline
    for stage_line in $stage_beside; do
        IFS=$stage_ifs
        copy "$snapshot/firewalld/${stage_line%%"$tab"*}" "${stage_line#*"$tab"}" || because "there is no place for a copy of what a link in $etc leads to:" || return
        sync "${stage_line#*"$tab"}" 2>/dev/null || sync
        IFS=$newline
    done
    IFS=$stage_ifs
}

# elsewhere: each file of the survey that does not lie in /etc/firewalld itself, and where its copy is to lie: in its own folder, under
# a name that firewalld does not read.
elsewhere() {
    elsewhere_root=$(readlink -f $etc)
    elsewhere_mounts=$(awk -v root="$elsewhere_root/" 'index($5, root) == 1 { print $5 }' /proc/self/mountinfo)
    case $elsewhere_mounts:$survey in :*"link$tab./"*) ;; :*) return 0 ;; esac
    printf '%s\n' "$survey" | while IFS=$tab read -r elsewhere_mode elsewhere_file; do
        case $elsewhere_mode in 8*) ;; *) continue ;; esac
        elsewhere_real=$(readlink -f "$etc/$elsewhere_file")
        elsewhere_here=$elsewhere_root/${elsewhere_file#./}
        if [ "$elsewhere_real" = "$elsewhere_here" ] && ! is_under "$elsewhere_real" "$elsewhere_mounts"; then continue; fi
        # What is mounted read-only cannot change.
        [ -w "${elsewhere_real%/*}" ] || continue
        printf '%s\t%s\n' "$elsewhere_file" "${elsewhere_real%/*}/.${elsewhere_real##*/}.fwdeploy"
    done
}

# is_under PATH FOLDERS
is_under() {
    printf '%s\n' "$2" | while IFS= read -r under_folder; do
        case $1 in "${under_folder:-/nowhere}"/*) echo yes ;; esac
    done | grep -q yes
}

# unstage: takes these copies away, of whatever run.
unstage() {
    rm -rf "$staging"
    for unstage_number in $(ls "$home/snapshots" 2>/dev/null); do
        [ -f "$home/snapshots/$unstage_number/beside" ] || continue
        while IFS=$tab read -r unstage_file unstage_copy; do
            case $unstage_copy in /*/.*.fwdeploy) rm -f "$unstage_copy" ;; esac
        done <"$home/snapshots/$unstage_number/beside"
        rm -f "$home/snapshots/$unstage_number/beside"
    done
}

# mounts_needed: what has to be mounted before firewalld's files can be put back, in systemd's words.
mounts_needed() {
    sed -n "s/^[^$tab]*$tab\(.*\)\/[^\/]*\$/\1/p" "$snapshot/beside" 2>/dev/null | sort -u | sed 's/[\\"]/\\&/g; s/%/%%/g; s/.*/ "&"/' | tr -d '\n'
}
