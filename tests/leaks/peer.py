"""A peer of the leak table: counts what comes from the node, and offers new flows to it.

Arguments: its port, seconds, and where to send to: ADDRESS:PORT, none or more. Prints what it offered and got.
"""
import socket
import sys
import threading
import time

port, seconds = int(sys.argv[1]), float(sys.argv[2])
targets = [(address, int(number)) for address, number in (word.split(":") for word in sys.argv[3:])]
end = time.monotonic() + seconds
offered = 0


def offer():
    global offered
    while time.monotonic() < end:
        for target in targets:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                try:
                    udp.sendto(b"x", target)
                except OSError:
                    pass
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
                tcp.setblocking(False)
                tcp.connect_ex(target)
            offered += 2
        time.sleep(0.001)


got = 0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    server.bind(("0.0.0.0", port))
    server.settimeout(0.2)
    print("ready", flush=True)
    if targets:
        threading.Thread(target=offer, daemon=True).start()
    while time.monotonic() < end:
        try:
            server.recv(64)
            got += 1
        except TimeoutError:
            pass
print(f"offered={offered} got={got}")
