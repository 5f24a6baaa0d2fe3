"""app: asks PostgreSQL and Redis once, at its start, then serves HTTP on 8080."""

import http.server
import socket
import subprocess

PORT = 8080


def ask_redis(command):
    with socket.create_connection(("redis", 6379)) as conn:
        conn.sendall(command.encode() + b"\r\n")
        answer = conn.makefile().readline().strip()
    if not answer.startswith("+"):
        raise RuntimeError(f"redis: {answer}")
    return answer[1:]


def ask_postgres(query):
    command = ["psql", "-h", "postgres", "-U", "postgres", "-Atc", query]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, text, *args):
        print(text % args)


PAGE = f"redis says {ask_redis('PING')}, postgres says {ask_postgres('select 6 * 7')}\n".encode()
print(PAGE.decode().strip())
with http.server.ThreadingHTTPServer(("", PORT), Handler) as server:
    print(f"listening on port {PORT}")
    server.serve_forever()
