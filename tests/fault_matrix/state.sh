# Prints everything that a run may change, in sections; who compares puts each section in order (state.rs).
# What cannot be asked is printed as a failure, so that it equals nothing.
LC_ALL=C
export LC_ALL
firewalld=org.fedoraproject.FirewallD1
call() { timeout 5 busctl --json=short --auto-start=no --timeout=5 call -- "$firewalld" "$@" 2>&1 || echo "no answer $$"; }

for program in iptables ip6tables; do
    echo "== $program"
    for table in filter nat mangle raw; do
        echo "*$table"
        "$program-save" -t "$table" 2>&1 || echo "no answer $$"
    done
done
echo "== nft"
nft -s list table inet firewalld 2>/dev/null
echo "== guard"
nft -s list table inet fwdeploy 2>/dev/null | awk '/^\tset refused/ { dynamic = 1 } /^\t}/ { dynamic = 0 } !dynamic'
find /etc/fwdeploy -printf '%M %u %p\n' 2>/dev/null | sort
for file in /etc/fwdeploy/guard.nft /etc/systemd/system/fwdeploy-guard.service /etc/systemd/system/nftables.service.d/fwdeploy.conf; do
    sed "s|^|$file: |" "$file" 2>/dev/null
done
readlink /etc/systemd/system/sysinit.target.wants/fwdeploy-guard.service
systemctl is-active fwdeploy-guard
echo "== firewalld"
call /org/fedoraproject/FirewallD1/config "$firewalld.config.direct" getSettings
for what in getAllChains getAllRules getAllPassthroughs; do
    call /org/fedoraproject/FirewallD1 "$firewalld.direct" "$what"
done
call /org/fedoraproject/FirewallD1 "$firewalld.zone" getActiveZones
for zone in public docker; do
    call /org/fedoraproject/FirewallD1 "$firewalld.zone" getZoneSettings2 s "$zone"
done
call /org/fedoraproject/FirewallD1 org.freedesktop.DBus.Properties Get ss "$firewalld" state
echo "== files"
# The folder may be a link, and so may what is in it: the content counts, and the link.
find -L /etc/firewalld/ -name .fwdeploy -prune -o -type f ! -name '*.old' -print | sort | while read -r file; do
    sed "s|^|$file: |" "$file"
done
{
    find -L /etc/firewalld/ -printf '%M %u %p\n'
    find /etc/firewalld /etc/firewalld/ -type l -printf 'link %p %l\n' | sort -u
} | grep -v -e '\.old$' -e '/\.fwdeploy' | sed 's|^|mode |'
echo "== docker"
{
    networks=$(timeout 5 docker network ls -q) && timeout 5 docker network inspect -f \
        'network {{.Name}} {{.Driver}} {{json .IPAM.Config}} {{.Internal}} {{json .Options}} {{json .Labels}}' $networks
    containers=$(timeout 5 docker ps -aq) && timeout 5 docker inspect -f \
        'container {{.Name}} {{.State.Running}} {{.HostConfig.NetworkMode}}{{range $name, $place := .NetworkSettings.Networks}} {{$name}} {{json $place.IPAMConfig}} {{$place.IPAddress}}{{end}}' $containers
} 2>&1 || echo "no answer $$"
echo "== starts"
timeout 5 docker ps -q | xargs -r timeout 5 docker inspect -f '{{.Name}} {{.State.StartedAt}}' 2>&1
echo "== left"
ls -d /var/lib/fwdeploy/armed /etc/firewalld/.fwdeploy /run/fwdeploy/step /run/fwdeploy/stop-* /run/fwdeploy/asked-* /run/fwdeploy/attempts-* /etc/systemd/system/fwdeploy* /etc/systemd/system/*/fwdeploy* /run/systemd/transient/fwdeploy* 2>/dev/null |
    grep -v -e '/fwdeploy-guard[.]service$' -e '/nftables[.]service[.]d/fwdeploy[.]conf$'
systemctl list-units --all --no-legend --plain 'fwdeploy*' | grep -v '^fwdeploy-guard[.]service '
nft list tables | grep fwdeploy_
iptables-save -t mangle | grep fwdeploy
pgrep -af 'snapshots/[0-9]+/restore'
echo "== end"
