"""One command, measured: the time, and what it takes of both ends and of the wire."""
from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

from job import Wrong

CLONE_NEWNET = 0x40000000
# Linux's own numbers; Python's socket module does not have them.
SO_RCVBUFFORCE, SO_ATTACH_FILTER, SOL_PACKET, PACKET_STATISTICS, PACKET_OUTGOING = 33, 26, 263, 6, 4
ETH_P_ALL = 3
# What is kept of a packet: the headers of Ethernet, IPv4 and TCP with their options.
KEPT = 134
# How much may wait until the command has ended: nobody reads meanwhile, so that the capture costs no processor.
BUFFER = 256 << 20
MOUNTS = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]


class Group:
    """A control group of its own for one command, so that what its forks take counts, also where nobody waits for them."""

    def __init__(self, name: str) -> None:
        roots = [Path(words[1]) for words in MOUNTS if words[2] == "cgroup2"]
        if not roots:
            raise Wrong("this machine has no cgroup2 mount")
        self.unified = roots[0] / "fwdeploy-bench" / name
        legacy = [Path(words[1]) for words in MOUNTS if words[2] == "cgroup" and "memory" in words[3].split(",")]
        self.legacy = legacy[0] / "fwdeploy-bench" / name if legacy else None

    def __enter__(self) -> "Group":
        self.remove()
        self.unified.mkdir(parents=True)
        if self.legacy:
            self.legacy.mkdir(parents=True)
        else:
            # Where version 2 has the memory, the groups above have to pass it on.
            for above in (self.unified.parent.parent, self.unified.parent):
                with contextlib.suppress(OSError):
                    (above / "cgroup.subtree_control").write_text("+memory")
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def enter(self) -> None:
        """Runs in the child, before the command."""
        for folder in (self.unified, self.legacy):
            if folder:
                fd = os.open(folder / "cgroup.procs", os.O_WRONLY)
                os.write(fd, b"0")
                os.close(fd)

    def cpu(self) -> float:
        return cpu_of(self.unified)

    def memory(self) -> int | None:
        """The most bytes that all processes together have had at a time. A page of a file is counted where it was read first, so a program
        that was run before does not count itself. The kernel's figure for a process (ru_maxrss) cannot be used: it begins with that of this one.
        """
        file = self.legacy / "memory.max_usage_in_bytes" if self.legacy else self.unified / "memory.peak"
        with contextlib.suppress(OSError):
            return int(file.read_text())
        return None

    def remove(self) -> None:
        if not self.unified.exists():
            return
        # What a command leaves behind, such as a shared connection, ends with it.
        (self.unified / "cgroup.kill").write_text("1")
        end = time.monotonic() + 10
        while "populated 1" in (self.unified / "cgroup.events").read_text() and time.monotonic() < end:
            time.sleep(0.01)
        for folder in (self.unified, self.legacy):
            while folder and folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.01)


def cpu_of(group: Path) -> float:
    words = (group / "cpu.stat").read_text().split()
    return int(words[words.index("usage_usec") + 1]) / 1e6


def node_cpu(lab: str, nodes: list[str]) -> float:
    """What all processes of these nodes have taken since they booted, in seconds."""
    root = next(Path(words[1]) for words in MOUNTS if words[2] == "cgroup2")
    return sum(cpu_of(root / "fwdeploy-lab" / lab / node) for node in nodes)


class Traffic(NamedTuple):
    """What passed the controller's interface."""

    sent: int
    received: int
    packets: int
    # Of TCP; nothing where the capture has lost packets.
    connections: int | None
    round_trips: int | None


