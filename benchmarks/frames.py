"""Templates of the frames that the rigs send."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ebpfnf.packets import build

TEMPLATES, HEAD = 64, 128  # as in rig.c
_PATTERN = struct.Struct(f"=5Q{HEAD}s")
_IMIX = (64,) * 7 + (594,) * 4 + (1500,)
_REQUEST = b"GET /index.html?page=7&lang=en HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Mix:
    """What is sent: sizes in bytes of a frame (0: IMIX), how many flows, how many in a hundred of them speak HTTP."""

    size: int = 64
    flows: int = 1000
    http: int = 0
    family: int = 4
    proto: str = "tcp"
    destination: str = ""  # default: the service's address of the family
    port: int = 80
    source: str = ""  # default: 10.9.0.0 or 2001:db8:9::; its low 16 bits are zero

    def sizes(self) -> tuple[int, ...]:
        """Of each template."""
        return tuple(_IMIX[k % len(_IMIX)] if self.size == 0 else self.size for k in range(TEMPLATES))

    def plan(self) -> bytes:
        """struct plan of rig.c."""
        return struct.pack("=QQ", 0, self.flows) + b"".join(_pattern(frame, self.family) for frame in self.frames())

    def frames(self) -> Sequence[bytes]:
        """The templates as flow 0 would send them."""
        speaking = {k for k in range(TEMPLATES) if (k * 37 % TEMPLATES) * 100 < self.http * TEMPLATES}
        return [self._frame(size, k in speaking) for k, size in enumerate(self.sizes())]

    def _frame(self, size: int, http: bool) -> bytes:
        size = max(size, 64 if self.family == 4 else 78)
        headers = 14 + (20 if self.family == 4 else 40) + (20 if self.proto == "tcp" else 8)
        room = max(0, size - headers)
        payload = (_REQUEST if http else bytes([0x80 | 1]) * len(_REQUEST))[:room].ljust(room, b"x")
        source, destination = ("10.9.0.0", "198.51.100.7") if self.family == 4 else ("[2001:db8:9::]", "[2001:db8::7]")
        source, destination = self.source or source, self.destination or destination
        flags = "flags PA " if self.proto == "tcp" else ""
        # the flow's number is added to source address and port, low bits of which are zero here
        words = f"{self.proto} {source}:16384 > {destination}:{self.port} {flags}eth 02:00:00:00:09:01 > 02:00:00:00:02:01 payload '"
        return build(words + "".join(f"\\x{byte:02x}" for byte in payload) + "'")


def _pattern(frame: bytes, family: int) -> bytes:
    l4 = 34 if family == 4 else 54
    check = l4 + (16 if frame[23 if family == 4 else 20] == 6 else 6)
    source, check_l3 = (28, 24) if family == 4 else (36, 0)
    return _PATTERN.pack(len(frame), source, check_l3, l4, check, frame[:HEAD].ljust(HEAD, b"\0"))
