"""The tools: their environments, and how each is called. Their playbooks and deploys are in tests/bench/tools."""
from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from job import Peers, Wrong
from lab import ROOT, Lab

FILES = ROOT / "tests/bench/tools"
# As many names as any of them works on at a time.
FORKS = 50
# The phases of a run. A tool that changes nothing has one, `floor`.
FIRST, CHANGE, CONVERGED, CHECK, FLOOR = "first", "change", "converged", "check", "floor"


class Environments:
    """The programs of other projects, each in an environment of its own, with the versions and hashes of its lock file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def python(self, name: str) -> Path:
        """The folder with the programs of an environment, which is made if it is not there."""
        folder = self.folder / f"{name}-{self.mark(name)}"
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            print(f"installing {name} into {folder}", flush=True)
            self.run([self.interpreter(), "-m", "venv", folder])
            self.run([folder / "bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", FILES / f"{name}.lock"])
            (folder / "ready").touch()
        return folder / "bin"

    def packages(self, name: str) -> Path:
        """A folder with packages for any Python 3."""
        folder = self.folder / f"{name}-{self.mark(name)}"
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            any_python = ["--only-binary", ":all:", "--platform", "any", "--python-version", "313", "--no-compile"]
            self.run([self.interpreter(), "-m", "pip", "install", "--quiet", "--require-hashes", "--target", folder, *any_python,
                      "-r", FILES / f"{name}.lock"])
            (folder / "ready").touch()
        return folder

    @staticmethod
    def mark(name: str) -> str:
        return hashlib.sha256((FILES / f"{name}.lock").read_bytes()).hexdigest()[:12]

    @staticmethod
    def interpreter() -> str:
        # Debian's, for which tests/setup brings venv.
        return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable

    @staticmethod
    def run(command: list) -> None:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise Wrong(f"an environment cannot be made; it takes Python's venv, and PyPI:\n{shlex.join(map(str, command))}\n{done.stdout[-3000:]}")


class Site:
    """Where the tools work: the lab, a home of their own, and the names with their nodes."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.home = folder / "home"
        self.key, self.known_hosts = lab.info["ssh"]["key"], lab.info["ssh"]["known_hosts"]
        self.home.mkdir(parents=True, exist_ok=True)
        # Nothing of the user's counts, and nothing of this machine's either.
        self.environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8"}

    def ssh(self) -> list[str]:
        options = ["IdentitiesOnly=yes", "BatchMode=yes", f"UserKnownHostsFile={self.known_hosts}", "GlobalKnownHostsFile=none",
                   "StrictHostKeyChecking=yes", "ControlPath=none", "LogLevel=ERROR"]
        return ["ssh", "-F", "none", "-i", self.key, *(word for option in options for word in ("-o", option))]


Names = list[tuple[str, str]]


class Tool:
    """One way to do the job."""

    phases = [FIRST, CHANGE, CONVERGED, CHECK]
    # Whether it is tried at every size, however long it takes.
    is_always_tried = False

    def __init__(self, name: str, title: str) -> None:
        self.name, self.title = name, title

    def prepare(self, site: Site) -> None:
        """Whatever it takes beforehand, once."""
        self.site = site
        self.folder = site.folder / self.name
        self.folder.mkdir(parents=True, exist_ok=True)

    def write(self, names: Names, peers: Peers) -> None:
        """The inventory of these names."""

    def command(self, phase: str) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return self.site.environment

    def input(self) -> Path:
        """What it reads."""
        return Path(os.devnull)

    def judge(self, phase: str, code: int, said: str) -> str | None:
        """What is wrong with a run, by what the tool itself says."""
        return None if code == 0 else f"it ended with {code}"


def block(peers: list[str], indent: str) -> str:
    return "".join(f"\n{indent}- {peer}" for peer in peers) or " []"


