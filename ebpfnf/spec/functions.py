"""`functions:` of chain.yaml: what is not made of mNFs, and stands behind ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ebpfnf import bundle, names
from ebpfnf.model import Function, Image
from ebpfnf.spec.files import ChainFile, FunctionShape, ImageShape
from ebpfnf.spec.problems import Problems, meant, quote
from ebpfnf.spec.yaml import Node
from ebpfnf.tables.types import type_of

_MEMORY, _VCPUS = (16, 65536), (1, 64)  # of a machine: MiB, processors


def read(file: ChainFile, node: Node, ports: list[str], problems: Problems) -> tuple[Function, ...]:
    """The functions, whose shape is checked; what is wrong goes to `problems`."""
    taken: dict[str, str] = {}
    result = []
    for name, shape in file.functions.items():
        item, where = node.value["functions"].value[name], node.key_at("functions", name)
        if name in names.RESERVED_INSTANCES:
            problems.add(f"a function can't be called '{name}'", where, "the framework calls things of its own so")
        if name in file.vnfs:
            problems.add(f"'{name}' is a vnf already", where, "both have counters of that name")
        _ports(name, shape, item, ports, taken, problems)
        macs = tuple(_macs(shape, item, problems))
        image = _image(shape.image, item.value["image"], Path(node.where.file).resolve().parent, problems) if shape.image else None
        result.append(Function(name, tuple(shape.attached), shape.on_failure, macs, image, where))
    found = tuple(result)
    _rounds(file, node, found, problems)
    return found


def _ports(name: str, shape: FunctionShape, item: Node, ports: list[str], taken: dict[str, str], problems: Problems) -> None:
    if not 1 <= len(shape.attached) <= 2:
        problems.add(f"attached: {len(shape.attached)} ports", item.at("attached"), "wanted one, or one for each side")
    for k, port in enumerate(shape.attached):
        if port not in ports:
            problems.add(f"no port {quote(port)}", item.at("attached", k), meant(port, ports, "ports"))
        elif port in taken:
            problems.add(f"port '{port}' leads to '{taken[port]}' already", item.at("attached", k), "a port leads to one function")
        taken.setdefault(port, name)


def _macs(shape: FunctionShape, item: Node, problems: Problems) -> Iterator[str]:
    if shape.macs and len(shape.macs) != len(shape.attached):
        problems.add(f"{len(shape.macs)} macs for {len(shape.attached)} ports", item.at("macs"), "wanted one for each port, or none")
    for k, text in enumerate(shape.macs):
        try:
            yield type_of("mac").parse(text)
        except ValueError as error:
            problems.add(f"mac {quote(text)}", item.at("macs", k), f"wanted {error}")


def _image(shape: ImageShape, item: Node, beside: Path, problems: Problems) -> Image | None:
    if not shape.kernel and not shape.disk:
        problems.add("an image without anything to boot", item.where, "wanted 'kernel:' (with 'initrd:'), or 'disk:'")
    for key in ("initrd", "arguments"):
        if key in item.value and not shape.kernel:
            problems.add(f"'{key}' without 'kernel'", item.key_at(key), "a disk boots what is on it")
    for key, (least, most) in (("memory", _MEMORY), ("vcpus", _VCPUS)):
        if not least <= getattr(shape, key) <= most:
            problems.add(f"{key} {getattr(shape, key)}", item.at(key), f"wanted {least} to {most}" + (" (MiB)" if key == "memory" else ""))
    about: dict[str, Any] = {key: value for key, value in shape.model_dump().items() if value is not None}
    sums = []
    for key in ("kernel", "initrd", "disk"):
        if key in about:
            about[key] = str((beside / about[key]).resolve())
            try:
                sums.append(bundle.sum_of(about[key]))
            except OSError as error:
                words = (error.strerror or "can't be read").lower()
                problems.add(f"{key} {quote(item.value[key].plain())}: {words}", item.at(key), "a file, its path relative to this one")
    return Image(**about, sums=tuple(sums))


def _rounds(file: ChainFile, node: Node, found: tuple[Function, ...], problems: Problems) -> None:
    """What a function gives back must not be handed to it again, and what is led past it has no way back into it."""
    by_port = {port: function for function in found for port in function.ports if 1 <= len(function.ports) <= 2}
    by_name = {function.name: function for function in found if function.ports}
    for name, chain in file.chains.items():
        item = node.value["chains"].value[name]
        for place in _texts(item.value["path"]):
            if inside := by_name.get(place.value):
                cure = f"end this chain with {{out: {inside.ports[0]}}}, and begin another on {inside.back(inside.ports[0])}"
                problems.add(f"'{inside.name}' is a function, and in no path: what it gives back is another packet", place.where, cure)
        function, to = by_port.get(chain.on), chain.then.removeprefix("out:")
        if function and to in function.ports and function.back(to) == chain.on:
            problems.add(
                f"chain '{name}' hands what '{function.name}' gave back to it again", item.at("then"), "it would go round for ever"
            )
        elif function and chain.then == "reflect" and function.on_failure == "bypass":
            words = f"chain '{name}' sends back into '{function.name}' what may have been led past it"
            problems.add(words, item.at("then"), "write 'on_failure: drop', or another end")


def _texts(node: Node) -> Iterator[Node]:
    """Every text in a path, those of classes too."""
    if isinstance(node.value, str):
        yield node
    for each in node.value.values() if node.is_map else node.value if node.is_list else ():
        yield from _texts(each)
