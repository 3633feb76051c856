"""The checker's own look at what a flow cache shall know: each input of a remembered position is followed back to where it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ebpfnf.model import Fields, Mnf, Remembered

_READ, _CHANGED = 1, 2 | 4  # as in checker.py
_MEMBERS = 32
_PARTS = "m.parts"
_UNSAID = ("ip.version", "m.have")


def unproved(
    told: Remembered,
    fields: Fields,
    uses: Callable[[int], Mapping[str, int]],
    mnf: Callable[[int], Mnf],
    parts: Callable[[str], tuple[str, ...]],
    sources: Mapping[int, frozenset[int]],
    entry: int,
) -> str:
    """Why a packet with the same key could fare otherwise, or an empty string. `sources`: who leads to a position."""
    if len(told.positions) > _MEMBERS:
        return f"more than {_MEMBERS} for one flow"
    key = {part for name in told.key for part in parts(name)}
    missing = [name for name in _UNSAID if not key.issuperset(parts(name))]
    if missing:
        return f"the key lacks '{missing[0]}', which any body may ask for"
    blank = {f"m.{name}" for name, field in fields.metadata.items() if not field.by_parse}
    for index in told.positions:
        own, certain = uses(index), {part for name in mnf(index).writes_always for part in parts(name)}
        if not mnf(index).folder:
            return "where a path parts nothing is remembered"
        if mnf(index).asks:
            return f"it asks {mnf(index).asks}"
        kept = [table.name for table in mnf(index).tables if table.kind in ("counter", "histogram") or table.filled_by != "operator"]
        lasting = kept or sorted(name for name, how in own.items() if how & _CHANGED and not name.startswith("m.") and name != "life")
        if lasting:
            return f"it changes '{lasting[0]}', which no entry does for it"
        for name, how in sorted(own.items()):
            if name in ("life", "wire", "here") or not (how & _READ or (how & _CHANGED and name not in certain)):
                continue
            if not name.startswith("m.") and name.count(".") > 1:
                continue  # a table that is only read
            if why := _loose(name, index, told, key, blank, uses, mnf, sources, entry):
                return why
    return ""


def _loose(
    name: str,
    index: int,
    told: Remembered,
    key: set[str],
    blank: set[str],
    uses: Callable[[int], Mapping[str, int]],
    mnf: Callable[[int], Mnf],
    sources: Mapping[int, frozenset[int]],
    entry: int,
) -> str:
    """What stands in `name` when a packet comes to `index` must be the same for all packets of a key."""
    seen, todo, left_by = {index}, [index], set[int]()
    while todo:
        at = todo.pop()
        if at == entry:
            left_by.add(-1)
            if name not in key and not (name in blank or name.count(".") > 1):
                return f"'{name}' as received is not in the key"
        for source in sources.get(at, ()):
            if uses(source).get(name, 0) & _CHANGED:
                left_by.add(source)
                if source not in told.positions:
                    return f"'{name}' is written by one that is not remembered"
            elif source not in seen:
                seen.add(source)
                todo.append(source)
    return _way(name, index, told, mnf, sources) if len(left_by) > 1 else ""


def _way(name: str, index: int, told: Remembered, mnf: Callable[[int], Mnf], sources: Mapping[int, frozenset[int]]) -> str:
    """Where several may have left what is read, packets of a key must all come to `index` by the same way."""
    before, todo = {index}, [index]
    while todo:
        new = sources.get(todo.pop(), frozenset()) - before
        before |= new
        todo += new
    for fork in sorted(before - {index}):
        if fork in told.positions or sum(fork in sources.get(at, ()) for at in before) < 2:
            continue
        if mnf(fork).folder:
            return f"'{name}' depends on the way, which one decides that is not remembered"
        if _PARTS not in told.key:
            return f"'{name}' depends on the packet's class, which is not in the key"
    return ""
