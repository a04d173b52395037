# What firewalld holds at runtime, as lines that can be compared, and applied again.

# lines_of WHAT ANSWER: what an answer of firewalld's holds, as lines (bus_answers.awk).
lines_of() { printf '%s' "$record$1$separator$separator$2" | awk_bus_answers; }

# busctl_tokens ANSWER: its values without its signature, each behind a separator, on one line.
busctl_tokens() { lines_of tokens "$1"; }

# active_zones: the names of the zones that matter: those with a binding, and the default one; or why they are not known.
active_zones() {
    local default
    call_firewalld "$runtime" "$firewalld" getDefaultZone || { echo "$answer" && return 1; }
    default=${answer#s \"}
    default=${default%%\"*}
    call_firewalld "$runtime" "$firewalld.zone" getActiveZones || { echo "$answer" && return 1; }
    {
        echo "$default"
        lines_of zones "$answer"
    } | sort -u
}

# read_zone ZONE: its settings at runtime, for bus_answers.awk, in $answer. firewalld omits an empty list, and does not clear one that is omitted;
# so empty lists become lines too.
read_zone() {
    if call_firewalld "$runtime" "$firewalld.zone" getZoneSettings2 s "$1"; then
        answer="${record}zone$separator$1$separator$answer"
        return
    fi
    # firewalld before 0.9.
    case $answer in *nknown*ethod*) ;; *) return 1 ;; esac
    call_firewalld "$runtime" "$firewalld" getZoneSettings s "$1" && answer="${record}older$separator$1$separator$answer"
}

# set_texts: a line for each of our address sets that has entries, with them in order: firewalld keeps them as they came.
set_texts() {
    local name
    call_firewalld "$runtime" "$firewalld.ipset" getIPSets || return
    case $answer in *\"fwdeploy-*) ;; *) return 0 ;; esac
    for name in $(busctl_tokens "$answer" | tr "$separator" '\n' | grep '^fwdeploy-'); do
        call_firewalld "$runtime" "$firewalld.ipset" getEntries s "$name" || return
        lines_of entry "$answer" | sort |
            awk -v name="$name" '{ sub(/^entry/, ""); line = line $0 } END { if (NR) print "ipset\037" name line }'
    done
}

# runtime_text: a line for each direct chain, rule and passthrough, for each setting of each active zone, and for each of our sets.
runtime_text() {
    local zones zone told=''
    call_firewalld "$runtime" "$firewalld.direct" getAllChains || { echo "$answer" && return 1; }
    told="${record}chain$separator$separator$answer"
    call_firewalld "$runtime" "$firewalld.direct" getAllRules || { echo "$answer" && return 1; }
    told="$told${record}rule$separator$separator$answer"
    call_firewalld "$runtime" "$firewalld.direct" getAllPassthroughs || { echo "$answer" && return 1; }
    told="$told${record}passthrough$separator$separator$answer"
    zones=$(active_zones) || { echo "$zones" && return 1; }
    for zone in $zones; do
        read_zone "$zone" || { echo "$answer" && return 1; }
        told=$told$answer
    done
    printf '%s' "$told" | awk_bus_answers
    set_texts || { echo "$answer" && return 1; }
}

# lines_only_in TEXT TEXT: the lines of the first that the second lacks.
lines_only_in() {
    printf '%s\n=\n%s\n' "$2" "$1" | awk_only_in
}

# normalise TEXT: the same lines in a fixed order, and each zone's setting with its values in order: firewalld 2 keeps lists in no
# order.
normalise() {
    printf '%s\n' "$1" | awk_normalise | sort
}

# with_devices TEXT TEXT: the first, with the interfaces of its zones as they can be now: those that no longer exist are left out, and those
# that were in no zone then stay where the second has them. Docker and NetworkManager bind interfaces at runtime, as they appear.
with_devices() {
    printf '%s\n=\n%s\n=\n%s\n' "$(ls /sys/class/net)" "$2" "$1" | awk_with_devices
}

