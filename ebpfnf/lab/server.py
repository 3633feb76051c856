"""A web server for lab hosts: `python -m ebpfnf.lab.server NAME LISTENING-FD`. It gives pages, else tells who answered what to whom."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import cast

from ebpfnf.lab.pages import page

_LIMIT = 65536  # a request's head; what is longer is no client of ours


class _Connection(asyncio.Protocol):
    def __init__(self, name: str) -> None:
        self.name = name
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        address: str = transport.get_extra_info("peername")[0]
        self.peer = address.removeprefix("::ffff:")

    def data_received(self, data: bytes) -> None:
        self.head += data
        if len(self.head) > _LIMIT:
            self.transport.abort()
            return
        while b"\r\n\r\n" in self.head:
            head, _, self.head = self.head.partition(b"\r\n\r\n")
            self.answer(head.split(b"\r\n"))

    def about(self, path: str) -> bytes:
        return json.dumps({"backend": self.name, "path": path, "client": self.peer}).encode() + b"\n"

    def answer(self, lines: list[bytes]) -> None:
        words = lines[0].split(b" ")
        path = words[1].decode("latin-1") if len(words) == 3 else ""
        status = b"200 OK" if words[0] in (b"GET", b"HEAD") and path else b"400 Bad Request"
        kind, body = page(path) or ("application/json", self.about(path))
        close = b"connection: close" in (line.lower() for line in lines[1:])
        head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n" % (status, kind.encode(), len(body))
        head += b"X-Backend: %s\r\n" % self.name.encode()
        head += b"Connection: %s\r\n\r\n" % (b"close" if close else b"keep-alive")
        self.transport.write(head + (b"" if words[0] == b"HEAD" else body))
        if close:
            self.transport.close()


async def serve(name: str, listener: socket.socket) -> None:
    """Answers on a listening socket until cancelled."""
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(name), sock=listener, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2]))))