class Fwdeploy(Tool):
    is_always_tried = True

    def __init__(self, binary: Path) -> None:
        super().__init__("fwdeploy", "fwdeploy")
        self.binary = binary

    def write(self, names: Names, peers: Peers) -> None:
        hosts = "".join(f"\n    {name}: {{ ansible_host: {address} }}" for name, address in names)
        (self.folder / "inventory.yml").write_text(
            f"all:\n  vars:\n    ansible_user: root\n    ansible_ssh_private_key_file: {self.site.key}\n    fwdeploy_roles: [cybex]\n"
            f"    cybex_peers:{block(peers.now(), '      ')}\n  hosts:{hosts}\n")

    def command(self, phase: str) -> list[str]:
        words = [str(self.binary), "run", "inventory.yml", "--known-hosts", self.site.known_hosts, "--forks", str(FORKS)]
        # A machine with many peers may take longer than the limits that are meant for a fleet.
        words += ["--confirm-timeout", "600", "--command-timeout", "600"]
        return [*words, "--check"] if phase == CHECK else words

    def judge(self, phase: str, code: int, said: str) -> str | None:
        if code == 0 and phase in (CONVERGED, CHECK) and re.search(r"changed=[1-9]", said):
            return "it changed something"
        return super().judge(phase, code, said)


class Ansible(Tool):
    def __init__(self, kind: str, environments: Environments) -> None:
        super().__init__(f"ansible-{kind}", f"Ansible, {kind}")
        self.environments = environments

    def prepare(self, site: Site) -> None:
        super().prepare(site)
        self.programs = self.environments.python("ansible")

    def write(self, names: Names, peers: Peers) -> None:
        # Several names are one node: each has a connection of its own, as those of several nodes would.
        hosts = "".join(f"\n    {name}: {{ ansible_host: {address}, ansible_control_path: {self.site.home}/cp/{name} }}" for name, address in names)
        (self.site.home / "cp").mkdir(exist_ok=True)
        (self.folder / "inventory.yml").write_text(
            f"all:\n  vars:\n    ansible_user: root\n    ansible_ssh_private_key_file: {self.site.key}\n"
            f"    ansible_ssh_common_args: -F none -o UserKnownHostsFile={self.site.known_hosts} -o GlobalKnownHostsFile=none\n"
            f"    peers:{block(peers.now(), '      ')}\n    former_peers:{block(peers.former(), '      ')}\n  hosts:{hosts}\n")

    def command(self, phase: str) -> list[str]:
        words = [str(self.programs / "ansible-playbook"), "-i", "inventory.yml", str(FILES / f"{self.name}.yml")]
        return [*words, "--check"] if phase == CHECK else words

    def environment(self) -> dict[str, str]:
        return {**self.site.environment, "ANSIBLE_CONFIG": str(FILES / f"{self.name}.cfg"), "ANSIBLE_NOCOLOR": "1"}

    def judge(self, phase: str, code: int, said: str) -> str | None:
        if code == 0 and phase in (CONVERGED, CHECK) and re.search(r"changed=[1-9]", said):
            return "it changed something"
        return super().judge(phase, code, said)


class Pyinfra(Tool):
    def __init__(self, kind: str, environments: Environments) -> None:
        super().__init__(f"pyinfra-{kind}", f"pyinfra, {kind}")
        self.environments = environments

    def prepare(self, site: Site) -> None:
        super().prepare(site)
        self.programs = self.environments.python("pyinfra")

    def write(self, names: Names, peers: Peers) -> None:
        hosts = [(name, {"ssh_hostname": address}) for name, address in names]
        data = {"ssh_user": "root", "ssh_key": self.site.key, "ssh_known_hosts_file": self.site.known_hosts,
                "ssh_strict_host_key_checking": "yes", "ssh_allow_agent": False, "ssh_look_for_keys": False, "peers": peers.now()}
        (self.folder / "inventory.py").write_text(f"hosts = (\n    {hosts!r},\n    {data!r},\n)\n")

    def command(self, phase: str) -> list[str]:
        # With `-y` it detects no changes beforehand, which is all that `--dry` is for.
        how = "--dry" if phase == CHECK else "-y"
        return [str(self.programs / "pyinfra"), how, "--parallel", str(FORKS), "inventory.py", str(FILES / f"{self.name}.py")]

    def judge(self, phase: str, code: int, said: str) -> str | None:
        # The columns: hosts, success (something was done), error, no change.
        totals = re.search(r"Grand total +\d+ +(\d+|-)", said)
        if code == 0 and phase == CONVERGED and (not totals or totals[1] != "-"):
            return "it changed something"
        return super().judge(phase, code, said)


