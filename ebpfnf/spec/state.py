"""`state:` of a manifest: the tables that an mNF owns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ebpfnf import names
from ebpfnf.model import TableSpec
from ebpfnf.spec.fields import rule_keys
from ebpfnf.spec.files import MnfFile, TableShape
from ebpfnf.spec.problems import Problems, listing, meant, quote
from ebpfnf.spec.values import RECORD_FIELDS, item_of
from ebpfnf.spec.yaml import Node
from ebpfnf.tables.types import type_of

MAX_SIZE = 1 << 22
MAX_BUCKETS = 64

# kind -> who may fill it, the keys that must be there, the keys that may be there. `table` may always.
_BY_OPERATOR = ("size", "filled_by", "entries", "scope")
_BY_PACKETS = ("size", "filled_by", "when_full", "keep", "scope")
KINDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "exact": (("operator", "packets"), ("key", "value", "size", "filled_by"), ("key", "value", *_BY_OPERATOR, *_BY_PACKETS)),
    "prefix": (("operator",), ("value", "size"), ("key", "value", *_BY_OPERATOR)),
    "acl": (("operator",), ("key", "value", "size"), ("key", "value", *_BY_OPERATOR)),
    "consistent_hash": (("operator",), ("value", "size"), ("value", *_BY_OPERATOR)),
    "automaton": (("operator",), ("size",), _BY_OPERATOR),
    "connections": (("packets",), ("value", "size", "when_full"), ("key", "value", *_BY_PACKETS)),
    "counter": (("packets",), ("value", "size"), ("value", "size", "filled_by", "keep", "scope")),
    "histogram": (("packets",), ("buckets",), ("buckets", "filled_by", "keep", "scope")),
}
_FIXED_KEY = {"prefix": "prefix", "connections": "flow"}


def rule_keys_by_param(file: MnfFile) -> dict[str, frozenset[str]]:
    """For each parameter whose rules fill acl tables: the match keys that all of these tables have."""
    result: dict[str, frozenset[str]] = {}
    for table in file.state.values():
        if table.table == "acl" and table.entries and isinstance(table.key, list):
            keys = frozenset(key for key in table.key if isinstance(key, str))
            result[table.entries] = result.get(table.entries, keys) & keys
    return result


def read(file: MnfFile, node: Node, params: Mapping[str, str], problems: Problems) -> tuple[TableSpec, ...]:
    """The tables; what is wrong with them goes into `problems`. `params`: parameter -> type."""
    tables = (_table(name, entry, node.value["state"].value[name], params, problems) for name, entry in file.state.items())
    return tuple(table for table in tables if table)


def _table(name: str, entry: TableShape, node: Node, params: Mapping[str, str], problems: Problems) -> TableSpec | None:
    before, what = problems.count(), f"table '{name}'"
    fillers, needed, allowed = KINDS[entry.table]
    for word in needed:
        if word not in node.value:
            problems.add(f"{what}: key '{word}' is missing", node.where, f"a table '{entry.table}' needs {listing(needed)}")
    for word in node.value:
        if word != "table" and word not in allowed:
            takes = listing(dict.fromkeys(allowed))
            problems.add(f"{what}: '{word}' means nothing here", node.keys[word], f"a table '{entry.table}' takes {takes}")
    if problems.count() > before:
        return None

    filled_by = entry.filled_by or fillers[0]
    if filled_by not in fillers:
        problems.add(f"{what}: filled_by '{filled_by}'", node.at("filled_by"), f"a table '{entry.table}' is filled by {fillers[0]} only")
    _check_filling(what, entry, filled_by, node, problems)
    key = _key(what, entry, node, problems)
    value = None if entry.table in ("histogram", "automaton") else _type(f"{what}: value", node.value["value"], problems)
    if problems.count() > before:
        return None
    _check_value(what, entry, value, node, problems)
    if entry.entries:
        _check_entries(what, entry, key, value, params, node, problems)
    buckets = tuple(entry.buckets or ())
    return TableSpec(
        name=name,
        kind=entry.table,
        key=key,
        value="u64" if entry.table == "histogram" else value,
        size=len(buckets) + 1 if buckets else entry.size or 0,
        filled_by=filled_by,
        entries=entry.entries or "",
        scope=entry.scope or ("cpu" if entry.table in ("counter", "histogram") else "host"),
        when_full=entry.when_full or "",
        keep=entry.keep,
        buckets=buckets,
        where=node.where,
    )


def _check_filling(what: str, entry: TableShape, filled_by: str, node: Node, problems: Problems) -> None:
    if entry.table == "exact" and filled_by == "packets" and not entry.when_full:
        problems.add(f"{what}: key 'when_full' is missing", node.where, "evict or refuse, for what packets fill")
    if filled_by == "operator":
        for key in ("when_full", "keep"):
            if key in node.value:
                cure = "the operator's tables are made anew with each generation"
                problems.add(f"{what}: '{key}' means nothing here", node.keys[key], cure)
        if entry.scope == "cpu":
            problems.add(f"{what}: scope 'cpu'", node.at("scope"), "what the operator fills is the host's")
    elif entry.entries:
        problems.add(f"{what}: 'entries' means nothing here", node.keys["entries"], "packets fill this table")
    if entry.size is not None and not 1 <= entry.size <= MAX_SIZE:
        problems.add(f"{what}: size {entry.size}", node.at("size"), f"wanted 1 to {MAX_SIZE}")
    bounds = entry.buckets
    if bounds is not None and not (1 <= len(bounds) <= MAX_BUCKETS and bounds[0] >= 0 and bounds == sorted(set(bounds))):
        problems.add(f"{what}: buckets", node.at("buckets"), f"wanted 1 to {MAX_BUCKETS} inclusive upper bounds, ascending")


def _key(what: str, entry: TableShape, node: Node, problems: Problems) -> str | tuple[str, ...] | dict[str, str] | None:
    given = node.value.get("key")
    fixed = _FIXED_KEY.get(entry.table)
    if fixed or given is None:
        if given and given.plain() != fixed:
            cure = f"the key of a table '{entry.table}' is '{fixed}': leave it out"
            problems.add(f"{what}: key {quote(given.plain())}", given.where, cure)
        return fixed
    if entry.table != "acl":
        return _type(f"{what}: key", given, problems)
    if not given.is_list or not given.value:
        problems.add(f"{what}: key {quote(given.plain())}", given.where, "wanted a list of match keys")
        return None
    for item in given.value:
        name = str(item.plain())
        if name not in rule_keys():
            problems.add(f"{what}: {quote(name)} can't be matched", item.where, meant(name, sorted(rule_keys()), "match keys"))
    return tuple(str(item.plain()) for item in given.value)


def _type(what: str, node: Node, problems: Problems) -> str | dict[str, str] | None:
    """The spelling of a type, or of each field of a record."""
    if not node.is_map:
        return _scalar(what, node, problems)
    if not node.value:
        problems.add(f"{what} has no field", node.where)
    for name in node.value:
        if not names.is_snake(name):
            problems.add(f"{what}: name {quote(name)}", node.keys[name], f"wanted {names.SNAKE_WANTED}")
        elif name in names.C_WORDS:
            problems.add(f"{what}: {quote(name)} is a word of C", node.keys[name], "choose another name")
    return {name: _scalar(f"{what}: {quote(name)}", item, problems) for name, item in node.value.items()}


def _scalar(what: str, node: Node, problems: Problems) -> str:
    if not isinstance(node.value, str):
        problems.add(f"{what} {quote(node.plain())}", node.where, "wanted a type")
        return ""
    try:
        return type_of(node.value).spelling
    except ValueError as error:
        problems.add(f"{what} {quote(node.value)}", node.where, f"wanted {error}")
        return ""


def _check_value(what: str, entry: TableShape, value: Any, node: Node, problems: Problems) -> None:
    kinds = set(value.values()) if isinstance(value, dict) else {value}
    if entry.table == "counter" and kinds != {"u64"}:
        problems.add(f"{what}: value", node.at("value"), "what is counted is u64")
    if entry.table in ("acl", "consistent_hash") and not isinstance(value, dict):
        problems.add(f"{what}: value", node.at("value"), 'wanted a record, such as {action: "enum[allow,deny]", class: u16}')


def _check_entries(what: str, entry: TableShape, key: Any, value: Any, params: Mapping[str, str], node: Node, problems: Problems) -> None:
    """The parameter named by `entries` is a list whose items make keys and values."""
    where, param = node.at("entries"), entry.entries or ""
    if param not in params:
        problems.add(f"{what}: no parameter {quote(param)}", where, meant(param, params, "parameters"))
        return
    item = item_of(params[param])
    if not item:
        problems.add(f"{what}: parameter '{param}' is {params[param]}", where, "wanted a list")
    elif entry.table == "acl" and item not in ("rule", "l2_rule"):
        problems.add(f"{what}: parameter '{param}' is {params[param]}", where, "an acl is filled by list[rule] or list[l2_rule]")
    elif (entry.table == "automaton") != (item == "line"):
        problems.add(f"{what}: parameter '{param}' is {params[param]}", where, "list[line] fills an automaton, and nothing else does")
    elif item == "line":
        pass
    elif item in RECORD_FIELDS:
        _check_record(what, entry, item, key, value, node, problems)
    elif entry.table not in ("exact", "prefix"):
        problems.add(f"{what}: parameter '{param}' is {params[param]}", where, "wanted a list of records, such as list[backend]")
    elif item != key or value != "u32":
        problems.add(f"{what}: a list of {item} fills a table with key {item} and value u32, the place in the list", where)


def _check_record(what: str, entry: TableShape, item: str, key: Any, value: Any, node: Node, problems: Problems) -> None:
    """Key and value fields are fields of the record, of the same type; `index` is the place in the list."""
    fields = RECORD_FIELDS[item]
    if entry.table in ("exact", "prefix") and not isinstance(key, dict):
        problems.add(f"{what}: a list of {item} can't make keys of type {key}", node.at("entries"), "wanted a record as key")
        return
    named = {**(key if isinstance(key, dict) else {}), **(value if isinstance(value, dict) else {})}
    for name, kind in named.items():
        wanted = "u16 or u32" if name == "index" else fields.get(name)
        if wanted is None:
            problems.add(f"{what}: a {item} has no field {quote(name)}", node.at("value", name), meant(name, [*fields, "index"], "fields"))
        elif kind not in wanted.split(" or ") and (name != "port" or kind != "be16"):
            problems.add(f"{what}: field '{name}' is {kind}", node.at("value", name), f"wanted {wanted}")