# restore_runtime TEXT: changes firewalld's runtime to that text: what is missing is added first.
restore_runtime() {
    local current wanted
    current=$(runtime_text) || {
        answer=$current
        return 1
    }
    wanted=$(with_devices "$1" "$current")
    [ "$(normalise "$wanted")" != "$(normalise "$current")" ] || return 0
    runtime_trouble=
    apply_sets "$(lines_only_in "$wanted" "$current" | grep '^ipset')"
    apply_entries add "$(lines_only_in "$wanted" "$current" | grep -v -e '^zone' -e '^ipset')"
    apply_entries remove "$(lines_only_in "$current" "$wanted" | grep -v -e '^zone' -e '^ipset')"
    apply_entries set "$(lines_only_in "$wanted" "$current" | grep '^zone')"
    empty_sets "$wanted" "$current"
    answer=$runtime_trouble
    [ -z "$answer" ]
}

# apply_sets LINES: each set with its entries, as a whole and not split into words: they may be tens of thousands.
apply_sets() {
    local line name entries ifs="$IFS"
    IFS=$newline
    for line in $1; do
        IFS=$ifs
        line=${line#"ipset$separator"}
        name=${line%%"$separator"*}
        entries=${line#*"$separator"}
        fill_runtime_set "$name" "$(printf '%s\n' "$entries" | awk -F '\037' '{ print NF }')$separator$entries$separator"
        IFS=$newline
    done
    IFS=$ifs
}

# empty_sets WANTED CURRENT: the sets that now have entries, and had none.
empty_sets() {
    local line name ifs="$IFS"
    IFS=$newline
    for line in $(printf '%s\n' "$2" | grep '^ipset'); do
        IFS=$ifs
        line=${line#"ipset$separator"}
        name=${line%%"$separator"*}
        case $newline$1 in
        *"${newline}ipset$separator$name$separator"*) ;;
        *) fill_runtime_set "$name" "0$separator" ;;
        esac
        IFS=$newline
    done
    IFS=$ifs
}
fill_runtime_set() { set_entries "$1" "$2" || runtime_trouble="$runtime_trouble${runtime_trouble:+$newline}ipset $1: $answer"; }

# apply_entries add|remove|set LINES. The chain precedes its rules when it is added, and follows them when it is removed.
apply_entries() {
    local what="$1" lines="$2" line ifs="$IFS"
    case $what in remove) lines=$(printf '%s\n' "$2" | sort -r) ;; esac
    IFS=$newline
    for line in $lines; do
        # An empty last value would get lost.
        case $line in *"$separator") line=$line$separator ;; esac
        IFS=$separator
        set -- $line
        IFS=$ifs
        apply_entry "$what" "$@" || runtime_trouble="$runtime_trouble${runtime_trouble:+$newline}$answer"
        IFS=$newline
    done
    IFS=$ifs
}

# apply_entry add|remove|set KIND VALUE…
apply_entry() {
    local what="$1-$2" zone
    shift 2
    case $what in
    add-chain) if [ "$2 $3" = 'filter DOCKER-USER' ]; then own_chain "$1"; else call_firewalld_unless ALREADY_ENABLED "$runtime" "$firewalld.direct" addChain sss "$@"; fi ;;
    remove-chain) if [ "$2 $3" = 'filter DOCKER-USER' ]; then disown_chain "$1"; else call_firewalld_unless NOT_ENABLED "$runtime" "$firewalld.direct" removeChain sss "$@"; fi ;;
    add-rule) add_rule "$@" ;;
    remove-rule) remove_rule "$@" ;;
    add-passthrough) call_firewalld_unless ALREADY_ENABLED "$runtime" "$firewalld.direct" addPassthrough sas "$@" ;;
    remove-passthrough) call_firewalld_unless NOT_ENABLED "$runtime" "$firewalld.direct" removePassthrough sas "$@" ;;
    set-zone)
        zone=$1
        shift
        call_firewalld "$runtime" "$firewalld.zone" setZoneSettings2 'sa{sv}' "$zone" 1 "$@" && return
        case $answer in
        *nknown*ethod*) set_zone_values "$zone" "$@" ;;
        *) false ;;
        esac || fail_with "firewalld did not accept the $1 of zone $zone at runtime:"
        ;;
    esac
}

