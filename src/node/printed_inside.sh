# This runs in the empty namespace.
#
# Variables are `local` to their function. These are shared:
#
#   family program chains rules   the query
#   wait_flag                     `-w` where restore knows it
#   attempts_left                 how many more times rules are loaded
#   why                           why the last were not accepted

# asked FAMILY PROGRAM CHAINS SETS RULES: CHAINS and RULES are lines for iptables-restore, SETS lines of NAME and TYPE. Rule N is
# the one line of chain fwdeploy-N.
asked() {
    local set type
    family=$1
    program=$2
    chains=$3
    rules=$5
    command -v "$program-restore" >/dev/null || { echo "$family ! 0 $program-restore is not installed" && return; }
    # Before 1.6.2 restore does not know the option.
    wait_flag=
    ! printf '' | "$program-restore" -w --noflush --test >/dev/null 2>&1 || wait_flag=-w
    [ -z "$4" ] || ! command -v ipset >/dev/null || printf '%s\n' "$4" | while read -r set type; do
        case $family:$type in
        ipv6:*) ipset -exist create "$set" "$type" family inet6 </dev/null ;;
        *) ipset -exist create "$set" "$type" </dev/null ;;
        esac
    done >/dev/null 2>&1
    attempts_left=300
    halves 1 "$(printf '%s\n' "$rules" | grep -c .)"
}

# halves FIRST LAST: all of them at once; if one is not accepted, each half separately.
halves() {
    ! taken "$1" "$2" || return 0
    if [ "$1" -ge "$2" ]; then
        printf '%s ! %s %s\n' "$family" "$1" "$(printf '%s\n' "$why" | head -n 1)"
        return
    fi
    [ "$attempts_left" -gt 0 ] || return 0
    halves "$1" $((($1 + $2) / 2))
    halves $((($1 + $2) / 2 + 1)) "$2"
}

# taken FIRST LAST: loads these rules and prints how they read; fails if one is not accepted, with the reason in $why.
taken() {
    local part
    attempts_left=$((attempts_left - 1))
    part=$(printf '%s\n' "$rules" | sed -n "$1,$2p")
    why=$({
        printf '*filter\n'
        [ -z "$chains" ] || printf '%s\n' "$chains"
        printf '%s\n' "$part" | sed 's/^-A \([^ ]*\).*/:\1 - [0:0]/'
        printf '%s\nCOMMIT\n' "$part"
    } | "$program-restore" $wait_flag 2>&1) || return
    "$program-save" -t filter </dev/null | sed -n "s/^-A fwdeploy-/$family &/p"
}
