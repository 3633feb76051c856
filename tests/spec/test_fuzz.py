"""Whatever a file holds: it loads, or SpecErrors says why. Nothing else ever comes out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ebpfnf import pipeline, spec
from ebpfnf.errors import SpecErrors

ROOT = Path(__file__).parents[2]
SEEDS = [(ROOT / "examples" / name / "chain.yaml").read_text() for name in ("dc-edge", "classes")]
WORDS = [
    "{",
    "}",
    "[",
    "]",
    ": ",
    ", ",
    "\n",
    "  ",
    "- ",
    "'",
    '"',
    "#",
    "|",
    ">",
    "&a ",
    "*a",
    "!!x ",
    "<<: ",
    "%",
    "---",
    "...",
    "? ",
    "\\",
]
WORDS += [
    "ports",
    "vnfs",
    "chains",
    "match",
    "on",
    "then",
    "ip.src",
    "l4.dport",
    "10.0.0.0/8",
    "80",
    "true",
    "~",
    "$x",
    "classes",
    "when",
    "not",
    "1e3",
    "",
    "\x00",
    "é",
]
RELAXED = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12) | st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=12,
)


def attempt(path: Path) -> None:
    try:
        spec.load(path)
    except SpecErrors as error:
        assert error.errors and all(e.where and e.where.file for e in error.errors) and str(error)


@RELAXED
@given(data=st.binary(max_size=300))
def test_bytes(write, data):
    attempt(write(data))


@RELAXED
@given(words=st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=40))
def test_words_of_the_language_in_any_order(write, words):
    attempt(write("".join(words).encode("utf-8", "surrogatepass")))


@RELAXED
@given(seed=st.sampled_from(SEEDS), data=st.data())
def test_a_good_file_with_something_changed(write, seed, data):
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(seed)))
        seed = seed[:at] + data.draw(st.sampled_from(WORDS)) + seed[at + data.draw(st.integers(0, 6)) :]
    attempt(write(seed))


def flow(value: object) -> str:
    """A value in YAML's flow style, strings in double quotes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" if not c.isalnum() or ord(c) > 126 else c for c in value) + '"'
    return {None: "null", True: "true", False: "false"}.get(value, str(value)) if not isinstance(value, int) else str(value).lower()


@settings(RELAXED, max_examples=225)
@pytest.mark.parametrize("file", ["chain.yaml", "vnfs/wall.yaml", "vnfs/house.yaml", "mnfs/gate/mnf.yaml"])
@given(data=st.data(), value=values)
def test_any_value_in_any_place(house, file, data, value):
    """One value of a good file becomes any value whatever."""
    site = house
    good = site.files[file]
    spots = [m.span(1) for m in re.finditer(r"(?:: |- |\[|, )([^\s,\]}{\[][^,\]}\n]*)", good)]
    start, end = data.draw(st.sampled_from(spots))
    site.files[file] = good[:start] + flow(value) + good[end:]
    try:
        pipeline.expand(site.load())
    except SpecErrors as error:
        assert error.errors
    finally:
        site.files[file] = good
