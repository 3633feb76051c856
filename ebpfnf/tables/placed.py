"""Lines of text as parameters of an mNF in a VM: they are read in its guest, no program in the kernel sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ebpfnf.errors import Where

MOST = 4096  # bytes of a line


@dataclass(frozen=True, slots=True)
class Text:
    """The type of such a line."""

    spelling: str = "text"
    size: int = 1
    align: int = 1
    c: str = "u8"

    def parse(self, value: Any) -> str:
        if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value.encode()) > MOST:
            raise ValueError(f"a line of text, at most {MOST} bytes")
        return value

    def encode(self, value: Any) -> bytes:
        raise TypeError("text has no bytes of its own")

    def decode(self, data: bytes) -> str:
        raise TypeError("text has no bytes of its own")


class Placed(str):
    """A line that remembers where it was written: only the guest's own code can tell whether it is a rule."""

    where: Where

    def __new__(cls, text: str, where: Where) -> Placed:
        made = super().__new__(cls, text)
        made.where = where
        return made
