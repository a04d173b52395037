#!/bin/sh
# Stands in the way of a tool that the steps of a run call, ahead of it in PATH. When the step at work is the wanted one,
# it makes the fault happen, once, right before or right after the tool does what it was called for. Otherwise, and for
# everybody else, it is the tool.
tool=${0##*/}
for folder in /usr/bin /usr/sbin /bin /sbin; do
    real=$folder/$tool
    [ ! -x "$real" ] || break
done
fault=/run/fault
# The machine's clock is the other nodes' too: this node's is only said to have jumped.
if [ "$tool" = date ] && [ -e $fault/clock ]; then
    case " $* " in
    *' -d '* | *' -r '* | *' --date'* | *' --reference'*) exec "$real" "$@" ;;
    *) exec "$real" -d '+1 hour' "$@" ;;
    esac
fi
refuse() { echo "$tool: refused" >&2 && exit 1; }
[ "$tool" != systemd-run ] || [ ! -e $fault/refused ] || refuse
[ -e $fault/wanted ] && [ ! -e $fault/fired ] || exec "$real" "$@"
# Which step, `before` or `after`, and which calls are meant. There is no step before the node is armed.
read -r at when calls <$fault/wanted
# A call of firewalld passes here only where the run has to make it by busctl. A fault at no step of the plan finds the run as it always is.
if [ "$tool" = mkfifo ]; then
    case $at in [0-9]*) exit 1 ;; esac
    exec "$real" "$@"
fi
step=arm
[ ! -e /run/fwdeploy/step ] || read -r step </run/fwdeploy/step
[ "$step" = "$at" ] || exec "$real" "$@"

# Only what changes the node counts as the step's call: not its questions, and no dry run.
changes() {
    case " $* " in
    *' --test '*) return 1 ;;
    *' update '* | *' setRichRules '* | *' addRule '* | *' removeRule '* | *' addRichRule '* | *' removeRichRule '* | *' addChain '* | *' removeChain '* | *' reload '*) return 0 ;;
    *' network create '* | *' network rm '* | *' network connect '* | *' network disconnect '*) return 0 ;;
    *' -f '* | *' delete table '*) [ "$tool" = nft ] ;;
    *) case $tool in *-restore) return 0 ;; *) return 1 ;; esac ;;
    esac
}
case $calls in
changes) changes "$@" ;;
*) case "$tool $* " in "$calls "*) true ;; *) false ;; esac ;;
esac || exec "$real" "$@"
mkdir $fault/fired 2>/dev/null || exec "$real" "$@"
echo "$step: $when $tool $*" >$fault/call
if [ "$when" = before ]; then
    sh $fault/fault $$ >$fault/log 2>&1 </dev/null
    [ ! -e $fault/refused ] || refuse
    exec "$real" "$@"
fi
"$real" "$@"
code=$?
sh $fault/fault $$ >$fault/log 2>&1 </dev/null
exit $code
