# ---------------------------------------------------------------------------------------------------- the guard
#
# Its table is loaded by `nft -f`, which changes all of it or nothing. The same script is in a file of its own, and a unit loads it at
# boot before firewalld and Docker begin.

# set_guard SCRIPT CHANGE DROP_IN: the guard is as this script for nft makes it, also at boot. CHANGE is a script that makes the table that is
# there be so, and leaves the counters of what stays; it may be empty. DROP_IN is for the unit that flushes all tables; empty if there is to be
# none.
set_guard() {
    capture write_guard "$1" || fail_with "$guard_file could not be written:" || return
    { [ -n "$2" ] && load_guard "$2"; } || load_guard "$1" || fail_with "nft does not take the guard:" || return
    capture write_guard_unit "$3" || fail_with "$guard_unit could not be written or started:"
}

# load_guard SCRIPT
load_guard() { answer=$(printf '%s\n' "$1" | limited nft -f - 2>&1); }

# write_guard SCRIPT: by a rename, so that a boot finds the one or the other.
write_guard() {
    local part
    part=${guard_file%/*}/.guard.part
    mkdir -p "${guard_file%/*}" && chmod 700 "${guard_file%/*}" && printf %s "$1" >"$part" && printf %s "$1" | cmp -s - "$part" &&
        { sync "$part" 2>/dev/null || sync; } && mv -f "$part" "$guard_file" && { sync "${guard_file%/*}" 2>/dev/null || sync; } && return
    rm -f "$part"
    return 1
}

# write_guard_unit DROP_IN: the unit, enabled and known to systemd, and the drop-in of nftables.service, or none.
write_guard_unit() {
    local had=''
    if [ -z "$1" ]; then
        [ ! -e "$guard_drop_in" ] || { had=yes && rm -f "$guard_drop_in" && { rmdir "${guard_drop_in%/*}" 2>/dev/null || :; }; } || return
    elif ! printf %s "$1" | cmp -s - "$guard_drop_in" 2>/dev/null; then
        had=yes
        mkdir -p "${guard_drop_in%/*}" && rm -f "$guard_drop_in" && printf %s "$1" >"$guard_drop_in" &&
            printf %s "$1" | cmp -s - "$guard_drop_in" && { sync "$guard_drop_in" 2>/dev/null || sync; } || return
    fi
    if [ ! -L "$guard_unit" ] && [ ! -L "/run/systemd/system/${guard_unit##*/}" ] &&
        printf %s "$guard_unit_text" | cmp -s - "$guard_unit" 2>/dev/null && [ "$(readlink "$guard_link")" = "../${guard_unit##*/}" ]; then
        [ -z "$had" ] || systemctl daemon-reload || return
        is_guard_active || limited systemctl start "${guard_unit##*/}"
        return
    fi
    # A masked unit is a link to /dev/null.
    [ ! -L "$guard_unit" ] || rm -f "$guard_unit" || return
    [ ! -L "/run/systemd/system/${guard_unit##*/}" ] || rm -f "/run/systemd/system/${guard_unit##*/}" || return
    mkdir -p "${guard_link%/*}" && printf %s "$guard_unit_text" >"$guard_unit" && printf %s "$guard_unit_text" | cmp -s - "$guard_unit" &&
        ln -sf "../${guard_unit##*/}" "$guard_link" && { sync "$guard_unit" 2>/dev/null || sync; } && systemctl daemon-reload &&
        limited systemctl start "${guard_unit##*/}"
}

# end_guard_unit: systemd no longer regards the unit as active, or it would list it without a file. Nobody waits: while a node boots, other
# jobs come first. Nor does it list one that has failed to start.
end_guard_unit() {
    if is_guard_active; then
        limited systemctl --no-block stop "${guard_unit##*/}" </dev/null >/dev/null 2>&1 || :
    else
        limited systemctl reset-failed "${guard_unit##*/}" </dev/null >/dev/null 2>&1 || :
    fi
}

