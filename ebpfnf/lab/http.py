"""A web client that believes nothing: every answer is checked against its request."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ebpfnf.lab.lab import Lab
from ebpfnf.lab.pages import page


@dataclass(frozen=True, slots=True)
class Answers:
    """What came of the requests: right answers by the backend that gave them, and why there were none (reason -> how many)."""

    sent: int
    by_backend: Mapping[str, int]
    failures: Mapping[str, int]

    @property
    def ok(self) -> bool:
        """Every request was answered rightly."""
        return self.sent == sum(self.by_backend.values()) and not self.failures

    def __add__(self, other: Answers) -> Answers:
        backends = Counter(self.by_backend) + Counter(other.by_backend)
        return Answers(self.sent + other.sent, backends, Counter(self.failures) + Counter(other.failures))


def fetch(
    lab: Lab,
    address: str,
    requests: int,
    *,
    path: str = "/",
    port: int = 80,
    concurrency: int = 16,
    source: str = "",
    timeout: float = 3.0,
    host: str = "client",
    headers: str = "",
) -> Answers:
    """`requests` times GET `path`?n=<number> from a host of the lab, each on its own connection, all within `timeout` seconds each.

    path: `{n}` in it is the number. source: the address to send from. headers: more lines for the request's head.
    A server must echo the path and name itself, or give the page that is there byte for byte, or the request has failed.
    """
    with lab.enter(host):
        return asyncio.run(_fetch_all(address, requests, path, port, concurrency, source, timeout, headers))


async def _fetch_all(
    address: str, requests: int, path: str, port: int, concurrency: int, source: str, timeout: float, headers: str
) -> Answers:
    backends: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    numbers = iter(range(requests))

    async def worker() -> None:
        for number in numbers:
            try:
                async with asyncio.timeout(timeout):
                    asked = f"{path.replace('{n}', str(number))}{'&' if '?' in path else '?'}n={number}"
                    backends[await _get(address, port, asked, source, headers)] += 1
            except TimeoutError:
                failures["timed out"] += 1
            except (OSError, ValueError, asyncio.IncompleteReadError) as error:
                failures[str(error)] += 1

    await asyncio.gather(*(worker() for _ in range(min(concurrency, requests))))
    return Answers(requests, backends, failures)


async def _get(address: str, port: int, path: str, source: str, headers: str) -> str:
    """The name of the backend that answered; ValueError when the answer is not the one to this request."""
    reader, writer = await asyncio.open_connection(address, port, local_addr=(source, 0) if source else None)
    try:
        host = f"[{address}]" if ":" in address else address
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.read()
    finally:
        writer.close()
    if not head.startswith(b"HTTP/1.1 200 "):
        raise ValueError("answer was no 200")
    if known := page(path):
        if body != known[1]:
            raise ValueError("a page was not as it is")
        return head.lower().partition(b"x-backend: ")[2].partition(b"\r")[0].decode()
    answer = json.loads(body)
    if answer["path"] != path or not answer["backend"]:
        raise ValueError("answer was to another request")
    return str(answer["backend"])
