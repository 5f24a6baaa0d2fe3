"""One half of a pair whose members connect to each other.

    python3 pair.py listen|connect|retry OWN_PORT PEER PEER_PORT [GATE]

What comes first says the first argument: listen, then connect; or connect,
then listen. "retry" is "connect", but a refused connect is made once more
after the listen. With a gate, one line is read from that file first.
"""

import socket
import sys
import threading

first, own_port, peer, peer_port = sys.argv[1:5]


def serve(listener):
    while True:
        conn, _ = listener.accept()
        line = conn.makefile("rb").readline()
        if line:
            conn.sendall(b"pong\n")


def listen():
    listener = socket.create_server(("0.0.0.0", int(own_port)), backlog=128)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()


def connect():
    with socket.create_connection((peer, int(peer_port))) as conn:
        conn.sendall(b"ping\n")
        answer = conn.makefile("rb").readline()
    if answer != b"pong\n":
        raise RuntimeError(f"answer {answer!r}")
    print(f"ok connected to {peer}", flush=True)


if len(sys.argv) > 5:
    with open(sys.argv[5], "rb", buffering=0) as gate:
        gate.read(1)
if first == "listen":
    listen()
    connect()
else:
    refused = False
    try:
        connect()
    except ConnectionRefusedError as error:
        print(f"error {error}", flush=True)
        if first == "connect":
            sys.exit(1)
        refused = True
    listen()
    if refused:
        connect()
threading.Event().wait()
