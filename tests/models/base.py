"""What the model of an mNF is made of: a class with `run`, the verdicts, and what it may touch.

    class TtlDec:
        def run(self, packet, state, cfg, m): ...
            return NEXT

One module for each mNF, named as it is: `tests/models/<mnf>.py` holds `class Model`. A model has no state of its own.

  packet  tests.models.packet.Packet: get("ip.ttl"), set("ip.ttl", 3), flow, payload, now, fib_lookup()
  state   mapping: table name -> a table of tests.models.tables (lookup, touch, match, add, record, pick ...)
  cfg     mapping: parameter -> canonical value (tables.types: addresses and enums are text, durations nanoseconds)
  m       mapping: core field ("hash", "class", "dir") or own field ("<mnf>.<field>") -> value, 0 until written

Values: addresses are 16 bytes (IPv4 mapped), MACs 6 bytes, everything else a Python int in host order.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from tests.models.packet import Packet

FORWARD, REVERSE = 0, 1
HTTP_NONE, HTTP_REQUEST, HTTP_RESPONSE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a body returned: kind NEXT DROP PASS TX REDIRECT TO; name is the reason or the outcome, port the number."""

    kind: str
    name: str = ""
    port: int = 0


NEXT = Verdict("NEXT")
PASS = Verdict("PASS")
TX = Verdict("TX")


def drop(reason: str) -> Verdict:
    """DROP(reason)"""
    return Verdict("DROP", reason)


def to(outcome: str) -> Verdict:
    """TO(outcome)"""
    return Verdict("TO", outcome)


def redirect(port: int) -> Verdict:
    """REDIRECT(port)"""
    return Verdict("REDIRECT", port=port)


class Model(Protocol):
    """The model of one mNF."""

    def run(self, packet: Packet, state: Mapping[str, Any], cfg: Mapping[str, Any], m: MutableMapping[str, Any]) -> Verdict:
        """The verdict on one packet; changes to packet, state and m are made in place."""
