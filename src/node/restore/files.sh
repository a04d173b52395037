# Restoring: /etc/firewalld as it was, behind its links where it has some.

# put_files: each file by one rename in its own folder. On a full disk the staged copy needs no room.
put_files() {
    files_trouble=
    surveyed || :
    files_was=$(cat "$snapshot/files")
    files_ifs=$IFS
    IFS=$newline
    for file in $(names_of "$survey" 8); do
        IFS=$files_ifs
        keep_edit "${file#./}"
        IFS=$newline
    done
    IFS=$files_ifs
    put_links
    put_folders
    files_ifs=$IFS
    IFS=$newline
    for files_line in $(printf '%s\n' "$files_was" | grep "^8"); do
        IFS=$files_ifs
        put_file "${files_line%%"$tab"*}" "${files_line#*"$tab"}"
        IFS=$newline
    done
    IFS=$files_ifs
    answer=$files_trouble
    [ -z "$answer" ]
}

files_wrong() { files_trouble="$files_trouble${files_trouble:+$newline}$1"; }

# names_of SURVEY PATTERN: the names in the lines that begin so.
names_of() { printf '%s\n' "$1" | sed -n "s/^$2[^$tab]*$tab\([^$tab]*\).*/\1/p"; }

# put_links: a link that was not there goes first, so that nothing behind it is touched; then those that were there come back.
put_links() {
    links_was=$(printf '%s\n' "$files_was" | grep "^link$tab")
    links_now=$(printf '%s\n' "$survey" | grep "^link$tab")
    [ "$links_was" != "$links_now" ] || return 0
    files_ifs=$IFS
    IFS=$newline
    for files_line in $(only_in "$links_now" "$links_was"); do
        IFS=$files_ifs
        link_name=${files_line#*"$tab"}
        link_name=$etc/${link_name%%"$tab"*}
        # One that leads elsewhere now is replaced below, by a rename.
        case $newline$links_was in
        *"$newline""link$tab${link_name#"$etc/"}$tab"*) ;;
        *) rm -f "$link_name" || files_wrong "$link_name cannot be removed" ;;
        esac
        IFS=$newline
    done
    for files_line in $(only_in "$links_was" "$links_now"); do
        IFS=$files_ifs
        link_to=${files_line##*"$tab"}
        link_name=${files_line#*"$tab"}
        link_name=$etc/${link_name%%"$tab"*}
        if [ -d "$link_name" ] && [ ! -L "$link_name" ]; then
            files_wrong "$link_name was a link to $link_to, and is a folder"
        else
            rm -f "${link_name%/*}/.fwdeploy.part"
            ln -s -- "$link_to" "${link_name%/*}/.fwdeploy.part" 2>/dev/null && mv -fT "${link_name%/*}/.fwdeploy.part" "$link_name" ||
                files_wrong "$link_name, a link to $link_to, cannot be made again"
        fi
        IFS=$newline
    done
    IFS=$files_ifs
    surveyed || :
}

# put_folders: what was not there goes, and folders are as they were.
put_folders() {
    files_ifs=$IFS
    IFS=$newline
    for file in $(only_in "$(names_of "$survey" 8)" "$(names_of "$files_was" 8)"); do
        rm -f "$etc/$file" || files_wrong "$etc/$file cannot be removed"
    done
    for file in $(only_in "$(names_of "$survey" 4)" "$(names_of "$files_was" 4)" | sort -r); do
        rmdir "$etc/$file" 2>/dev/null || files_wrong "the folder $etc/$file, which was not there, cannot be removed"
    done
    for files_line in $(only_in "$(printf '%s\n' "$files_was" | grep '^4')" "$(printf '%s\n' "$survey" | grep '^4')"); do
        IFS=$files_ifs
        file=$etc/${files_line#*"$tab"}
        mkdir -p "$file" 2>/dev/null && put_mode "$file" "${files_line%%"$tab"*}" || files_wrong "the folder $file cannot be made as it was"
        IFS=$newline
    done
    IFS=$files_ifs
}

# put_mode FILE MODE-OWNER-GROUP
put_mode() {
    mode_file=$1
    # shellcheck disable=SC2086
    set -- $2
    chown "$2:$3" "$mode_file" 2>/dev/null && chmod "$(printf %o $((0x$1 & 07777)))" "$mode_file" 2>/dev/null
}

# put_file MODE-OWNER-GROUP NAME
put_file() {
    file=$2
    if cmp -s "$snapshot/firewalld/$file" "$etc/$file"; then
        case $newline$survey$newline in *"$newline$1$tab$file$newline"*)
            [ "$(printf '%s\n' "$files_was" | grep -F -e "attribute$tab${file#./}$tab")" != "$(printf '%s\n' "$survey" | grep -F -e "attribute$tab${file#./}$tab")" ] || return 0
            ;;
        esac
    fi
    # Through a link, so that it stays one.
    file_target=$(readlink -f "$etc/$file") && [ -n "$file_target" ] && [ ! -d "$file_target" ] || {
        files_wrong "$etc/$file has no place to be put"
        return
    }
    mkdir -p "${file_target%/*}" 2>/dev/null
    if [ "$mode" != reloaded ]; then
        file_staged=$(sed -n "s/^\([^$tab]*\)$tab/\1$tab/p" "$snapshot/beside" 2>/dev/null | while IFS=$tab read -r staged_file staged_copy; do
            [ "$staged_file" != "$file" ] || printf '%s' "$staged_copy"
        done)
        file_staged=${file_staged:-$staging/$file}
        ! cmp -s "$snapshot/firewalld/$file" "$file_staged" || ! mv -f "$file_staged" "$file_target" 2>/dev/null || return 0
    fi
    file_part=${file_target%/*}/.fwdeploy.part
    copy "$snapshot/firewalld/$file" "$file_part" && mv -f "$file_part" "$file_target" 2>/dev/null && return
    rm -f "$file_part"
    # The room of the old content is all there is; or the file is a mount of its own, which cannot be renamed over.
    cat "$snapshot/firewalld/$file" 2>/dev/null >"$file_target" && put_mode "$file_target" "$1" || files_wrong "$etc/$file cannot be written"
}