# set_zone_values ZONE SETTING SIGNATURE VALUE…: as setZoneSettings2 with one setting, for a firewalld before 0.9: value by value.
set_zone_values() {
    local zone="$1" key="$2" add='' remove='' width=1 current wanted line trouble='' ifs="$IFS"
    case $key in
    services) add=addService remove=removeService ;;
    ports) add=addPort remove=removePort width=2 ;;
    protocols) add=addProtocol remove=removeProtocol ;;
    source_ports) add=addSourcePort remove=removeSourcePort width=2 ;;
    icmp_blocks) add=addIcmpBlock remove=removeIcmpBlock ;;
    forward_ports) add=addForwardPort remove=removeForwardPort width=4 ;;
    rules_str) add=addRichRule remove=removeRichRule ;;
    # One that is in another zone moves.
    sources) add=changeZoneOfSource remove=removeSource ;;
    interfaces) add=changeZoneOfInterface remove=removeInterface ;;
    masquerade)
        if [ "$4" = true ]; then
            call_firewalld_unless ALREADY_ENABLED "$runtime" "$firewalld.zone" addMasquerade si "$zone" 0
        else
            call_firewalld_unless NOT_ENABLED "$runtime" "$firewalld.zone" removeMasquerade s "$zone"
        fi
        return
        ;;
    icmp_block_inversion)
        if [ "$4" = true ]; then add=addIcmpBlockInversion; else add=removeIcmpBlockInversion; fi
        call_firewalld "$runtime" "$firewalld.zone" "$add" s "$zone" && return
        case $answer in ALREADY_ENABLED* | NOT_ENABLED*) return 0 ;; esac
        return 1
        ;;
    *) fail_with "firewalld before 0.9 has no setting $key" || return ;;
    esac
    shift 4
    wanted=$(zone_values "$width" "$@")
    read_zone "$zone" || return
    current=$(printf '%s' "$answer" | awk_bus_answers | grep "^zone$separator$zone$separator$key$separator")
    IFS=$separator
    # An empty last value would get lost.
    set -- $current$separator
    IFS=$newline
    shift 5
    current=$(zone_values "$width" "$@")
    for line in $(lines_only_in "$wanted" "$current"); do
        IFS=$separator
        set -- $line$separator
        IFS=$ifs
        # A value that is added ends by itself after so many seconds, or after 0 never.
        case $key in
        sources | interfaces) call_zone "$add" "$zone" "$@" ;;
        *) call_zone_for_ever "$add" "$zone" "$@" ;;
        esac || trouble="$trouble${trouble:+$newline}$answer"
        IFS=$newline
    done
    for line in $(lines_only_in "$current" "$wanted"); do
        IFS=$separator
        set -- $line$separator
        IFS=$ifs
        call_zone "$remove" "$zone" "$@" || trouble="$trouble${trouble:+$newline}$answer"
        IFS=$newline
    done
    IFS=$ifs
    answer=$trouble
    [ -z "$answer" ]
}

# call_zone METHOD TEXT…, call_zone_for_ever METHOD TEXT…: a method of firewalld's zones; that it is so already is no error.
call_zone() {
    local method="$1"
    shift
    call_firewalld "$runtime" "$firewalld.zone" "$method" "$(printf '%*s' "$#" '' | tr ' ' s)" "$@" || is_so_already
}
call_zone_for_ever() {
    local method="$1"
    shift
    call_firewalld "$runtime" "$firewalld.zone" "$method" "$(printf '%*s' "$#" '' | tr ' ' s)i" "$@" 0 || is_so_already
}
is_so_already() {
    case $answer in
    ALREADY_ENABLED* | NOT_ENABLED* | ZONE_ALREADY_SET*) answer= ;;
    *) return 1 ;;
    esac
}

# zone_values WIDTH TEXT…: a line for each value, of so many texts.
zone_values() {
    local width="$1" line left
    shift
    while [ $# -ge "$width" ]; do
        line=$1
        shift
        left=$width
        while [ "$left" -gt 1 ]; do
            line=$line$separator$1
            shift
            left=$((left - 1))
        done
        printf '%s\n' "$line"
    done
}