class Floor(Tool):
    """OpenSSH itself: nothing that logs in to a node by it can be faster."""

    phases = [FLOOR]
    is_always_tried = True

    def write(self, names: Names, peers: Peers) -> None:
        self.names = names
        (self.folder / "addresses").write_text("".join(f"{address}\n" for _, address in names))

    def one(self, address: str) -> list[str]:
        return [*self.site.ssh(), f"root@{address}", "true"]

    def many(self) -> list[str]:
        return ["xargs", "-a", "addresses", f"-P{FORKS}", "-I{}", *self.one("{}")]

    def command(self, phase: str) -> list[str]:
        return self.one(self.names[0][1]) if len(self.names) == 1 else self.many()


class Probe(Floor):
    """OpenSSH with the script that fwdeploy reads a node with, as fwdeploy sends it."""

    def __init__(self, name: str, title: str, binary: Path) -> None:
        super().__init__(name, title)
        self.binary = binary

    def prepare(self, site: Site) -> None:
        super().prepare(site)
        self.words, script = captured(self.binary, site, self.folder)
        (self.folder / "script").write_bytes(script)
        # xargs gives no input to what it runs.
        ssh = shlex.join(site.ssh())
        (self.folder / "probe.sh").write_text(f'exec {ssh} "root@$1" {shlex.join(self.words)} <script >/dev/null\n')

    def one(self, address: str) -> list[str]:
        return [*self.site.ssh(), f"root@{address}", *self.words]

    def many(self) -> list[str]:
        return ["xargs", "-a", "addresses", f"-P{FORKS}", "-n1", "sh", "probe.sh"]

    def input(self) -> Path:
        return self.folder / "script" if len(self.names) == 1 else super().input()


def captured(binary: Path, site: Site, folder: Path) -> tuple[list[str], bytes]:
    """What fwdeploy gives to ssh for one look at a node: the remote command, and its input."""
    seen = folder / "captured"
    shutil.rmtree(seen, ignore_errors=True)
    seen.mkdir(parents=True)
    ssh = shutil.which("ssh", path=site.environment["PATH"])
    shim = seen / "ssh"
    shim.write_text(f'#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done >{seen}/words.$$\ntee {seen}/input.$$ | {ssh} "$@"\n')
    shim.chmod(0o755)
    node = site.lab.nodes[0]
    looking = Fwdeploy(binary)
    looking.prepare(site)
    looking.folder = folder
    looking.write([(node, site.lab.address(node))], Peers(1))
    command = ["nsenter", f"--net={site.lab.netns}", *looking.command(CHECK), "--transport", "openssh", "--ssh-config", "none"]
    environment = {**site.environment, "PATH": f"{seen}:{site.environment['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    inputs = sorted(seen.glob("input.*"), key=lambda path: path.stat().st_size)
    if done.returncode not in (0, 2) or not inputs or not inputs[-1].stat().st_size:
        raise Wrong(f"fwdeploy's look at a node was not seen; it ended with {done.returncode}:\n{done.stdout[-2000:]}")
    words = (seen / inputs[-1].name.replace("input", "words")).read_text().split("\0")[:-1]
    # All behind `-- ADDRESS`.
    return words[words.index("--") + 2:], inputs[-1].read_bytes()


def every(binary: Path, environments: Environments) -> list[Tool]:
    """All of them, in the order of the tables."""
    return [
        Floor("ssh-true", "`ssh node true`"), Probe("ssh-probe", "ssh with the same probe", binary), Fwdeploy(binary),
        Pyinfra("optimised", environments), Pyinfra("idiomatic", environments), Ansible("optimised", environments),
        Ansible("idiomatic", environments),
    ]


def versions(binary: Path) -> dict[str, str]:
    """What is measured, as the lock files have it."""
    found = {"fwdeploy": subprocess.run([binary, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1]}
    for name, package in (("ansible", "ansible-core"), ("pyinfra", "pyinfra")):
        found[package] = re.search(rf"(?m)^{package}==(\S+)", (FILES / f"{name}.lock").read_text())[1]
    found["OpenSSH"] = subprocess.run(["ssh", "-V"], stderr=subprocess.PIPE, text=True, check=True).stderr.split(",")[0].removeprefix("OpenSSH_")
    return found


def text_of(log: Path) -> str:
    return log.read_bytes().decode(errors="replace") if log.exists() else ""
