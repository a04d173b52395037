"""The job as a deploy is written: facts about what is there, and a shell operation for each thing that is missing or too much."""
from shlex import quote

from pyinfra import host
from pyinfra.facts.server import Command
from pyinfra.operations import docker, server

SUBNET, CONTAINER = "172.20.0.0/16", "172.20.0.2"


def lines(command: str) -> set[str]:
    return set((host.get_fact(Command, command=command) or "").splitlines())


def rules(peers: list[str]) -> list[str]:
    inbound = [f"100 -s {peer} -d {CONTAINER} -p tcp --dport 5000 -m conntrack --ctstate DNAT -j ACCEPT" for peer in peers]
    outbound = [f"200 -s {CONTAINER} -d {peer} -p tcp --dport 5000 -j ACCEPT" for peer in peers]
    refused = [f"900 ! -s {SUBNET} -d {SUBNET} -j REJECT", f"1000 -s {SUBNET} ! -d {SUBNET} -j REJECT"]
    return [f"ipv4 filter DOCKER-USER {rule}" for rule in ["0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", *inbound, *outbound, *refused]]


def forward(peer: str) -> str:
    return f'rule family="ipv4" source address="{peer}" forward-port port="5000" protocol="tcp" to-port="5000" to-addr="{CONTAINER}"'


docker.network(name="The Docker network", network="cybex", subnet=SUBNET, opts=["com.docker.network.bridge.name=br-cybex"])
networks = lines("docker inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{println $name}}{{end}}' cybex")
if "cybex" not in networks:
    server.shell(name="The container is on the network", commands=[f"docker network connect --ip {CONTAINER} cybex cybex"])
if "bridge" in networks:
    server.shell(name="The container is on no other network", commands=["docker network disconnect bridge cybex"])

changed = False
if "ipv4 filter DOCKER-USER" not in lines("firewall-cmd --permanent --direct --get-all-chains"):
    server.shell(name="The chain", commands=["firewall-cmd --permanent --direct --add-chain ipv4 filter DOCKER-USER"])
    changed = True

# firewalld prints an exclamation mark in quotes.
wanted = rules(host.data.peers)
there = {line.replace("'!'", "!") for line in lines("firewall-cmd --permanent --direct --get-all-rules")}
for rule in wanted:
    if rule not in there:
        server.shell(name=f"Rule {rule}", commands=[f"firewall-cmd --permanent --direct --add-rule {rule}"])
        changed = True
for rule in sorted(there.difference(wanted)):
    server.shell(name=f"No rule {rule}", commands=[f"firewall-cmd --permanent --direct --remove-rule {rule}"])
    changed = True

wanted, there = [forward(peer) for peer in host.data.peers], lines("firewall-cmd --permanent --zone=public --list-rich-rules")
for rule in wanted:
    if rule not in there:
        server.shell(name=f"Forward {rule}", commands=[f"firewall-cmd --permanent --zone=public --add-rich-rule {quote(rule)}"])
        changed = True
for rule in sorted(there.difference(wanted)):
    server.shell(name=f"No forward {rule}", commands=[f"firewall-cmd --permanent --zone=public --remove-rich-rule {quote(rule)}"])
    changed = True

if changed:
    server.shell(name="Reload firewalld", commands=["firewall-cmd --reload"])
