"""What the tests of the reader of streams share: its image, an attack, requests."""

from __future__ import annotations

from collections.abc import Iterator

from ebpfnf.vm.native import Native

IMAGE = "sqli_stream+url_filter"
DENY = {"url_filter": {"deny": ["/admin*", "*.example.org/private/*"]}}
ATTACK = b"GET /item?id=1%27%20UNION%20SELECT%20NULL,NULL-- HTTP/1.1\r\nHost: a\r\n\r\n"
SECOND = 10**9


def passes(wall: Native, frames: list[bytes], at: int = 0) -> bool:
    return all(out is not None for out in wall.frames(frames, at))


def request(target: str = "/", headers: str = "Host: a\r\n", body: str = "", method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\n{headers}\r\n{body}".encode()


def form(body: str, headers: str = "") -> bytes:
    kind = "Content-Type: application/x-www-form-urlencoded\r\n"
    return request("/form", f"Host: a\r\n{kind}Content-Length: {len(body)}\r\n{headers}", body, "POST")


def chunked(body: str, sizes: list[int]) -> bytes:
    parts, at = [], 0
    for size in [*sizes, len(body)]:
        part = body[at : at + size]
        at += size
        if part:
            parts.append(f"{len(part):x}\r\n{part}\r\n")
    kind = "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n"
    return request("/form", f"Host: a\r\n{kind}", "".join(parts) + "0\r\n\r\n", "POST")


def ports() -> Iterator[str]:
    for port in range(2000, 60000):
        yield f"192.0.2.9:{port}"
