# Restoring: /etc/firewalld as it was.

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
        keep_edit "${file#./}"
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
