"""Which kernel map stands behind a table. Bodies and operators see the table only, so this may change."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import struct
from typing import Any

from ebpfnf.errors import TableError
from ebpfnf.model import MapSpec, Scope, Table
from ebpfnf.names import pin_name
from ebpfnf.tables import acl, maglev
from ebpfnf.tables.automaton import blob as automaton
from ebpfnf.tables.automaton.grammar import Line
from ebpfnf.tables.direct import sets, shape
from ebpfnf.tables.direct.place import MMAPABLE
from ebpfnf.tables.direct.rules import LARGEST as LARGEST_DIRECT_ACL
from ebpfnf.tables.types import Record, Type, ip_bytes, ip_text, type_of

NO_PREALLOC = 1  # BPF_F_NO_PREALLOC, which LPM tries demand
SMALLEST_ACL = 64
LARGEST_ACL = 4096  # records in a kernel map: the verifier walks through all of them
_ROOM = 16  # records that may be added live before a deploy must make the table larger
_FORM = 5  # of what an operator fills: goes up when the same entries become other bytes, since a generation takes over the last one's
STATS = ("created", "full", "deleted")
KINDS = ("exact", "prefix", "acl", "connections", "counter", "histogram", "consistent_hash", "automaton")

_PREFIX_HEAD = 32  # bits of the family, before the address in an LPM key
_PREFIX_KEY = 24


def key_type(table: Table) -> Type:
    """The type of the table's keys, as `table get` and the like take them."""
    if table.kind in ("acl", "counter", "histogram", "consistent_hash", "automaton"):
        return type_of("u32")
    return _type(table, {"prefix": "prefix", "connections": "flow"}.get(table.kind, table.key), "key")


def value_type(table: Table) -> Type:
    """The type of the table's values."""
    if table.kind == "automaton":
        return Line()
    return type_of("u64") if table.kind == "histogram" else _type(table, table.value, "value")


def has_stats(table: Table) -> bool:
    """Whether packets create entries, so that it is counted how many: evicted = created - deleted - those there."""
    return table.filled_by == "packets" and table.kind in ("exact", "connections")


def stats_map_name(table: Table) -> str:
    """The name of the map that counts what packets created, could not create, and deleted."""
    return table.map + "_stats"


def kernel_maps(table: Table) -> tuple[MapSpec, ...]:
    """The table's map, and behind it the map of its statistics where it has one."""
    if not has_stats(table):
        return (kernel_map(table),)
    # Entry 0 is written by packets, entry 1 by whoever holds the deployment's lock.
    return kernel_map(table), _spec(table, "percpu_array", 4, 8 * len(STATS), 2, suffix="_stats")


def kernel_map(table: Table) -> MapSpec:
    """The map behind the table. TableError when the table can't be."""
    if not 1 <= table.size <= 1 << 24 and table.kind != "histogram":
        raise TableError(f"table '{table.name}': size from 1 to {1 << 24}")
    evict = table.filled_by == "packets" and table.when_full == "evict"
    value = value_type(table)
    if table.backing == "direct":
        return _direct(table, value)
    match table.kind:
        case "exact" | "connections":
            return _spec(table, "lru_hash" if evict else "hash", key_type(table).size, value.size, table.size)
        case "prefix":
            return _spec(table, "lpm_trie", _PREFIX_KEY, value.size, table.size, flags=NO_PREALLOC)
        case "counter":
            _check_counter(table, value)
            return _spec(table, "array" if table.scope == "host" else "percpu_array", 4, value.size, table.size)
        case "histogram":
            _check_counter(table, value)
            return _spec(table, "array" if table.scope == "host" else "percpu_array", 4, 8, len(table.buckets) + 1)
        case "acl" | "consistent_hash" | "automaton":
            inner = MapSpec(table.map + "_blob", "array", 4, blob_size(table, capacity(table)), 1)
            return _spec(table, "array_of_maps", 4, 4, 1, inner=inner)
    raise TableError(f"table '{table.name}': kind '{table.kind}' is none of " + ", ".join(KINDS))


def _direct(table: Table, value: Type) -> MapSpec:
    """One array value that programs point into and that the agent maps."""
    if table.kind in ("counter", "histogram"):
        _check_counter(table, value)
        return _spec(table, "array", 4, shape.slot(table, value), 1, flags=MMAPABLE, per_cpu_slots=table.scope != "host")
    shared = table.filled_by == "packets"
    size = sets.map_size(table, key_type(table).size, value.size) if shared else shape.map_size(table, value)
    return _spec(table, "array", 4, size, 1, flags=MMAPABLE)


def _check_counter(table: Table, value: Type) -> None:
    kinds = [kind for _, kind in value.fields] if isinstance(value, Record) else [value]
    if any(kind.spelling != "u64" for kind in kinds):
        raise TableError(f"table '{table.name}': a counter counts in u64, or in records of u64")
    if table.kind == "histogram":
        rising = list(table.buckets) == sorted(set(table.buckets))
        if not 1 <= len(table.buckets) <= 64 or not rising or not 0 <= table.buckets[0] <= table.buckets[-1] < 1 << 63:
            raise TableError(f"table '{table.name}': buckets: 1 to 64 rising upper bounds")


