#!/usr/bin/env python3
# An actor with non-blocking sockets: "ID MODE dial IP PORT" connects and has one
# byte come back, "ID MODE serve IP PORT" listens and sends back what it gets.
import asyncio
import socket
import sys


async def dial(ip, port):
    loop = asyncio.get_running_loop()
    with socket.socket() as s:
        s.setblocking(False)
        await loop.sock_connect(s, (ip, port))
        await loop.sock_sendall(s, b"x")
        if await loop.sock_recv(s, 1) != b"x":
            raise OSError("the server has closed")


async def echo(reader, writer):
    try:
        while data := await reader.read(100):
            writer.write(data)
            await writer.drain()
        writer.close()
    except OSError:
        pass


async def perform(ident, verb, ip, port):
    try:
        if verb == "dial":
            await dial(ip, int(port))
        else:
            servers.append(await asyncio.start_server(echo, ip, int(port)))
        print(ident, "ok", flush=True)
    except OSError as e:
        print(ident, e, flush=True)


async def main():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = []
    while line := await reader.readline():
        ident, _, *order = line.decode().split()
        tasks.append(asyncio.create_task(perform(ident, *order)))


servers = []
asyncio.run(main())
