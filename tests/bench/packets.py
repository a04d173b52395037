"""Both ends of a measurement of packets.

    packets.py serve PORT            in the container: takes datagrams, answers them where they ask for it, and takes connections
    packets.py ask ADDRESS PORT      at the peer: prints a JSON object: seconds for a datagram, seconds for an answer, bits a second
"""
import json
import socket
import statistics
import sys
import threading
import time

DATAGRAMS = 60_000
ANSWERS = 6_000
BYTES = 1 << 30


def sink(port):
    """Takes all that comes over a connection, and answers with one byte."""
    server = socket.create_server(("0.0.0.0", port))
    while True:
        client, _ = server.accept()
        left = BYTES
        while left > 0 and (got := client.recv(1 << 20)):
            left -= len(got)
        client.sendall(b".")
        client.close()


def serve(port):
    threading.Thread(target=sink, args=(port,), daemon=True).start()
    mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # Nobody reads from it: what is measured is the way, not a reader.
    mute.bind(("0.0.0.0", port + 1))
    echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    echo.bind(("0.0.0.0", port))
    while True:
        data, origin = echo.recvfrom(64)
        echo.sendto(data, origin)


def ask(address, port):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.connect((address, port + 1))
    began = time.perf_counter()
    for _ in range(DATAGRAMS):
        one.send(b"x" * 32)
    datagram = (time.perf_counter() - began) / DATAGRAMS
    two = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    two.connect((address, port))
    two.settimeout(2)
    answers = []
    for _ in range(ANSWERS):
        began = time.perf_counter()
        two.send(b"x")
        two.recv(64)
        answers.append(time.perf_counter() - began)
    block = memoryview(bytes(1 << 20))
    with socket.create_connection((address, port)) as stream:
        began = time.perf_counter()
        left = BYTES
        while left > 0:
            left -= stream.send(block[: min(left, len(block))])
        stream.recv(1)
        took = time.perf_counter() - began
    print(json.dumps({"datagram": datagram, "answer": statistics.median(answers), "throughput": 8 * BYTES / took}))


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    ask(sys.argv[2], int(sys.argv[3]))
