"""mnf.yaml of an mNF that runs in a unikernel."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from ebpfnf.errors import SpecError
from ebpfnf.model import ParamSpec
from ebpfnf.spec import shape, yaml
from ebpfnf.spec.files import Line, ParamShape, Snake
from ebpfnf.spec.manifest import borrowed
from ebpfnf.spec.problems import Problems, quote
from ebpfnf.tables.automaton import blob
from ebpfnf.tables.automaton.lexer import WIDTH
from ebpfnf.tables.placed import Text
from ebpfnf.tables.types import SCALARS, Duration, Enumeration, Integer, type_of

TEXT = "list[text]"
PREFIXES = "list[prefix]"
LINES = "list[line]"  # of an automaton, which travels compiled; as default an mNF of XDP, whose own default it is
LISTS = (TEXT, PREFIXES, LINES)


class ImageShape(shape.Shape):
    """How the mNF becomes part of an image."""

    uses: list[Snake] = []  # noqa: RUF012 -- pydantic copies it
    libraries: list[Literal["z", "lz4"]] = []  # noqa: RUF012
    after: Snake | None = None


class UnikernelFile(shape.Shape):
    """mnf.yaml, where `runs_in: unikernel`."""

    mnf: Snake
    summary: Line
    runs_in: Literal["unikernel"]
    reads: list[str] = []  # noqa: RUF012
    writes: list[str] = []  # noqa: RUF012
    verdicts: list[Literal["NEXT", "DROP"]]
    params: dict[Snake, ParamShape] = {}  # noqa: RUF012
    reasons: dict[Snake, Line] = {}  # noqa: RUF012
    counters: dict[Snake, Line] = {}  # noqa: RUF012
    image: ImageShape = ImageShape()


@dataclass(frozen=True, slots=True)
class Unikernel:
    """An mNF that runs in a unikernel."""

    name: str
    folder: Path
    summary: str
    params: tuple[ParamSpec, ...]  # scalars of u8..u64, bool, duration, enum; list[text], list[prefix]
    reasons: Mapping[str, str]
    counters: Mapping[str, str]
    uses: tuple[str, ...]  # folders beside it that it is built with
    libraries: tuple[str, ...]  # of the system, linked statically
    after: str  # an mNF that must come before it in an image: what it takes is what that one makes; it sees no packets


def read(folder: Path) -> Unikernel:
    """The mNF in a folder; SpecErrors with all that is wrong."""
    problems = Problems()
    tree = yaml.load(folder / "mnf.yaml", problems)
    checked = shape.check(UnikernelFile, tree, problems) if tree else None
    problems.raise_any()
    assert checked is not None
    file, node = checked
    if file.mnf != folder.name:
        problems.add(f"mnf {quote(file.mnf)}", node.at("mnf"), f"wanted the folder's name, '{folder.name}'")
    params = []
    for name, entry in file.params.items():
        try:
            kind = spelling(entry.type)
            found = node.get("params", name, "default")
            given = found is not None
            default = canonical(kind, (borrowed(name, found, problems) if kind == LINES else found).plain()) if found else None
        except ValueError as error:
            problems.add(f"parameter {quote(name)}", node.at("params", name), f"wanted {error}")
            continue
        params.append(ParamSpec(name, kind, default, not given, entry.doc, node.key_at("params", name)))
    problems.raise_any()
    return Unikernel(
        name=file.mnf,
        folder=folder,
        summary=file.summary,
        params=tuple(params),
        reasons=file.reasons,
        counters=file.counters,
        uses=tuple(file.image.uses),
        libraries=tuple(file.image.libraries),
        after=file.image.after or "",
    )


def spelling(text: str) -> str:
    """A parameter's type in its normal spelling; ValueError says what was wanted."""
    if text in LISTS:
        return text
    if text == "port":
        return "u16"  # a guest has the number
    kind = type_of(text)
    if kind.spelling == "bool" or isinstance(kind, Enumeration | Duration) or (isinstance(kind, Integer) and not kind.big):
        return kind.spelling
    raise ValueError("a type: u8, u16, u32, u64, bool, duration, port, enum[...] or " + ", ".join(LISTS))