def capacity(table: Table) -> int:
    """How many records (acl), states (automaton) or entries the blob holds: as many as its entries need, with room for live changes."""
    if table.kind == "automaton":
        try:
            return automaton.states_of({int(number): text for number, text in table.entries})
        except TableError as error:
            raise TableError(f"table '{table.name}': {error.what}", cure=error.cure) from None
    if table.kind != "acl":
        if table.size > 4096:
            raise TableError(f"table '{table.name}': size {table.size}, at most 4096 entries share a connection table")
        return table.size
    if table.size > LARGEST_DIRECT_ACL:
        cure = "use prefix or exact for long lists"
        raise TableError(f"table '{table.name}': size {table.size}, at most {LARGEST_DIRECT_ACL} records", cure=cure)
    if table.backing == "direct":
        return shape.small_records(table)
    rules, form = [acl_rule(value)[0] for _, value in table.entries], shape.acl_layout(table)
    try:
        records = sum(acl.combinations(form, acl.compile_rule(form, place, rule)) for place, rule in enumerate(rules, 1))
    except TableError as error:
        raise TableError(f"table '{table.name}': {error.what}", cure=error.cure) from None
    holds = min(table.size, LARGEST_ACL)
    if records > holds:
        cure = "use prefixes for lists, or raise the table's size" if holds == table.size else "'tables: auto' takes more"
        raise TableError(f"table '{table.name}': its {len(rules)} rules became {records} records, it holds {holds}", cure=cure)
    return min(holds, max(SMALLEST_ACL, 1 << (records + _ROOM - 1).bit_length()))


def capacity_of(table: Table, size: int) -> int:
    """The capacity of a live blob of `size` bytes."""
    for step in (table.size, *(SMALLEST_ACL << i for i in range(8))):
        if blob_size(table, step) == size:
            return step
    raise TableError(f"table '{table.name}' has another layout than its map", cure="deploy again")


def blob_size(table: Table, entries: int) -> int:
    """Bytes of a table that is one value."""
    if table.kind == "acl":
        return shape.acl_layout(table).blob_size(entries, value_type(table))
    if table.kind == "automaton":
        return automaton.blob_size(entries)
    return maglev.blob_size(entries, value_type(table))


def acl_rule(value: Any) -> tuple[acl.Rule, dict[str, Any]]:
    """An acl's entry {"match": {...}, "require", "exclude", value fields} as its rule, and the rest: the value's fields."""
    if not isinstance(value, dict) or not isinstance(value.get("match"), dict):
        raise TableError('a rule such as {"match": {"ip.src": ["192.0.2.0/24"]}, "action": "deny", "class": 0}')
    match = {str(name): wanted if isinstance(wanted, list | tuple) else [wanted] for name, wanted in value["match"].items()}
    rest = {name: content for name, content in value.items() if name not in ("match", "require", "exclude")}
    bits = [value.get(name, 0) for name in ("require", "exclude")]
    if not all(isinstance(b, int) and 0 <= b <= 0xFFFF for b in bits):
        raise TableError("'require' and 'exclude' of a rule: presence bits, 0 to 65535")
    return acl.Rule(match, bits[0], bits[1]), rest


def encode_key(table: Table, key: Any) -> bytes:
    """A canonical key as the map has it. For prefixes the family stands before the address: ::/0 takes no IPv4 address."""
    if table.kind != "prefix":
        return key_type(table).encode(key)
    network = ipaddress.ip_network(key)
    length = network.prefixlen + _PREFIX_HEAD + (96 if network.version == 4 else 0)
    return struct.pack("=II", length, network.version) + ip_bytes(str(network.network_address))


def decode_key(table: Table, data: bytes) -> Any:
    """The canonical key of a map's key."""
    if table.kind != "prefix":
        return key_type(table).decode(data)
    length, version = struct.unpack_from("=II", data)
    length -= _PREFIX_HEAD + (96 if version == 4 else 0)
    return f"{ip_text(data[8:])}/{length}"


def layout_digest(table: Table) -> str:
    """Tables of one digest can share a kernel map: 8 hex digits over all that makes the map and its contents' meaning."""
    types = [table.kind, _ordered(table.key), _ordered(table.value)]
    what = [*types, table.size, table.filled_by, table.scope, table.when_full, table.buckets]
    what += [table.backing] if table.backing != "kernel" else []
    what += [_FORM] if table.filled_by == "operator" else []
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:8]


def _spec(
    table: Table, kind: str, key: int, value: int, entries: int, *, flags: int = 0, inner: MapSpec | None = None, suffix: str = "",
    per_cpu_slots: bool = False,
) -> MapSpec:  # fmt: skip
    kept = table.keep and table.filled_by == "packets"
    pin = pin_name(table.name) + suffix + (f"-v{layout_digest(table)}" if kept else "")
    scope = Scope.STATE if kept else Scope.GENERATION
    return MapSpec(table.map + suffix, kind, key, value, entries, scope, flags, per_cpu_slots, inner=inner, pin=pin)


def _type(table: Table, spelling: Any, what: str) -> Type:
    try:
        return type_of(spelling)
    except (ValueError, TypeError) as error:
        raise TableError(f"table '{table.name}': its {what}: wanted {error}") from None


def _ordered(spelling: Any) -> Any:
    return list(spelling.items()) if hasattr(spelling, "items") else spelling
