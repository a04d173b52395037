"""What the container of the leak table does, from its first moment on: it offers flows, and counts what comes in.

Arguments: the stranger, the removed peer. The files in /count hold what was offered, and what came from either of the two.
"""
import os
import select
import socket
import struct
import sys
import threading
import time

STRANGER, REMOVED = sys.argv[1], sys.argv[2]
counts = {"offered": 0, "kept": 0, "stranger": 0, "removed": 0}
started = time.time_ns()


def serve():
    """Answers whoever connects, as a chain's port does."""
    server = socket.create_server(("0.0.0.0", 5000))
    while True:
        client, _ = server.accept()
        try:
            client.sendall(b"here\n")
        except OSError:
            pass
        client.close()


def offer():
    """A new flow to the stranger every half millisecond, and a datagram of one old flow to the removed peer."""
    old = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    old.bind(("0.0.0.0", 7001))
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as new:
            try:
                new.sendto(b"%d" % time.time_ns(), (STRANGER, 7777))
            except OSError:
                pass  # REJECT answers at once.
            counts["offered"] += 1
        try:
            old.sendto(b"%d" % time.time_ns(), (REMOVED, 7000))
        except OSError:
            pass
        counts["kept"] += 1
        time.sleep(0.0005)


def watch():
    """Counts packets that came in, by who sent them."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    names = {socket.inet_aton(STRANGER): "stranger", socket.inet_aton(REMOVED): "removed"}
    while True:
        packet, origin = raw.recvfrom(64)
        # Not what we have sent ourselves, and no error message about it (ICMP).
        if origin[2] != socket.PACKET_OUTGOING and packet[9] != 1 and packet[12:16] in names:
            counts[names[packet[12:16]]] += 1


for work in (serve, offer, watch):
    threading.Thread(target=work, daemon=True).start()
while True:
    time.sleep(0.1)
    with open(f"/count/.{started}", "w") as file:
        file.write(" ".join(f"{name}={count}" for name, count in counts.items()))
    os.replace(f"/count/.{started}", f"/count/{started}")