def canonical(kind: str, value: Any) -> Any:
    """A value as it is kept; ValueError says what was wanted."""
    if kind not in LISTS:
        return type_of(kind).parse(value)
    if not isinstance(value, list):
        raise ValueError("a list")
    if kind == PREFIXES:
        return [SCALARS["prefix"].parse(item) for item in value]
    return [Text().parse(item) for item in value]


def config(mnfs: tuple[Unikernel, ...], given: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The configuration of an image: text, a line `<mnf>.<param> <value>` for each scalar and for each item of a list."""
    lines: list[bytes] = []
    known = {mnf.name for mnf in mnfs}
    for name in given.keys() - known:
        raise SpecError(f"configuration for {quote(name)}, which is not in the image", cure="it holds " + ", ".join(sorted(known)))
    for mnf in mnfs:
        values = given.get(mnf.name, {})
        for name in values.keys() - {param.name for param in mnf.params}:
            raise SpecError(f"mnf '{mnf.name}': no parameter {quote(name)}", cure="it has " + ", ".join(p.name for p in mnf.params))
        for param in mnf.params:
            if param.name not in values and param.required:
                raise SpecError(f"mnf '{mnf.name}': parameter '{param.name}' is missing", param.where)
            try:
                value = canonical(param.type, values[param.name]) if param.name in values else param.default
            except ValueError as error:
                raise SpecError(f"mnf '{mnf.name}': {param.name} {quote(values[param.name])}", cure=f"wanted {error}") from None
            lines += [f"{mnf.name}.{param.name} ".encode() + item for item in _items(param.type, value)]
    return b"".join(line + b"\n" for line in lines)


def _items(kind: str, value: Any) -> list[bytes]:
    """What stands behind a parameter's name, once for each line."""
    if kind == TEXT:
        return [str(item).encode() for item in value]
    if kind == PREFIXES:
        return [_prefix(str(item)).encode() for item in value]
    if kind == LINES:
        return _machine(value)
    return [str(int(value) if kind == "bool" else value).encode()]


def _machine(lines: list[str]) -> list[bytes]:
    """An automaton (tables/automaton/blob.py) as a guest reads it: its number of states, then its tables reader, lexer and grammar.

    A table is runs of entries in hex, `value` or `value*times`; those of lexer and grammar go by columns, since these repeat themselves.
    """
    numbered = dict(enumerate(lines, 1))
    states = blob.states_of(numbered)
    data = blob.encode_blob(states, numbered)
    reader, lexer, columns = 256 * blob.READER_ROWS, states * WIDTH, range(WIDTH)
    tables = (
        struct.unpack_from(f"={reader}H", data),
        struct.unpack_from(f"={lexer}I", data, 2 * reader),
        struct.unpack_from(f"={lexer}H", data, 2 * reader + 4 * lexer),
    )
    ordered = [tables[0], *([value for column in columns for value in table[column::WIDTH]] for table in tables[1:])]
    return [str(states).encode(), *(_runs(table) for table in ordered)]


def _runs(values: Iterable[int]) -> bytes:
    runs = ((value, len(list(same))) for value, same in groupby(values))
    return " ".join(f"{value:x}*{times:x}" if times > 1 else f"{value:x}" for value, times in runs).encode()


def _prefix(text: str) -> str:
    """A prefix as a guest reads it: 32 hex digits, '/', bits; IPv4 lies in ::ffff:0:0/96."""
    import ipaddress

    network = ipaddress.ip_network(text)
    mapped = network.version == 4
    packed = (b"\0" * 10 + b"\xff\xff" if mapped else b"") + network.network_address.packed
    return f"{packed.hex()}/{network.prefixlen + (96 if mapped else 0)}"
