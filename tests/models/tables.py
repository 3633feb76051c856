"""Tables as mNFs see them, in dictionaries. Keys and values are the model's (an address is 16 bytes); `dump` gives text."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from ebpfnf.model import Mnf, TableSpec
from ebpfnf.tables import types
from tests.models.classify import rule_fits
from tests.models.packet import Flow, Packet


def plain(value: Any, spelling: Any) -> Any:
    """A canonical value (types) as models have it: bytes for addresses, ints for protocols; enums stay text."""
    if isinstance(spelling, Mapping):
        return {name: plain(value[name], kind) for name, kind in spelling.items()}
    if spelling in ("ip", "mac"):
        return types.type_of(spelling).encode(value)
    return types.SCALARS["proto"].encode(value)[0] if spelling == "proto" else value


def text(value: Any, spelling: Any) -> Any:
    """The way back."""
    if isinstance(spelling, Mapping):
        return {name: text(value[name], kind) for name, kind in spelling.items()}
    if isinstance(value, Flow):
        ports = value.sport.to_bytes(2, "big") + value.dport.to_bytes(2, "big")
        return types.SCALARS["flow"].decode(value.saddr + value.daddr + ports + bytes([value.proto, 0, 0, 0]))
    if spelling in ("ip", "mac"):
        return types.type_of(spelling).decode(value)
    return types.SCALARS["proto"].decode(bytes([value])) if spelling == "proto" else value


class Keyed:
    """`exact` and `connections`."""

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self.rows: dict[Any, Any] = {}

    @staticmethod
    def _key(key: Any) -> Any:
        return tuple(sorted(key.items())) if isinstance(key, Mapping) else key

    def lookup(self, key: Any) -> Any:
        """The value, itself and no copy: what is changed in it is changed in the table; None when there is none."""
        return self.rows.get(self._key(key))

    def update(self, key: Any, value: Any) -> int:
        """0, or -1 when the table is full."""
        if self._key(key) not in self.rows and len(self.rows) >= self.spec.size:
            if self.spec.when_full == "evict":
                raise OverflowError(f"'{self.spec.name}': which entry the kernel evicts is not modelled")
            return -1
        self.rows[self._key(key)] = dict(value) if isinstance(value, Mapping) else value
        return 0

    touch = update

    def delete(self, key: Any) -> int:
        """0, or -1 when there was none."""
        return 0 if self.rows.pop(self._key(key), None) is not None else -1

    def dump(self) -> dict[Any, Any]:
        return {text(k, self.spec.key): text(v, self.spec.value) for k, v in self.rows.items()}


class Prefixes:
    """`prefix`: the longest match."""

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self.rows: dict[str, Any] = {}

    def lookup(self, address: bytes) -> Any:
        ip = ipaddress.ip_address(types.ip_text(address))
        fitting = [net for net in map(ipaddress.ip_network, self.rows) if net.version == ip.version and ip in net]
        return self.rows[str(max(fitting, key=lambda net: net.prefixlen))] if fitting else None

    def dump(self) -> dict[Any, Any]:
        return {k: text(v, self.spec.value) for k, v in self.rows.items()}


class Rules:
    """`acl`: the first rule that fits."""

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self.rows: list[tuple[Mapping[str, Any], Any]] = []

    def match(self, packet: Packet) -> Any:
        return next((value for fields, value in self.rows if rule_fits(fields, packet)), None)


class Counts:
    """`counter`: adds to each field, modulo 2^64; an index outside counts nowhere."""

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self.rows: dict[int, Any] = {}

    def add(self, index: int, value: Any) -> None:
        if index >= self.spec.size:
            return
        if isinstance(value, Mapping):
            row = self.rows.setdefault(index, dict.fromkeys(value, 0))
            for name, number in value.items():
                row[name] = (row[name] + number) % (1 << 64)
        else:
            self.rows[index] = (self.rows.get(index, 0) + value) % (1 << 64)

    def dump(self) -> dict[Any, Any]:
        return dict(self.rows)


class Histogram:
    """`histogram`: counts by inclusive upper bounds, and one more for what is above."""

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self.counts = [0] * (len(spec.buckets) + 1)

    def record(self, value: int) -> None:
        self.counts[next((i for i, bound in enumerate(self.spec.buckets) if value <= bound), len(self.spec.buckets))] += 1


class Picks:
    """`consistent_hash`: Maglev's table; how it is filled has tests of its own, so the product's filler serves here."""

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self.values: dict[int, Any] = {}  # by number, from 1
        self.entries: dict[int, Any] = {}  # the same in canonical form
        self._slots: Any = None

    def pick(self, hash_: int) -> Any:
        """The entry's value; None when there are none."""
        from ebpfnf.tables import maglev

        if not self.values:
            return None
        if self._slots is None:
            self._slots = maglev.fill({number: maglev.identity(entry) for number, entry in self.entries.items()})
        return self.values[self._slots[hash_ % len(self._slots)]]


class Lines:
    """`automaton`: what its lines mean is the mNF's model's business."""

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self.rows: list[str] = []


_KINDS: dict[str, Any] = {
    "exact": Keyed, "connections": Keyed, "prefix": Prefixes, "acl": Rules, "counter": Counts, "histogram": Histogram,
    "consistent_hash": Picks, "automaton": Lines,
}  # fmt: skip


def make(mnf: Mnf, config: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of one stage, those of the operator filled from its parameters."""
    tables = {}
    for spec in mnf.tables:
        tables[spec.name] = table = _KINDS[spec.kind](spec)
        if spec.entries:
            _fill(table, spec, config[spec.entries] or ())
    return tables


def _fill(table: Any, spec: TableSpec, items: Any) -> None:
    for place, item in enumerate(items):
        if spec.kind == "acl":
            table.rows.append((item["match"], {"action": item["action"], "class": item["class"]}))
        elif spec.kind == "automaton":
            table.rows.append(item)
        elif spec.kind == "consistent_hash":
            table.entries[place + 1] = {name: place + 1 if name == "index" else item[name] for name in spec.value}  # type: ignore[union-attr]
            table.values[place + 1] = plain(table.entries[place + 1], spec.value)
        else:
            table.rows[item if spec.kind == "prefix" else plain(item, spec.key)] = place
