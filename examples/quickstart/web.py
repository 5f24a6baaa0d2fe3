"""web: asks api once, at its start, then serves HTTP on port 8080."""

import http.server
import urllib.request

PORT = 8080


def ask_api(path):
    with urllib.request.urlopen("http://api:8080" + path) as response:
        return response.read()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = b"web says: " + ask_api("/greeting")
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, text, *args):
        print(text % args)


ask_api("/greeting")  # an error here ends the program
print("api answers")
with http.server.ThreadingHTTPServer(("", PORT), Handler) as server:
    print(f"listening on port {PORT}")
    server.serve_forever()
