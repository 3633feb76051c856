"""A site in a folder: chain.yaml with an mNF and a VNF of the operator's own beside it. Tests change one file and read the errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ebpfnf import spec
from ebpfnf.errors import SpecErrors

MNF = """\
mnf: gate
summary: Lets in what a rule allows.
reads: [ip.src, m.hash, m.gate.score]
reads_when: {forward: [l4.dport]}
writes: [m.class]
verdicts: [NEXT, DROP]
outcomes: {unsure: {default: NEXT}}
params:
  rules: {type: "list[rule]"}
  idle: {type: duration, default: 30s, doc: how long a flow may be quiet}
state:
  rules: {table: acl, key: [ip.src, l4.dport], value: {action: "enum[allow,deny]", class: u16}, size: 4, filled_by: operator,
    entries: rules}
  flows: {table: connections, value: {last_seen: u64}, size: 1024, when_full: evict, keep: true}
  sizes: {table: histogram, buckets: [64, 128]}
reasons: {shut: no rule allows it}
metadata: {score: u16}
scratch: {word: u64, seen: "u8[16]"}
"""
VNF = """\
vnf: wall
summary: Two gates.
params:
  rules: {type: "list[rule]"}
mnfs:
  first: {mnf: gate, rules: $rules}
  second: {mnf: gate, rules: [], idle: 5m}
links:
  - first -> second
  - first.unsure -> exit
  - second -> exit
"""
CHAIN = """\
ebpfnf: 1
deployment: site
ports:
  wan: {interface: eth0}
  lan: {interface: eth1, otherwise: "out: wan"}
vnfs:
  edge:
    vnf: wall
    rules: [{allow: {ip.src: 192.0.2.0/24, l4.dport: [80, "1000-2000"]}, class: 7}]
chains:
  inbound: {on: wan, match: {ip.proto: tcp}, path: [edge], then: {out: lan}}
expect:
  - {on: wan, packet: "tcp 192.0.2.9:4000 > 198.51.100.7:80", chain: inbound, verdict: REDIRECT, port: lan}
testbed:
  wan: {addresses: [192.0.2.1/24], routes: [{to: 203.0.113.0/24, via: 192.0.2.9}], neighbours: {192.0.2.9: "02:00:00:00:00:09"}}
"""

HOUSE = """\
vnf: house
summary: A wall with a door.
params:
  rules: {type: "list[rule]"}
  mode: {type: "enum[open,shut]", default: shut}
  idle: {type: duration, default: 30s}
mnfs:
  outer: {vnf: wall, rules: $rules, when: {not: {mode: open}}}
  inner: {mnf: gate, rules: [], idle: $idle, when: {any: [{mode: [open, shut]}, {idle: 5m, rules: []}]}}
links:
  - outer -> inner
  - {link: inner.unsure -> exit, when: {mode: shut}}
  - inner -> exit
"""
PATH = (
    "[edge, {classes: {web: {match: {l4.dport: 80}, path: [house]}, "
    "rest: {match: {}, path: [{classes: {v6: {match: {ip.version: 6}, path: []}}}]}}}, late]"
)


class Site:
    """The folder, and what loading it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {
            "chain.yaml": CHAIN,
            "vnfs/wall.yaml": VNF,
            "mnfs/gate/mnf.yaml": MNF,
            "mnfs/gate/mnf.c": "MNF(struct pkt *pkt)\n{\n}\n",
        }

    def change(self, file: str, old: str, new: str) -> Site:
        assert old in self.files[file], old
        self.files[file] = self.files[file].replace(old, new, 1)
        return self

    def load(self):
        for name, text in self.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return spec.load(self.folder / "chain.yaml")

    def errors(self) -> list[str]:
        """The errors, with paths relative to the folder."""
        with pytest.raises(SpecErrors) as caught:
            self.load()
        return [str(error).replace(f"{self.folder}/", "") for error in caught.value.errors]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def house(site: Site) -> Site:
    """The site with a template that uses another, conditions, and a path that parts."""
    site.files["vnfs/house.yaml"] = HOUSE
    site.change("chain.yaml", "chains:", "  house: {vnf: house, rules: [{allow: {}}]}\n  late: {vnf: wall, rules: []}\nchains:")
    return site.change("chain.yaml", "path: [edge]", f"path: {PATH}")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes | str], Path]:
    """A chain.yaml of these bytes."""

    def make(data: bytes | str) -> Path:
        path = tmp_path / "chain.yaml"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return make