# remove_guard: neither table, file nor unit is left.
remove_guard() {
    local had_unit=''
    [ ! -e "$guard_unit" ] && [ ! -e "$guard_drop_in" ] || had_unit=yes
    end_guard_unit
    # A masked unit is a link, here or there.
    [ ! -L "/run/systemd/system/${guard_unit##*/}" ] || rm -f "/run/systemd/system/${guard_unit##*/}" || :
    capture_limited rm -f "$guard_link" "$guard_unit" "$guard_drop_in" "$guard_file" || fail_with "the guard's files could not be removed:" || return
    rmdir "${guard_file%/*}" 2>/dev/null || :
    rmdir "${guard_drop_in%/*}" 2>/dev/null || :
    [ -z "$had_unit" ] || limited systemctl daemon-reload </dev/null >/dev/null 2>&1 || :
    ! has_guard || capture_limited nft delete table inet fwdeploy || fail_with "the guard's table could not be removed:"
}

# A node whose nft cannot hold the guard has it in chains of firewalld's direct interface in table mangle.

# add_guard_chain FAMILY CHAIN, remove_guard_chain FAMILY CHAIN: firewalld's chain, at runtime.
add_guard_chain() { call_firewalld_unless ALREADY_ENABLED "$runtime" "$firewalld.direct" addChain sss "$1" mangle "$2"; }
remove_guard_chain() { call_firewalld_unless NOT_ENABLED "$runtime" "$firewalld.direct" removeChain sss "$1" mangle "$2"; }

# set_mangle FAMILY TEXT: the kernel holds of the guard exactly what this input for iptables-restore makes. One transaction: what is there is
# removed in it, by content and not by number.
# A chain that stays is emptied.
set_mangle() {
    local program table gone chain chains made=''
    program=$(iptables_of "$1")
    table=$(limited "$program-save" -t mangle 2>&1 </dev/null) || {
        answer=$table
        fail_with "$program-save does not report what the kernel holds:"
        return
    }
    chains=$(printf '%s\n' "$table" | sed -n 's/^:\(fwdeploy_[a-z]*\) .*/\1/p')
    # With its iptables backend firewalld's own jump leads to the guard's.
    gone=$(printf '%s\n' "$table" | sed -n '/^-A fwdeploy_/d; s/^-A \(.* -j fwdeploy_[a-z]*\)$/-D \1/p; s/^-A \(FORWARD -j FORWARD_direct\)$/-D \1/p; s/^-A \(INPUT -j INPUT_direct\)$/-D \1/p')
    # Who flushed the table may have deleted firewalld's own chains too, and firewalld does not notice.
    for chain in FORWARD_direct INPUT_direct; do
        case $2$newline in *" -j $chain$newline"*) ;; *) continue ;; esac
        case $newline$table in *"$newline:$chain "*) ;; *) made="$made$newline:$chain - [0:0]" ;; esac
    done
    for chain in $chains; do gone="$gone$newline-F $chain"; done
    for chain in $chains; do
        case $2 in *":$chain - "*) ;; *) gone="$gone$newline-X $chain" ;; esac
    done
    restore_tables "$program" "*mangle$made$newline$gone$2${newline}COMMIT" $wait_flag --noflush || fail_with "the kernel did not accept the guard:"
}

# has_guard: whether the kernel has a table of that name.
has_guard() { has_nft_table inet fwdeploy; }

# guard_text: the table without counters, and without what the kernel has put into its sets.
guard_text() {
    has_guard || return 0
    limited nft -s -p list table inet fwdeploy 2>&1 </dev/null | awk_guard_text
}

# snapshot_guard: the guard as it is now.
snapshot_guard() {
    local text
    text=$(guard_text) && save_file guard.table "$text" || return
    save_copy guard.nft "$guard_file" && save_copy guard.service "$guard_unit" && save_copy guard.drop-in "$guard_drop_in" &&
        save_file guard.link "$(readlink "$guard_link" 2>/dev/null)"
}

# save_copy NAME FILE: a copy of the file in the snapshot, if there is one.
save_copy() {
    [ -e "$2" ] || return 0
    copy_guard "$2" "$snapshot/$1" && cmp -s "$2" "$snapshot/$1" || fail_with "$snapshot/$1 could not be written:"
}

