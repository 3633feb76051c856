"""mnf.yaml: what an mNF reads, writes, answers and owns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ebpfnf import names
from ebpfnf.model import Mnf, ParamSpec
from ebpfnf.spec import shape, state, values, yaml
from ebpfnf.spec.fields import BUILT_IN, fields
from ebpfnf.spec.files import MnfFile
from ebpfnf.spec.problems import Problems, meant, quote
from ebpfnf.spec.yaml import Node
from ebpfnf.tables.types import SCALARS

MAX_BODY = 1 << 16
MAX_SCRATCH = 8192
# What every stage in VMs can be told besides its own parameters.
VM_PARAMS = (
    ParamSpec("instances", "u8", 1, False, "how many VMs share the stage's flows, at most 8 with those that stand by"),
    ParamSpec("standby", "u8", 0, False, "how many VMs more wait, paused, for one that fails or for a larger `instances`"),
    ParamSpec("linger", "duration", 60 * 10**9, False, "a VM too many stays until each flow that it knows has been quiet for so long"),
    ParamSpec("on_failure", "enum[bypass,drop]", "drop", False, "what becomes of packets while no VM serves"),
)
_BESIDES = {"now": "the clock", "fib_lookup": "the kernel's routes"}
_FIELD_TYPES = [name for name in SCALARS if name not in ("prefix", "flow")]


def read(folder: Path, problems: Problems) -> Mnf | None:
    """The mNF in a folder, or None with the reasons in `problems`."""
    before = problems.count()
    tree = yaml.load(folder / "mnf.yaml", problems)
    checked = shape.check(MnfFile, tree, problems) if tree else None
    if checked is None:
        return None
    file, node = checked
    if file.mnf != folder.name:
        problems.add(f"mnf {quote(file.mnf)}", node.at("mnf"), f"wanted the folder's name, '{folder.name}'")
    _check_body(folder, node, problems)
    _check_place(file, node, problems)

    metadata = _members("metadata", node, problems)
    scratch = _members("scratch", node, problems, arrays=True)
    _check_fields(file.mnf, metadata, node, problems, guest=file.runs_in != "xdp")
    _check_verdicts(file, node, problems)
    params = read_params(node, problems, state.rule_keys_by_param(file), reserved="mnf vnf when", guest=file.runs_in != "xdp")
    brought = _brought(folder, node, problems)
    if file.runs_in != "xdp":
        params = _with_what_it_brings(params, brought)
    tables = state.read(file, node, {param.name: param.type for param in params}, problems)
    if problems.count() > before:
        return None
    return Mnf(
        name=file.mnf,
        folder=str(folder),
        summary=file.summary,
        reads=frozenset(file.reads),
        writes=frozenset(file.writes),
        reads_when={k: frozenset(v) for k, v in (("forward", file.reads_when.forward), ("reverse", file.reads_when.reverse)) if v},
        verdicts=tuple(file.verdicts),
        outcomes={name: outcome.default for name, outcome in file.outcomes.items()},
        params=params,
        tables=tables,
        reasons={**(brought.reasons if brought else {}), **file.reasons},  # in this order guests number them
        metadata=metadata,
        scratch=scratch,
        runs_in=file.runs_in,
        where=node.where,
        writes_always=frozenset(file.writes_always),
        asks=_asks(folder),
    )


def read_params(
    node: Node, problems: Problems, keys: dict[str, frozenset[str]], reserved: str, *, guest: bool = True
) -> tuple[ParamSpec, ...]:
    """`params:` of a manifest or template. `keys`: what the rules of a parameter may match; `reserved`: names that are taken.

    `guest`: text may be among them.
    """
    params = []
    section = node.get("params")
    for name, entry in section.items() if section else ():
        if name in reserved.split():
            problems.add(f"a parameter can't be called '{name}'", node.key_at("params", name), "the key has a meaning of its own")
        try:
            kind = values.spelling(entry.value["type"].plain())
        except ValueError as error:
            problems.add(f"type {quote(entry.value['type'].plain())}", entry.at("type"), str(error))
            continue
        if kind == "list[text]" and not guest:
            problems.add(f"type {quote(kind)} of an mNF in XDP", entry.at("type"), "an mNF in a VM can read text")
        given = entry.value.get("default")
        if given is not None and kind == "list[line]":
            given = borrowed(name, given, problems)
        default = values.read("default", kind, given, problems, keys.get(name)) if given else None
        doc = entry.value["doc"].plain() if "doc" in entry.value else ""
        params.append(ParamSpec(name, kind, default, given is None, doc, node.key_at("params", name)))
    return tuple(params)


def borrowed(name: str, given: Node, problems: Problems) -> Node:
    """The default itself, or where it is the name of an mNF in XDP, that one's default of the same parameter."""
    if not isinstance(given.value, str) or not names.is_snake(given.value):
        return given
    tree = yaml.load(BUILT_IN / "progs" / given.value / "mnf.yaml", problems)
    found = tree.get("params", name, "default") if tree else None
    return found or given


def _brought(folder: Path, node: Node, problems: Problems) -> Mnf | None:
    """The mNF whose streams this one reads: it stands before it in the image."""
    after = found.plain() if (found := node.get("image", "after")) else ""
    brought = read(folder.parent / str(after), problems) if names.is_snake(after) else None
    for name in brought.reasons if brought else ():
        if own := node.get("reasons", name):
            problems.add(f"{quote(name)} is a reason of '{after}' too", own.where, "counters tell them apart by name")
    return brought


