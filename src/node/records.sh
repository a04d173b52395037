# ---------------------------------------------------------------------------------------------------- what runs leave on a node
#
# Also part of the reading program (probe.sh).

home=/var/lib/fwdeploy # What lasts: the snapshots, and `armed`, the lease.
live=/run/fwdeploy     # What a boot may take: how far a run is.

# The guard: what loads it at boot, and by what; what loads it again when the distribution's unit flushes it. The link enables the unit.
guard_file=/etc/fwdeploy/guard.nft
guard_unit=/etc/systemd/system/fwdeploy-guard.service
guard_drop_in=/etc/systemd/system/nftables.service.d/fwdeploy.conf
guard_link=/etc/systemd/system/sysinit.target.wants/fwdeploy-guard.service

# is_guard_active: whether systemd regards the unit as active; systemctl would take longer.
is_guard_active() { [ -L "/run/systemd/units/invocation:${guard_unit##*/}" ]; }

# snapshot_numbers: those of all snapshots, the oldest first.
snapshot_numbers() {
    local there
    {
        # These are patterns.
        set +f
        for there in "$home"/snapshots/[0-9]*; do
            there=${there##*/}
            case $there in *[!0-9]*) ;; *) echo "$there" ;; esac
        done
    } | sort -n
}

# read_key FILE KEY: the value of that key in a file of `key=value` lines; the last one counts.
read_key() {
    local line value=''
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in "$2="*) value=${line#*=} ;; esac
    done 2>/dev/null <"$1"
    [ -z "$value" ] || printf '%s\n' "$value"
}

# leased_snapshot: the number of the armed one; fails if there is none.
leased_snapshot() {
    local link
    link=$(readlink "$home/armed" 2>/dev/null) || return
    echo "${link##*/}"
}

# is_lease_live N [LIMIT…]: whether the node will still roll back to that snapshot by itself, or is doing so. LIMIT is a command that limits the
# time of another.
is_lease_live() {
    local leased="$1"
    shift
    case $("$@" systemctl show -p ActiveState "fwdeploy-restore-$leased.timer" "fwdeploy-restore-$leased.service" fwdeploy-restore.service 2>/dev/null) in
    *ActiveState=active* | *ActiveState=activating* | *ActiveState=deactivating*) return 0 ;;
    esac
    return 1
}

# has_booted_since N: whether the node has booted since that snapshot.
has_booted_since() { [ "$(read_key "$home/snapshots/$1/about" boot)" != "$(boot_now)" ]; }

# boot_now: the id of this boot.
boot_now() {
    local boot
    IFS= read -r boot </proc/sys/kernel/random/boot_id && echo "$boot"
}

# uptime_now: independent of the clock: whole seconds since the node has booted.
uptime_now() {
    local uptime rest
    IFS=' .' read -r uptime rest </proc/uptime
    echo "$uptime"
}

# seconds_left N: how many seconds the lease still has, below 0 if it has expired; nothing if the node was booted since.
seconds_left() {
    local began timeout
    ! has_booted_since "$1" || return 0
    began=$(read_key "$home/snapshots/$1/about" uptime)
    timeout=$(read_key "$home/snapshots/$1/about" timeout)
    echo "$((${began:-0} + ${timeout:-0} - $(uptime_now)))"
}

# missing_parts N: what that snapshot has lost and needs to be restored. One of before format 2 never had everything.
missing_parts() {
    local part parts="restore.sh library.sh firewalld state iptables runtime docker networks"
    [ "$(read_key "$home/snapshots/$1/about" format)" != 2 ] || parts="$parts files picture"
    for part in $parts; do
        [ -e "$home/snapshots/$1/$part" ] || echo "$part"
    done
}
