"""Random graphs, written as files: templates of mNFs that count, remember, drop, answer, mark and fork, in chains that repeat them.

A deployment holds several chains, so that one compilation serves several graphs; a frame's source MAC says which chain takes it.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ebpfnf import pipeline, spec
from ebpfnf.errors import SpecErrors
from ebpfnf.model import Deployment
from tests.generators import Frames
from tests.subjects import TESTBED

MNFS = Path(__file__).parent / "mnfs"
_RULES = [
    {"deny": {"ip.src": "203.0.113.0/24"}},
    {"allow": {"l4.dport": [80, "4000-8080"]}, "class": 3},
    {"allow": {"ip.dscp": [0, 46]}, "class": 9},
    {"deny": {"tcp.flags": "syn,!ack"}},
]


@dataclass(frozen=True, slots=True)
class Files:
    """templates: name -> nodes (mNF with parameters) and links; chains: name -> paths of (instance, template), direction, then."""

    templates: Mapping[str, tuple[Mapping[str, Mapping[str, Any]], Sequence[str]]]
    chains: Mapping[str, tuple[Sequence[tuple[str, str]], str, str]]
    fragments: str = "drop"

    def without(self, chain: str, place: int) -> Files:
        """The same with one instance less in a chain's path."""
        path, *rest = self.chains[chain]
        return replace(self, chains={**self.chains, chain: ((*path[:place], *path[place + 1 :]), *rest)})

    def only(self, chain: str) -> Files:
        """Without the other chains."""
        return replace(self, chains={chain: self.chains[chain]})

    def write(self, folder: Path) -> Path:
        """chain.yaml, with all that it needs beside it."""
        shutil.rmtree(folder / "vnfs", ignore_errors=True)
        (folder / "vnfs").mkdir(parents=True)
        if not (folder / "mnfs").exists():
            shutil.copytree(MNFS, folder / "mnfs")
        for name, text in self.texts().items():
            (folder / name).write_text(text)
        return folder / "chain.yaml"

    def texts(self) -> dict[str, str]:
        """File -> text."""
        used = {instance: template for path, *_ in self.chains.values() for instance, template in path}
        macs = {f"c{k}": mac for k, mac in enumerate(MACS)}
        chains = {
            name: {"on": "a", "direction": direction, "match": {"eth.src": macs[name]}, "path": [i for i, _ in path], "then": then}
            for name, (path, direction, then) in self.chains.items()
        }
        head = "ebpfnf: 1\ndeployment: random\nports:\n"
        head += f"  a: {{interface: eth0, fragments: {self.fragments}}}\n  b: {{interface: eth1}}\n"
        lines = [f"  {instance}: {{vnf: {template}}}" for instance, template in used.items()]
        lines = ["vnfs:" if lines else "vnfs: {}", *lines, "chains:", *(f"  {n}: {json.dumps(c)}" for n, c in chains.items())]
        result = {"chain.yaml": head + "\n".join(lines) + TESTBED}
        for name in dict.fromkeys(used.values()):
            nodes, links = self.templates[name]
            mnfs = "".join(f"  {node}: {json.dumps(about)}\n" for node, about in nodes.items())
            result[f"vnfs/{name}.yaml"] = f"vnf: {name}\nsummary: random\nmnfs:\n{mnfs}links: {json.dumps(links)}\n"
        return result


MACS = tuple(f"02:00:00:00:02:{k:02x}" for k in range(16))


def make(seed: int, chains: int, folder: Path) -> tuple[Files, Deployment]:
    """The files of this seed and what they say; drawn again until nothing is read that nobody wrote."""
    r = random.Random(seed)
    templates: dict[str, Any] = {}
    taken: dict[str, Any] = {}
    while len(taken) < chains:
        new = {f"t{len(templates) + k}": _template(r) for k in range(3)}
        name, pool = f"c{len(taken)}", list(new) * 2
        path = [(f"{name}x{k}", template) for k, template in enumerate(r.choices(pool, k=r.randint(1, 4)))]
        if taken and r.random() < 0.3:
            path.insert(r.randrange(len(path) + 1), r.choice(r.choice(list(taken.values()))[0]))
        chain = (tuple(path), r.choice(("forward", "forward", "reverse")), r.choice(("pass", "pass", "out: b", "reflect", "route", "drop")))
        files = Files(templates | new, {name: chain})
        try:
            pipeline.expand(spec.load(files.write(folder)))
        except SpecErrors:
            continue
        templates, taken = templates | new, taken | {name: chain}
    files = Files(templates, taken, r.choice(("drop", "pass")))
    return files, spec.load(files.write(folder))


def _template(r: random.Random) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """One to four mNFs in a row, where outcomes may jump forward."""
    kinds = [r.choice(_NODES)(r) for _ in range(r.randint(1, 4))]
    names = [f"n{k}" for k in range(len(kinds))]
    links = []
    for k, kind in enumerate(kinds):
        later = [*names[k + 1 :], "exit"]
        links.append(f"{names[k]} -> {later[0]}")
        if kind["mnf"] == "fork":
            links.append(f"{names[k]}.odd -> {r.choice(later)}")
        elif kind["mnf"] == "gate" and r.random() < 0.5:
            links.append(f"{names[k]}.high -> {r.choice(later)}")
    return dict(zip(names, kinds, strict=True)), links


_PLAIN = ("check_ip", "check_ip", "flow_hash", "flow_hash", "size_hist", "ttl_dec", "grade", "grade", "fork", "nothing")
_NODES = (
    *(lambda r, mnf=mnf: {"mnf": mnf} for mnf in _PLAIN),
    lambda r: {"mnf": "mark", "dscp": r.choice((0, 10, 46))},
    lambda r: {"mnf": "mark", "dscp": r.choice((0, 10, 46))},
    lambda r: {"mnf": "hops", "ttl": r.choice((1, 9, 64))},
    lambda r: {"mnf": "gate", "low": r.choice((0, 1, 2)), "high": r.choice((1, 3, 20))},
    lambda r: {"mnf": "gate", "low": 1, "high": 20},
    lambda r: {"mnf": "echo", "proto": r.choice(("udp", "icmp", "esp"))},
    lambda r: {"mnf": "upward", "proto": r.choice(("udp", "icmp", "icmpv6"))},
    lambda r: {"mnf": "visits", "most": r.choice((2, 20))},
    lambda r: {"mnf": "points", "limit": r.choice((60, 300))},
    lambda r: {"mnf": "source", "addr": r.choice(("192.0.2.9", "203.0.113.5"))},
    lambda r: {"mnf": "subnet_count", "subnets": r.sample(["198.51.100.0/24", "10.0.0.0/8", "2001:db8::/64", "::/0"], 2)},
    lambda r: {"mnf": "acl_5t", "rules": r.sample(_RULES, r.randint(0, 3)), "default": r.choice(("allow", "allow", "deny"))},
    lambda r: {"mnf": "acl_l2", "rules": [{"deny": {"vlan.id": 5}}]},
    lambda r: {"mnf": "http_classify"},
)


def frames(r: random.Random, chains: int) -> Frames:
    """Frames that the chains take, few of them broken."""
    v4 = ("192.0.2.9", "10.1.0.11", "198.51.100.7", "10.1.0.12") * 3
    v6 = ("2001:db8::9", "2001:db8:1::11") * 4
    payloads = (b"", b"x", b"GET / HTTP/1.1\r\n\r\n", b"y" * 100, bytes(700))
    return Frames(r, (*v4, "203.0.113.5", "127.0.0.1"), (*v6, "::1"), MACS[:chains], (80, 80, 4000, 53), payloads, broken=0.05)
