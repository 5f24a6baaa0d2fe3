"""Connects while upall is killed, and fails at the first connect that does.

load.py RATE FILE HOST:PORT...   RATE times a second in blocking calls, to one after
                                 the other, as load often
load.py once FILE HOST:PORT...   once to each, and ends with 0
"""
import itertools
import os
import signal
import socket
import sys
import threading
import time

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
rate, path = sys.argv[1:3]
targets = [t.rsplit(":", 1) for t in sys.argv[3:]]
times = open(path, "w", buffering=1)


def connect(host, port):
    try:
        began = time.time()
        with socket.socket() as s:
            s.connect((host, int(port)))
            took = time.time() - began
            s.sendall(b"ping\n")
            answer = s.recv(5)
            if answer != b"pong\n":
                raise OSError(f"answer {answer!r}")
        times.write(f"{int(began * 1e6)} {int(took * 1e6)} {host}:{port}\n")
    except OSError as error:
        print("error", host, port, f"after {time.time() - began:.3f}", error, flush=True)
        os._exit(1)


def often(share, number):
    turns = itertools.cycle(targets)
    for _ in range(number % len(targets)):
        next(turns)
    due = time.monotonic()
    while True:
        connect(*next(turns))
        due = max(due + 1 / share, time.monotonic() - 1)
        time.sleep(max(0, due - time.monotonic()))


THREADS = 8  # one of them waits for long in a connect that is held
if rate == "once":
    threads = [threading.Thread(target=connect, args=t) for t in targets]
else:
    threads = [threading.Thread(target=often, args=(int(rate) / THREADS, n)) for n in range(THREADS)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print("connected", flush=True)
