"""The nodes of the lab: made ready for every tool alike, cleaned before each first run, and looked at after it."""
from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from job import BRIDGE, CONTAINER, NETWORK, Wrong

ROOT = Path(__file__).resolve().parents[3]
LAB = ROOT / "tests/lab/lab"

# Takes away what any of the tools has made, and starts the daemons again, as their own rules depend on the order of what they did.
CLEAN = f"""
set -u
docker network disconnect -f {NETWORK} {NETWORK} >/dev/null 2>&1
docker network connect bridge {NETWORK} >/dev/null 2>&1
docker network rm {NETWORK} >/dev/null 2>&1
systemctl -q disable --now fwdeploy-guard.service fwdeploy-restore.service fwdeploy-restore-files.service 2>/dev/null
nft delete table inet fwdeploy 2>/dev/null
rm -rf /etc/fwdeploy /var/lib/fwdeploy /run/fwdeploy* /etc/systemd/system/fwdeploy* /etc/systemd/system/*/fwdeploy* \\
    /etc/systemd/system/nftables.service.d /etc/firewalld/direct.xml* /etc/firewalld/zones/public.xml* /root/.ansible
systemctl daemon-reload
systemctl reset-failed
systemctl stop docker.socket docker firewalld
iptables -w -F && iptables -w -X && iptables -w -t nat -F && iptables -w -t nat -X && iptables -w -t raw -F && iptables -w -t raw -X
systemctl start firewalld && systemctl start docker
for i in $(seq 100); do [ "$(docker inspect -f '{{{{.State.Running}}}}' {NETWORK} 2>/dev/null)" = true ] && exit; sleep 0.1; done
echo "the container does not run" >&2
exit 1
"""

# What has to be as it was before. Docker's marks for its own rules, and the names of its bridges, are the same each time.
PRISTINE = f"""
iptables -w -S; iptables -w -t nat -S; nft list tables | sort; ls -A /etc/firewalld /etc/firewalld/zones
ls -A /etc/systemd/system; ls -d /etc/fwdeploy /var/lib/fwdeploy 2>/dev/null
docker network ls --format '{{{{.Name}}}}' | sort
docker inspect -f '{{{{range $name, $_ := .NetworkSettings.Networks}}}}{{{{$name}}}} {{{{end}}}}' {NETWORK}
"""

# What the job asks for, in every view; each part after a line of its own.
STATE = f"""
echo ==kernel; iptables -w -S DOCKER-USER
echo ==nat; nft list table inet firewalld 2>/dev/null | grep dnat; iptables -w -t nat -S | grep -F {CONTAINER}
echo ==direct; cat /etc/firewalld/direct.xml
echo ==zone; cat /etc/firewalld/zones/public.xml
echo ==files; stat -c '%n %Y %i' /etc/firewalld/direct.xml /etc/firewalld/zones/public.xml
echo ==docker; docker inspect -f '{{{{range $name, $it := .NetworkSettings.Networks}}}}{{{{$name}}}} {{{{$it.IPAddress}}}} {{{{end}}}}' {NETWORK}
docker network inspect -f '{{{{.Id}}}} {{{{index .Options "com.docker.network.bridge.name"}}}}' {NETWORK}
"""

# The entries of firewalld's address sets: who holds them, the set, the entry.
STATE += r"""
echo ==sets
ipset save 2>/dev/null | awk '$1 == "add" && $2 ~ /^fwdeploy-/ { print "ipset", $2, $3 }'
nft list table inet firewalld 2>/dev/null | awk '
    $1 == "set" { name = $2 }
    /elements = / { inside = 1 }
    inside && name ~ /^fwdeploy-/ {
        line = $0
        sub(/.*[{]/, "", line)
        sub(/[}].*/, "", line)
        count = split(line, entry, ",")
        for (i = 1; i <= count; i++) { gsub(/[ \t]/, "", entry[i]); if (entry[i] != "") print "nft", name, entry[i] }
    }
    /[}]/ { inside = 0 }'
for file in /etc/firewalld/ipsets/fwdeploy-*.xml; do
    name=${file##*/}
    [ ! -e "$file" ] || sed -n "s|.*<entry>\(.*\)</entry>.*|file ${name%.xml} \1|p" "$file"
done
"""


