"""Connects once and exchanges one line.

    python3 sockets.py blocking|timeout|asyncio HOST PORT [TIMEOUT_SECONDS]
"""

import asyncio
import socket
import sys
import time


def with_socket(host, port, timeout):
    with socket.create_connection((host, port), timeout) as conn:
        conn.sendall(b"ping\n")
        return conn.makefile("rb").readline()


async def with_asyncio(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"ping\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


def exchange(how, host, port, timeout):
    match how:
        case "blocking":
            return with_socket(host, port, None)
        case "timeout":
            return with_socket(host, port, timeout)
        case "asyncio":
            return asyncio.run(with_asyncio(host, port))
    raise ValueError(how)


how, host, port = sys.argv[1:4]
timeout = float(sys.argv[4]) if len(sys.argv) > 4 else 60.0
began = time.monotonic()
try:
    answer = exchange(how, host, int(port), timeout)
    if answer != b"pong\n":
        raise RuntimeError(f"answer {answer!r}")
except Exception as error:
    print(f"error {error} after={(time.monotonic() - began) * 1000:.0f}")
    sys.exit(1)
print(f"ok {(time.monotonic() - began) * 1000:.0f}")
