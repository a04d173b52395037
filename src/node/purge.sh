# Purging: the records that runs have left are removed, with the snapshots. Nothing can be rolled back afterwards.
#
# The answer is `purged`, or `kept` and the reason, each line of it after `| `; and `end`, without which the answer was cut off.

purge() {
    local leased
    take_lock || {
        answer="another run of fwdeploy is changing this node"
        return 1
    }
    if leased=$(leased_snapshot); then
        describe_lease "$leased"
        return 1
    fi
    # Copies of firewalld's files beside these may be of any snapshot.
    clean_up
    capture_limited rm -rf "$home" "$live"
}

print_purged() {
    if purge; then
        echo purged
    else
        echo kept
        printf '%s\n' "$answer" | sed 's/^/| /'
    fi
    echo end
}
