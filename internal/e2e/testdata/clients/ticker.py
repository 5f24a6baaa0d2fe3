"""Serves HTTP on a port of its own, then connects once to a peer with asyncio,
while a timer fires every 10 ms. Prints the largest gap between two firings.

    python3 ticker.py HOST PORT OWN_PORT
"""

import asyncio
import sys
import time


class Ticker:
    def __init__(self):
        self.largest = 0.0

    async def run(self):
        previous = time.monotonic()
        while True:
            await asyncio.sleep(0.010)
            now = time.monotonic()
            self.largest = max(self.largest, now - previous)
            previous = now


async def serve(reader, writer):
    while (await reader.readline()).strip():
        pass
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nawake\n")
    await writer.drain()
    writer.close()


async def main(host, port, own_port):
    server = await asyncio.start_server(serve, "0.0.0.0", int(own_port))
    ticker = Ticker()
    began = time.monotonic()
    timer = asyncio.create_task(ticker.run())
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"ping\n")
    answer = await reader.readline()
    took = time.monotonic() - began
    timer.cancel()
    writer.close()
    server.close()
    if answer != b"pong\n":
        raise RuntimeError(f"answer {answer!r}")
    print(f"ok {took * 1000:.0f} largest_gap_ms={ticker.largest * 1000:.0f}")


asyncio.run(main(*sys.argv[1:4]))