# copy_guard FROM TO: a masked unit is a link, and stays one.
copy_guard() {
    local keep=''
    [ "$(readlink "$1")" != /dev/null ] || keep=-P
    # shellcheck disable=SC2086 # Or no argument.
    capture_limited cp -p $keep "$1" "$2"
}

# restore_guard: the guard as the snapshot has it: the files first, then the table. A table that was changed by hand comes back as its file
# says.
restore_guard() {
    # A snapshot of an older version has none, and there was none.
    restore_copy guard.nft "$guard_file" && restore_copy guard.service "$guard_unit" || return
    restore_drop_in && restore_guard_link || return
    [ "$(guard_text)" != "$(cat "$snapshot/guard.table" 2>/dev/null)" ] || return 0
    if [ -s "$snapshot/guard.table" ] && [ -e "$snapshot/guard.nft" ]; then
        capture_limited nft -f "$snapshot/guard.nft" || fail_with "the guard could not be loaded again:"
    elif has_guard; then
        capture_limited nft delete table inet fwdeploy || fail_with "the guard's table could not be removed:"
    fi
}

# restore_copy NAME FILE: the file as the snapshot has it, or none.
restore_copy() {
    if [ ! -e "$snapshot/$1" ]; then
        capture_limited rm -f "$2" || fail_with "$2 could not be removed:" || return
        # The guard's folder goes with its last file.
        rmdir "${2%/*}" 2>/dev/null || :
        return 0
    fi
    ! cmp -s "$snapshot/$1" "$2" 2>/dev/null || return 0
    mkdir -p "${2%/*}" && copy_guard "$snapshot/$1" "${2%/*}/.guard.part" && capture_limited mv -f "${2%/*}/.guard.part" "$2" ||
        fail_with "$2 could not be restored:"
}

# restore_drop_in: what nftables.service does about the guard.
restore_drop_in() {
    if [ -e "$snapshot/guard.drop-in" ]; then cmp -s "$snapshot/guard.drop-in" "$guard_drop_in"; else [ ! -e "$guard_drop_in" ]; fi && return
    restore_copy guard.drop-in "$guard_drop_in" || return
    [ "$mode" = files ] || limited systemctl daemon-reload </dev/null >/dev/null 2>&1 || :
}

# restore_guard_link: whether systemd starts the unit at boot.
restore_guard_link() {
    local link
    link=$(cat "$snapshot/guard.link" 2>/dev/null)
    [ -e "$snapshot/guard.service" ] || end_guard_unit
    [ "$(readlink "$guard_link" 2>/dev/null)" != "$link" ] || return 0
    if [ -n "$link" ]; then
        mkdir -p "${guard_link%/*}" && capture_limited ln -sfn "$link" "$guard_link" || fail_with "$guard_link could not be restored:" || return
    else
        capture_limited rm -f "$guard_link" || fail_with "$guard_link could not be removed:" || return
    fi
    [ "$mode" = files ] || limited systemctl daemon-reload </dev/null >/dev/null 2>&1 || :
    [ -z "$link" ] || limited systemctl --no-block start "${guard_unit##*/}" </dev/null >/dev/null 2>&1 || :
}

# same_guard: whether it is as the snapshot has it, in $answer what is not.
same_guard() {
    local part
    for part in "guard.nft $guard_file" "guard.service $guard_unit" "guard.drop-in $guard_drop_in"; do
        if [ -e "$snapshot/${part%% *}" ]; then cmp -s "$snapshot/${part%% *}" "${part#* }"; else [ ! -e "${part#* }" ]; fi || {
            answer="${part#* } is not as it was"
            return 1
        }
    done
    [ "$(readlink "$guard_link" 2>/dev/null)" = "$(cat "$snapshot/guard.link" 2>/dev/null)" ] || {
        answer="$guard_link is not as it was"
        return 1
    }
    [ -n "$(cat "$snapshot/guard.table" 2>/dev/null)" ] || {
        answer="the guard's table is there, and was not"
        ! has_guard
        return
    }
    [ "$(guard_text)" = "$(cat "$snapshot/guard.table")" ] || {
        answer="the guard's table is not as it was"
        return 1
    }
}
