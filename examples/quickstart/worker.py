"""worker: connects to kv and to api once, at its start, then counts beats."""

import http.client
import socket
import time

kv = socket.create_connection(("kv", 7000))  # an error here ends the program
answers = kv.makefile()
print("connected to kv")
api = http.client.HTTPConnection("api", 8080)
api.connect()
print("connected to api")

while True:
    kv.sendall(b"INCR beats\n")
    stored = answers.readline().strip()
    api.request("GET", "/beats")
    seen = api.getresponse().read().decode().strip()
    print(f"beat {stored}, api sees {seen}")
    time.sleep(1)
