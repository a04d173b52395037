# ---------------------------------------------------------------------------------------------------- the node's Python
#
# Also part of the reading program (probe.sh).

# find_python: firewalld is written in Python, so where it is, there is one, which its first line names.
find_python() {
    local file line=''
    for file in /usr/sbin/firewalld /usr/bin/firewalld; do
        [ ! -r "$file" ] || IFS= read -r line <"$file" || line=
        case $line in '#!'*) ;; *) continue ;; esac
        line=${line#'#!'}
        # The words are meant to be split: options may follow.
        for python in $line; do
            case ${python##*/} in python* | platform-python*) [ ! -x "$python" ] || return 0 ;; esac
            break
        done
    done
    for python in python3 /usr/libexec/platform-python python2 python; do
        ! command -v "$python" >/dev/null || return 0
    done
    return 1
}
