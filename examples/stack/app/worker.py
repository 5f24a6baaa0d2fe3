"""worker: counts in redis, once, at its start, and asks the API to count on.
Any error ends it."""

import json
import signal
import socket
import sys
import urllib.request

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

with socket.create_connection(("redis", 6379)) as redis:
    redis.sendall(b"INCR count\r\n")
    answer = redis.recv(100)
if not answer.startswith(b":"):
    sys.exit(f"redis says {answer!r}")
mine = int(answer[1:])
print(f"redis counts {mine}")

with urllib.request.urlopen("http://api:8080/") as response:
    seen = json.load(response)["count"]
if seen <= mine:
    sys.exit(f"the API counts {seen} after {mine}")
print(f"the API counts {seen}")
signal.pause()