def _with_what_it_brings(own: tuple[ParamSpec, ...], brought: Mnf | None) -> tuple[ParamSpec, ...]:
    """The parameters of a stage in VMs: the mNF's, those of the mNF whose streams it reads, and what is said of the VMs."""
    params = {param.name: param for param in (*(brought.params if brought else ()), *own, *VM_PARAMS)}
    return tuple(params[name] for name in dict.fromkeys([*(p.name for p in own), *params]))


def _check_body(folder: Path, node: Node, problems: Problems) -> None:
    body = folder / "mnf.c"
    if not body.is_file():
        problems.add("no body 'mnf.c' beside the manifest", node.where)
    elif not body.resolve().is_relative_to(folder.resolve()):
        problems.add("body 'mnf.c' is a symbolic link out of the folder", node.where, "copy the file")
    elif body.stat().st_size > MAX_BODY:
        problems.add("body 'mnf.c' is too big", node.where, f"at most {MAX_BODY} bytes")


def _asks(folder: Path) -> str:
    """What the body looks at besides packet and tables. By its words, those of comments too: a cache less is no fault, one too many is."""
    words = set(re.findall(r"\w+", (folder / "mnf.c").read_text(errors="replace")))
    return next((what for word, what in _BESIDES.items() if word in words), "")


def _check_place(file: MnfFile, node: Node, problems: Problems) -> None:
    """What is declared for an mNF in XDP or one in a VM only."""
    given = {"counters": bool(file.counters), "image": file.image is not None}
    if file.runs_in != "xdp":
        given = {"outcomes": bool(file.outcomes), "state": bool(file.state), "metadata": bool(file.metadata), "scratch": bool(file.scratch)}
        if not set(file.verdicts) <= {"NEXT", "DROP"}:
            problems.add("a verdict that a VM can't give", node.at("verdicts"), "NEXT and DROP are wanted")
    for key in (key for key, there in given.items() if there):
        problems.add(f"'{key}' where 'runs_in' is '{file.runs_in}'", node.key_at(key), "leave it out")


def _members(section: str, node: Node, problems: Problems, arrays: bool = False) -> dict[str, str]:
    """Fields of a struct: name -> type, with [n] behind the type where arrays may be."""
    result, size = {}, 0
    for name, entry in node.value[section].items() if section in node.value else ():
        kind, count = entry.plain(), 1
        match = re.fullmatch(r"([a-z0-9]+)\[([1-9][0-9]{0,3})\]", kind) if arrays else None
        if match:
            kind, count = match[1], int(match[2])
        if name in names.C_WORDS:
            problems.add(f"{quote(name)} is a word of C", node.key_at(section, name), "choose another name")
        if kind not in _FIELD_TYPES:
            problems.add(f"type {quote(entry.plain())}", entry.where, meant(kind, _FIELD_TYPES, "types"))
            continue
        size += SCALARS[kind].size * count
        result[name] = entry.plain()
    if size > MAX_SCRATCH:
        problems.add(f"{section} of {size} bytes", node.key_at(section), f"at most {MAX_SCRATCH}")
    return result


def _check_fields(mnf: str, own: Iterable[str], node: Node, problems: Problems, *, guest: bool) -> None:
    """What is read exists; what is written may be written."""
    header, metadata = fields().header, fields().metadata
    mine = [f"m.{mnf}.{name}" for name in own]
    known = [*header, *(f"m.{name}" for name in metadata), *mine]
    lists: list[tuple[Any, ...]] = [("reads",), ("writes",), ("reads_when", "forward"), ("reads_when", "reverse")]
    for path in lists:
        for item in found.value if (found := node.get(*path)) else ():
            name = item.plain()
            foreign = re.fullmatch(r"m\.([a-z0-9_]+)\.[a-z0-9_]+", name)
            if name not in known and not (foreign and foreign[1] != mnf and path != ("writes",)):
                problems.add(f"no field {quote(name)}", item.where, meant(name, known, "fields"))
            elif path == ("writes",) and name in header and not header[name].write and not guest:
                problems.add(f"{name} can't be written", item.where, "writable: " + ", ".join(n for n, f in header.items() if f.write))
            elif path == ("writes",) and name.startswith("m.") and name[2:] in metadata and metadata[name[2:]].by_parse:
                problems.add(f"{name} can't be written", item.where, "the parser alone writes it")
    written = [item.plain() for item in found.value] if (found := node.get("writes")) else []
    for item in found.value if (found := node.get("writes_always")) else ():
        if item.plain() not in written:
            problems.add(f"{quote(item.plain())} is always written", item.where, "then 'writes:' names it too")


def _check_verdicts(file: MnfFile, node: Node, problems: Problems) -> None:
    if "DROP" in file.verdicts and not file.reasons:
        problems.add("DROP without reasons", node.at("verdicts"), "name each cause under 'reasons:'")
    if file.reasons and "DROP" not in file.verdicts:
        problems.add("reasons without DROP", node.key_at("reasons"), "add DROP to 'verdicts:'")
    if len(set(file.verdicts)) != len(file.verdicts):
        problems.add("a verdict twice", node.at("verdicts"))
    for name in file.outcomes.keys() & file.reasons.keys():
        problems.add(f"{quote(name)} is an outcome and a reason", node.key_at("outcomes", name), "counters tell them apart by name")
