"""The job with as few operations as it takes: two files from templates, one reload, one question to Docker."""
from pathlib import Path

from pyinfra import host
from pyinfra.facts.server import Command
from pyinfra.operations import files, server
from pyinfra.operations.util import any_changed

HERE = Path(__file__).parent
ASK = "docker network inspect -f '{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}' cybex 2>/dev/null || true"

if host.get_fact(Command, command=ASK) != "cybex 172.20.0.2/16":
    server.shell(
        name="The Docker network, with the container on it",
        commands=[
            "docker network inspect cybex >/dev/null 2>&1 || "
            "docker network create --subnet 172.20.0.0/16 -o com.docker.network.bridge.name=br-cybex cybex",
            "docker network connect --ip 172.20.0.2 cybex cybex",
            "docker network disconnect bridge cybex",
        ],
    )
written = [
    files.template(
        name=f"The file {dest}", src=str(HERE / source), dest=dest, mode="640", create_remote_dir=False,
        # As Ansible reads templates.
        jinja_env_kwargs={"trim_blocks": True}, peers=host.data.peers,
    )
    for source, dest in (("direct.xml.j2", "/etc/firewalld/direct.xml"), ("public.xml.j2", "/etc/firewalld/zones/public.xml"))
]
server.shell(name="Reload firewalld", commands=["firewall-cmd --reload"], _if=any_changed(*written))