class Wire:
    """The interface of the controller in the lab's network."""

    def __init__(self, netns: str, interface: str = "br0") -> None:
        self.netns, self.interface = netns, interface
        self.socket: socket.socket | None = None
        failed: list[OSError] = []

        def opened() -> None:
            # Only this thread goes there, and the socket stays there when the thread is gone.
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                with open(netns) as place:
                    if libc.setns(place.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), f"cannot enter {netns}")
                self.socket = capture(interface)
            except OSError as error:
                failed.append(error)

        thread = threading.Thread(target=opened)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]

    def counters(self) -> tuple[int, int, int]:
        text = subprocess.run(["nsenter", f"--net={self.netns}", "cat", "/proc/net/dev"], stdout=subprocess.PIPE, text=True, check=True).stdout
        words = next(line.split(":")[1].split() for line in text.splitlines() if line.strip().startswith(f"{self.interface}:"))
        return int(words[8]), int(words[0]), int(words[1]) + int(words[9])

    def begin(self) -> None:
        for _ in self.drain():
            pass
        self.dropped()
        self.before = self.counters()

    def end(self) -> Traffic:
        after = self.counters()
        connections, trips = flights(self.drain())
        lost = self.dropped()
        sent, received, packets = (later - earlier for earlier, later in zip(self.before, after))
        return Traffic(sent, received, packets, None if lost else connections, None if lost else trips)

    def drain(self):
        while True:
            try:
                data, origin = self.socket.recvfrom(KEPT, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            yield origin[2] == PACKET_OUTGOING, data

    def dropped(self) -> int:
        _, drops = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        return drops


def capture(interface: str) -> socket.socket:
    """A socket that gets the beginning of every packet of TCP over IPv4."""
    listening = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    # ldh [12]; jeq #0x800; ldb [23]; jeq #6; ret #KEPT; ret #0
    program = [(0x28, 0, 0, 12), (0x15, 0, 3, 0x800), (0x30, 0, 0, 23), (0x15, 0, 1, 6), (0x6, 0, 0, KEPT), (0x6, 0, 0, 0)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code)))
    listening.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    listening.bind((interface, ETH_P_ALL))
    return listening


def flights(packets) -> tuple[int, int]:
    """The connections, and how often a side that had spoken was answered by the node: the handshake, then each change of the direction."""
    asked: dict[tuple, bool] = {}
    connections = trips = 0
    for is_sent, packet in packets:
        start = 14 + (packet[14] & 15) * 4
        if len(packet) < start + 14:
            continue
        total = struct.unpack_from("!H", packet, 16)[0]
        ends = (packet[26:30] + packet[start:start + 2], packet[30:34] + packet[start + 2:start + 4])
        key = ends if is_sent else ends[::-1]
        flags = packet[start + 13]
        if flags & 2:
            if is_sent:
                connections += 1
                trips += 1
                asked[key] = False
            continue
        # A total of 0 is a packet that is larger than IPv4's field, which the interface has not cut yet.
        payload = total - (start - 14) - (packet[start + 12] >> 4) * 4 if total else 1
        if payload <= 0:
            continue
        if is_sent:
            asked[key] = True
        elif asked.get(key):
            asked[key] = False
            trips += 1
    return connections, trips


class Measured(NamedTuple):
    """What one command took. Seconds and bytes."""

    code: int
    wall: float
    cpu: float
    memory: int | None
    node_cpu: float
    traffic: Traffic


def run(command: list[str], environment: dict[str, str], folder: Path, log: Path, limit: float, lab: str, nodes: list[str], wire: Wire,
        given: Path = Path(os.devnull)) -> Measured:
    """Runs a command in the controller's network and measures it; its output is in `log`. Beyond the limit it is ended."""
    log.parent.mkdir(parents=True, exist_ok=True)
    # Found beforehand, or the search would be a part of the time.
    nsenter = shutil.which("nsenter") or "nsenter"
    with Group(lab) as group, log.open("wb") as out, given.open("rb") as text:
        nodes_before = node_cpu(lab, nodes)
        wire.begin()
        began = mmap.mmap(-1, 8)

        def enter() -> None:
            group.enter()
            # Moving a process to a group can take longer than a small command, so the time begins after it.
            struct.pack_into("d", began, 0, time.monotonic())

        child = subprocess.Popen(
            [nsenter, f"--net={wire.netns}", *command], stdin=text, stdout=out, stderr=subprocess.STDOUT, cwd=folder,
            env=environment, preexec_fn=enter)
        killer = threading.Timer(limit, child.send_signal, [signal.SIGKILL])
        # Python would wait for it where this program is ended.
        killer.daemon = True
        killer.start()
        _, status = os.waitpid(child.pid, 0)
        wall = time.monotonic() - struct.unpack_from("d", began, 0)[0]
        killer.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        cpu, memory = group.cpu(), group.memory()
        # The sessions that it has left on the nodes end first.
        time.sleep(0.2)
        traffic = wire.end()
        return Measured(child.returncode, wall, cpu, memory, node_cpu(lab, nodes) - nodes_before, traffic)
