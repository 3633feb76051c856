"""Drawings of a chain before and after: boxes in a row, lines between them. No library, no layout but columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

_WIDTH, _HEIGHT, _GAP, _PAD = 128, 44, 36, 24
_COLOURS = ("#dbeafe", "#dcfce7", "#fef3c7", "#fce7f3", "#ede9fe", "#cffafe", "#ffedd5", "#e2e8f0")
_GREY = "#f4f4f5"
Box = tuple[int, int, str, str, str]  # column, row, first line, second line, colour
Line = tuple[str, str, str]  # from, to (keys of boxes), label


def write(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """`<chain>-before.svg` and `<chain>-after.svg` for each chain; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for chain in found["chains"]:
        for when, picture in (("before", _before(chain)), ("after", _after(chain))):
            paths.append(folder / f"{chain['name']}-{when}.svg")
            paths[-1].write_text(picture)
    return paths


def _colours(chain: Mapping[str, Any]) -> dict[str, str]:
    return {vnf["instance"]: _COLOURS[k % len(_COLOURS)] for k, vnf in enumerate(chain["before"]["vnfs"])}


def _before(chain: Mapping[str, Any]) -> str:
    """A row for each VNF, as if it stood alone."""
    boxes: dict[str, Box] = {}
    lines: list[Line] = []
    colours, last = _colours(chain), ""
    for row, vnf in enumerate(chain["before"]["vnfs"]):
        head, tail = ([f"{row} {name}" for name in vnf[end]] for end in ("head", "tail"))
        blocks = {str(block["index"]): block for block in vnf["blocks"]}
        for column, key in enumerate([*head, *blocks, *tail]):
            if key in blocks:
                boxes[key] = column, row, blocks[key]["node"], blocks[key]["mnf"], colours[vnf["instance"]]
            else:
                boxes[key] = column, row, key.partition(" ")[2], vnf["instance"] if key in head[:1] else "", _GREY
        lines += [(last, head[0], "")] if last else []
        lines += _lines(head, list(blocks), tail, chain["links"]["before"])
        last = tail[-1]
    return _picture(f"{chain['name']} as VNFs: {chain['before']['blocks']} blocks", boxes, lines)


def _after(chain: Mapping[str, Any]) -> str:
    """One row; what has no order stands in one column."""
    head, tail, stages = chain["after"]["head"], chain["after"]["tail"], chain["after"]["stages"]
    boxes: dict[str, Box] = {name: (column, 0, name, "", _GREY) for column, name in enumerate(head)}
    colours = _colours(chain)
    column, row, group = len(head) - 1, 0, -1
    for stage in stages:
        together = stage["group"] >= 0 and stage["group"] == group
        column, row, group = (column, row + 1, group) if together else (column + 1, 0, stage["group"])
        words = ("copy", f"for {stage['stage']}") if stage["copied"] else (stage["stage"], stage["mnf"])
        boxes[str(stage["index"])] = column, row, *words, colours.get(stage["instance"], _GREY)
    boxes |= {name: (column + k, 0, name, "", _GREY) for k, name in enumerate(tail, 1)}
    lines = _lines(head, [str(stage["index"]) for stage in stages], tail, chain["links"]["after"])
    return _picture(f"{chain['name']} as one graph: {chain['after']['blocks']} blocks", boxes, lines)


def _lines(head: Sequence[str], blocks: Sequence[str], tail: Sequence[str], links: Sequence[Sequence[Any]]) -> list[Line]:
    """In at the head, by the links through the blocks, out at the tail."""
    way = [*pairwise([*head, *blocks[:1], *(() if blocks else tail[:1])]), *pairwise(tail)]
    return [*((one, other, "") for one, other in way), *_ways(links, set(blocks), tail[0])]


def _ways(links: Sequence[Sequence[Any]], inside: set[str], out: str) -> list[Line]:
    """Links between these boxes, and out of them; what ends a packet is not drawn."""
    found: dict[tuple[str, str], list[str]] = {}
    for source, outcome, target in links:
        if str(source) in inside and target >= -1:
            found.setdefault((str(source), str(target) if str(target) in inside else out), []).append(outcome)
    return [(one, other, ", ".join(o for o in outcomes if o != "NEXT")) for (one, other), outcomes in found.items()]


def _picture(title: str, boxes: Mapping[str, Box], lines: Sequence[Line]) -> str:
    columns = 1 + max((box[0] for box in boxes.values()), default=1)  # a chain without VNFs has no boxes: a title's width
    rows = 1 + max((box[1] for box in boxes.values()), default=0)
    width, height = columns * (_WIDTH + _GAP) + 2 * _PAD - _GAP, 2 * _PAD + rows * (_HEIGHT + _GAP) + _PAD
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12" text-anchor="middle">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#52525b"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_PAD}" y="{_PAD}" text-anchor="start" font-size="14" font-weight="bold">{escape(title)}</text>',
        *(part for line in lines for part in _line(line, boxes)),
        *(part for box in boxes.values() for part in _box(box)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _at(box: Box) -> tuple[int, int]:
    """The upper left corner."""
    return _PAD + box[0] * (_WIDTH + _GAP), 2 * _PAD + box[1] * (_HEIGHT + _GAP)


def _box(box: Box) -> Iterator[str]:
    x, y = _at(box)
    yield f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{box[4]}" stroke="#52525b"/>'
    middle = x + _WIDTH // 2
    yield f'<text x="{middle}" y="{y + (18 if box[3] else 27)}" font-weight="bold">{escape(box[2])}</text>'
    if box[3]:
        yield f'<text x="{middle}" y="{y + 35}" fill="#52525b">{escape(box[3])}</text>'


def _line(line: Line, boxes: Mapping[str, Box]) -> Iterator[str]:
    one, other = boxes[line[0]], boxes[line[1]]
    (x1, y1), (x2, y2) = _at(one), _at(other)
    if one[0] == other[0]:  # in one column: downwards
        start, end = (x1 + _WIDTH // 2, y1 + _HEIGHT), (x2 + _WIDTH // 2, y2)
        way = f"M{start[0]} {start[1]} L{end[0]} {end[1]}"
    elif other[0] < one[0]:  # to the next row
        start, end = (x1 + _WIDTH // 2, y1 + _HEIGHT), (x2 + _WIDTH // 2, y2)
        level = y2 - _GAP // 2
        way = f"M{start[0]} {start[1]} V{level} H{end[0]} V{end[1]}"
    elif other[0] > one[0] + 1:  # past others: an arc above them
        start, end = (x1 + _WIDTH, y1 + _HEIGHT // 2 - 8), (x2, y2 + _HEIGHT // 2 - 8)
        way = f"M{start[0]} {start[1]} C{start[0] + _GAP} {start[1] - 40} {end[0] - _GAP} {end[1] - 40} {end[0]} {end[1]}"
    else:
        start, end = (x1 + _WIDTH, y1 + _HEIGHT // 2), (x2, y2 + _HEIGHT // 2)
        way = f"M{start[0]} {start[1]} L{end[0]} {end[1]}"
    yield f'<path d="{way}" fill="none" stroke="#52525b" marker-end="url(#tip)"/>'
    if line[2]:
        lift = 34 if other[0] > one[0] + 1 else 6
        yield f'<text x="{(start[0] + end[0]) // 2}" y="{(start[1] + end[1]) // 2 - lift}" fill="#52525b">{escape(line[2])}</text>'
