"""kv: a key-value server for one line per request over TCP.

It is slow on purpose: it listens only when its data is loaded.
Requests: "GET key", "SET key value", "INCR key". Each answer is one line.
"""

import socketserver
import threading
import time

PORT = 7000
LOAD_SECONDS = 3


class Store:
    def __init__(self):
        self.data = {}
        self.lock = threading.Lock()

    def load(self):
        print(f"loading the data, {LOAD_SECONDS} s")
        time.sleep(LOAD_SECONDS)
        self.data["greeting"] = "hello from kv"

    def answer(self, line):
        words = line.split(maxsplit=2)
        with self.lock:
            match words:
                case ["GET", key]:
                    return self.data.get(key, "")
                case ["SET", key, value]:
                    self.data[key] = value
                    return "OK"
                case ["INCR", key]:
                    self.data[key] = str(int(self.data.get(key, "0")) + 1)
                    return self.data[key]
        return "ERROR unknown request"


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            answer = self.server.store.answer(line.decode())
            self.wfile.write(answer.encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


store = Store()
store.load()
with Server(("", PORT), Handler) as server:
    server.store = store
    print(f"listening on port {PORT}")
    server.serve_forever()
