# Restoring: /etc/firewalld as it was, also behind its links.

# put_files: each file by one rename in its own directory. On a full disk the staged copy needs no space.
put_files() {
    local file line ifs
    files_trouble=
    survey_etc || :
    files_was=$(cat "$snapshot/files")
    ifs=$IFS
    IFS=$newline
    for file in $(names_of "$survey" 8); do
        IFS=$ifs
        preserve_edit "${file#./}"
        IFS=$newline
    done
    IFS=$ifs
    put_links
    put_folders
    ifs=$IFS
    IFS=$newline
    for line in $(printf '%s\n' "$files_was" | grep "^8"); do
        IFS=$ifs
        put_file "${line%%"$tab"*}" "${line#*"$tab"}"
        IFS=$newline
    done
    IFS=$ifs
    answer=$files_trouble
    [ -z "$answer" ]
}

# note_file_trouble TEXT
note_file_trouble() { files_trouble="$files_trouble${files_trouble:+$newline}$1"; }

# names_of SURVEY PATTERN: the names in the lines that start with it.
names_of() { printf '%s\n' "$1" | sed -n "s/^${2}[^$tab]*$tab\([^$tab]*\).*/\1/p"; }

# put_links: a new link is removed first, so that nothing behind it is touched; then the previous ones are restored.
put_links() {
    local before current line ifs name to
    before=$(printf '%s\n' "$files_was" | grep "^link$tab")
    current=$(printf '%s\n' "$survey" | grep "^link$tab")
    [ "$before" != "$current" ] || return 0
    ifs=$IFS
    IFS=$newline
    for line in $(lines_only_in "$current" "$before"); do
        IFS=$ifs
        name=${line#*"$tab"}
        name=$etc/${name%%"$tab"*}
        # A link that leads elsewhere now is replaced below, by a rename.
        case $newline$before in
        *"$newline""link$tab${name#"$etc/"}$tab"*) ;;
        *) rm -f "$name" || note_file_trouble "$name cannot be removed" ;;
        esac
        IFS=$newline
    done
    for line in $(lines_only_in "$before" "$current"); do
        IFS=$ifs
        to=${line##*"$tab"}
        name=${line#*"$tab"}
        name=$etc/${name%%"$tab"*}
        if [ -d "$name" ] && [ ! -L "$name" ]; then
            note_file_trouble "$name was a link to $to, and is a folder"
        else
            rm -f "${name%/*}/.fwdeploy.part"
            ln -s -- "$to" "${name%/*}/.fwdeploy.part" 2>/dev/null && mv -fT "${name%/*}/.fwdeploy.part" "$name" ||
                note_file_trouble "$name, a link to $to, cannot be recreated"
        fi
        IFS=$newline
    done
    IFS=$ifs
    survey_etc || :
}

# put_folders: new entries are removed, and directories are restored.
put_folders() {
    local file line ifs
    ifs=$IFS
    IFS=$newline
    for file in $(lines_only_in "$(names_of "$survey" 8)" "$(names_of "$files_was" 8)"); do
        rm -f "$etc/$file" || note_file_trouble "$etc/$file cannot be removed"
    done
    for file in $(lines_only_in "$(names_of "$survey" 4)" "$(names_of "$files_was" 4)" | sort -r); do
        rmdir "$etc/$file" 2>/dev/null || note_file_trouble "the folder $etc/$file, which was not there, cannot be removed"
    done
    for line in $(lines_only_in "$(printf '%s\n' "$files_was" | grep '^4')" "$(printf '%s\n' "$survey" | grep '^4')"); do
        IFS=$ifs
        file=$etc/${line#*"$tab"}
        mkdir -p "$file" 2>/dev/null && put_mode "$file" "${line%%"$tab"*}" || note_file_trouble "the folder $file cannot be recreated as it was"
        IFS=$newline
    done
    IFS=$ifs
}

# put_mode FILE MODE-OWNER-GROUP
put_mode() {
    local file="$1"
    set -- $2
    chown "$2:$3" "$file" 2>/dev/null && chmod "$(printf %o $((0x$1 & 07777)))" "$file" 2>/dev/null
}

# put_file MODE-OWNER-GROUP NAME
put_file() {
    local file="$2" target staged part of copy
    if cmp -s "$snapshot/firewalld/$file" "$etc/$file"; then
        case $newline$survey$newline in *"$newline$1$tab$file$newline"*)
            [ "$(printf '%s\n' "$files_was" | grep -F -e "attribute$tab${file#./}$tab")" != "$(printf '%s\n' "$survey" | grep -F -e "attribute$tab${file#./}$tab")" ] || return 0
            ;;
        esac
    fi
    # Through a link, so that it stays one.
    target=$(readlink -f "$etc/$file") && [ -n "$target" ] && [ ! -d "$target" ] || {
        note_file_trouble "$etc/$file cannot be restored: its path does not lead to a file"
        return
    }
    mkdir -p "${target%/*}" 2>/dev/null
    if [ "$mode" != reloaded ]; then
        staged=$(sed -n "s/^\([^$tab]*\)$tab/\1$tab/p" "$snapshot/beside" 2>/dev/null | while IFS=$tab read -r of copy; do
            [ "$of" != "$file" ] || printf '%s' "$copy"
        done)
        staged=${staged:-$staging/$file}
        ! cmp -s "$snapshot/firewalld/$file" "$staged" || ! mv -f "$staged" "$target" 2>/dev/null || return 0
    fi
    part=${target%/*}/.fwdeploy.part
    copy_all "$snapshot/firewalld/$file" "$part" && mv -f "$part" "$target" 2>/dev/null && return
    rm -f "$part"
    # The space of the old content is all there is; or the file is a mount of its own, which cannot be renamed over.
    cat "$snapshot/firewalld/$file" 2>/dev/null >"$target" && put_mode "$target" "$1" || note_file_trouble "$etc/$file cannot be written"
}