class Lab:
    """A lab of so many nodes, all of one release. It stays for the next program until it is taken down."""

    def __init__(self, name: str, count: int, suite: str) -> None:
        self.name, self.suite = name, suite
        self.nodes = [f"n{number}" for number in range(1, count + 1)]
        self.info: dict = {}
        self.pristine: dict[str, str] = {}

    def up(self, number: int | None, packages: Path) -> None:
        # What an interrupted run has left is no beginning.
        self.down()
        self.call("up", self.name, *(f"{node}={self.suite}" for node in self.nodes), *(["--number", str(number)] if number else []))
        self.info = json.loads(self.call("info", self.name))
        self.netns = f"/run/netns/{self.info['netns']}"
        self.packages = packages
        self.each(self.nodes, self.prepare)

    def down(self) -> None:
        self.call("down", self.name)

    @staticmethod
    def call(*words: str, **options) -> str:
        done = subprocess.run([LAB, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **{"text": True, **options})
        if done.returncode:
            said = done.stderr if isinstance(done.stderr, str) else done.stderr.decode(errors="replace")
            raise Wrong(f"lab {' '.join(words[:3])} ended with {done.returncode}: {said.strip()[-2000:]}")
        return done.stdout

    def on(self, node: str, script: str, **options) -> str:
        return self.call("exec", self.name, node, "--", "sh", "-c", script, **options)

    @staticmethod
    def each(nodes: list[str], work) -> list:
        with ThreadPoolExecutor(len(nodes)) as pool:
            return list(pool.map(work, nodes))

    def address(self, node: str) -> str:
        return self.info["nodes"][node]["address"]

    def prepare(self, node: str) -> None:
        """Puts on a node what a user would have there already: a container, and what Ansible's modules for Docker import."""
        folder = self.on(node, "python3 -c 'import site; print(site.getsitepackages()[0])'").strip()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(self.packages, arcname=".")
        self.on(node, f"mkdir -p {folder} && tar -C {folder} -xf -", input=packed.getvalue(), text=False)
        self.call("container", self.name, node, NETWORK, "--restart", "always")
        # The first cleaning makes the state that every later one has to reach.
        self.on(node, CLEAN)
        self.pristine[node] = self.on(node, PRISTINE)

    def clean(self, nodes: list[str]) -> None:
        """Brings nodes to the state before the first run of anything."""
        self.each(nodes, self.clean_one)

    def clean_one(self, node: str) -> None:
        for _ in range(2):
            try:
                self.on(node, CLEAN)
                seen = self.on(node, PRISTINE)
            except Wrong as wrong:
                seen = str(wrong)
            if seen == self.pristine[node]:
                return
        print(f"{node} is not as it was before, so it gets a new disk:\n{difference(self.pristine[node], seen)}", flush=True)
        self.call("reset", self.name, node)
        self.prepare(node)

    def looks(self, nodes: list[str]) -> list[dict[str, str]]:
        return self.each(nodes, lambda node: sections(self.on(node, STATE)))

    def verify(self, nodes: list[str], peers: list[str]) -> str:
        """Fails unless every node has what the job asks for, for these peers and no others. Returns a mark of the whole state."""
        seen = self.looks(nodes)
        for node, state in zip(nodes, seen):
            verify(node, state, peers)
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()

    def settle(self, seconds: float) -> None:
        """Lets the sessions of the last run end on the nodes."""
        time.sleep(seconds)


def sections(text: str) -> dict[str, str]:
    parts = re.split(r"(?m)^==(\w+)\n", text)
    return dict(zip(parts[1::2], parts[2::2]))


def difference(one: str, other: str) -> str:
    only = [f"- {line}" for line in one.splitlines() if line not in other.splitlines()]
    return "\n".join([*only, *(f"+ {line}" for line in other.splitlines() if line not in one.splitlines())][:20])


def without_sets(state: dict[str, str]) -> dict[str, str]:
    """The texts in which a rule may ask an address set of firewalld's, with a rule for each entry instead: in the kernel those that the kernel has."""
    entries: dict[tuple[str, str], list[str]] = {}
    for where, name, entry in re.findall(r"(?m)^(\w+) (\S+) (\S+)$", state["sets"]):
        entries.setdefault((where, name), []).append(entry)

    def expand(text: str, where: str, pattern: str, single: str) -> str:
        lines = []
        for line in text.splitlines():
            asked = re.search(pattern, line)
            found = entries.get((where, asked["name"]), []) if asked else []
            lines += [line.replace(asked[0], single.format(entry=entry, **asked.groupdict())) for entry in found] if asked else [line]
        return "\n".join(lines) + "\n"

    def match(text: str, where: str, suffix: str) -> str:
        # The address of an entry stands beside the container's, as in a rule without a set.
        inside = rf"{re.escape(CONTAINER)}(?:/32)?"
        text = expand(text, where, rf"(?P<own>-d {inside}) (?P<rest>.*)-m set --match-set (?P<name>\S+) src", "-s {entry}" + suffix + " {own} {rest}")
        return expand(text, where, rf"(?P<own>-s {inside}) (?P<rest>.*)-m set --match-set (?P<name>\S+) dst", "{own} -d {entry}" + suffix + " {rest}")

    nat = expand(state["nat"], "nft", r"saddr @(?P<name>\S+)", "saddr {entry}")
    return {
        "kernel": match(state["kernel"], "ipset", "/32"),
        "nat": match(nat, "ipset", "/32"),
        "direct": match(state["direct"], "file", ""),
        "zone": expand(state["zone"], "file", r'<source ipset="(?P<name>[^"]+)"', '<source address="{entry}"'),
    }


def verify(node: str, state: dict[str, str], peers: list[str]) -> None:
    """Compares one node's state with the job."""
    wanted = set(peers)
    inside = re.escape(CONTAINER)
    state = {**state, **without_sets(state)}
    seen = {
        "inbound rules in the kernel": re.findall(rf"-s ([\d.]+)/32 -d {inside}/32 .*-j ACCEPT", state["kernel"]),
        "outbound rules in the kernel": re.findall(rf"-s {inside}/32 -d ([\d.]+)/32 .*-j ACCEPT", state["kernel"]),
        "forwards in the kernel": re.findall(r"saddr ([\d.]+) .*dnat", state["nat"]) or re.findall(r"-s ([\d.]+)/32 .*DNAT", state["nat"]),
        "permanent inbound rules": re.findall(rf"-s ([\d.]+)(?:/32)? -d {inside}", state["direct"]),
        "permanent outbound rules": re.findall(rf"-s {inside}(?:/32)? -d ([\d.]+)", state["direct"]),
        "permanent forwards": re.findall(r'<source address="([\d.]+)(?:/32)?"', state["zone"]),
    }
    for what, found in seen.items():
        if sorted(found) != sorted(wanted):
            less, more = sorted(wanted.difference(found))[:3], sorted(set(found) - wanted)[:3]
            raise Wrong(f"{node}: {len(found)} {what} for {len(wanted)} peers; missing {less}, too much {more}")
    refusals = re.findall(r"-j (?:REJECT|DROP)", state["kernel"])
    if len(refusals) < 2 or "ESTABLISHED" not in state["kernel"]:
        raise Wrong(f"{node}: the refusals or the rule for replies are missing:\n{state['kernel'][-1500:]}")
    docker = state["docker"].split()
    if docker[:2] != [NETWORK, CONTAINER] or len(docker) != 4 or docker[3] != BRIDGE:
        raise Wrong(f"{node}: the container is on {state['docker'].strip()}")
