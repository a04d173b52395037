# How this node's iptables prints some rules: loaded into an empty network namespace, and read back. Nothing of the node
# is changed, and the namespace disappears with the process. `whole` runs the program in $inner there.
#
# The answer on stdout:
#
#   fwdeploy-printed 1
#   FAMILY -A fwdeploy-N RULE     a line that rule N of the family produces; several if it names several addresses
#   FAMILY ! N WHY                why rule N was not accepted
#   ! WHY                         why nothing could be queried at all
#   fwdeploy-printed end

LC_ALL=C
export LC_ALL
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin
export PATH

# whole: prints all of the answer. `limit` is a command that limits the time of another, `said` what the program in $inner has printed.
whole() {
    local limit said
    echo "fwdeploy-printed 1"
    if timeout -k 1 1 true 2>/dev/null; then
        limit="timeout -k 1 20"
    elif timeout 1 true 2>/dev/null; then
        limit="timeout 20"
    else
        limit=
    fi
    if command -v unshare >/dev/null; then
        said=$(printf '%s\n' "$inner" | $limit unshare -n sh -s 2>&1) || said="$said
! it ended with status $?: $(printf '%s\n' "$said" | tail -n 1)"
        printf '%s\n' "$said"
    else
        echo "! unshare is not installed"
    fi
    echo "fwdeploy-printed end"
}
