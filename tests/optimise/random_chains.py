"""Random graphs, written as files: templates of mNFs that count, remember, drop, answer, mark and fork, in chains that repeat them.

Templates use other templates, leave nodes and links out by conditions, and paths part by classes and go on together.

A deployment holds several chains, so that one compilation serves several graphs; a frame's source MAC says which chain takes it.
"""

from __future__ import annotations

import json
import random
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
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
    {"allow": {"ip.src": ["192.0.2.0/28", "10.1.0.11", "2001:db8::/64", "::/2"], "l4.dport": [53, "70-79", 80, "4000-4001"]}, "class": 5},
    {"deny": {"ip.dst": ["10.1.0.12", "198.51.100.0/29", "2001:db8:1::/48"], "l4.sport": ["0-52", 80, "4001-65535"], "ip.proto": "udp"}},
]


@dataclass(frozen=True, slots=True)
class Files:
    """templates: name -> nodes (mNF or template, with parameters) and links; chains: name -> path, direction, then.

    A path holds (instance, template) and partings: a tuple of (class, match, path) for each.
    """

    templates: Mapping[str, tuple[Mapping[str, Mapping[str, Any]], Sequence[Any]]]
    chains: Mapping[str, tuple[Sequence[Any], str, str]]
    fragments: str = "drop"

    def without(self, chain: str, place: int) -> Files:
        """The same with one instance or parting less in a chain's path."""
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
        used = {instance: template for path, *_ in self.chains.values() for instance, template in _instances(path)}
        macs = {f"c{k}": mac for k, mac in enumerate(MACS)}
        chains = {
            name: {"on": "a", "direction": direction, "match": {"eth.src": macs[name]}, "path": _written(path), "then": then}
            for name, (path, direction, then) in self.chains.items()
        }
        head = "ebpfnf: 1\ndeployment: random\nports:\n"
        head += f"  a: {{interface: eth0, fragments: {self.fragments}}}\n  b: {{interface: eth1}}\n"
        lossy = [", lossy: true" if zlib.crc32(instance.encode()) % 2 else "" for instance in used]
        lines = [f"  {instance}: {{vnf: {template}{more}}}" for (instance, template), more in zip(used.items(), lossy, strict=True)]
        lines = ["vnfs:" if lines else "vnfs: {}", *lines, "chains:", *(f"  {n}: {json.dumps(c)}" for n, c in chains.items())]
        result = {"chain.yaml": head + "\n".join(lines) + TESTBED}
        todo = list(dict.fromkeys(used.values()))
        for name in todo:
            nodes, links = self.templates[name]
            mnfs = "".join(f"  {node}: {json.dumps(about)}\n" for node, about in nodes.items())
            body = f"mnfs:\n{mnfs}links: {json.dumps(links)}\n"
            params = "".join(f"  {param}: {text}\n" for param, text in PARAMS.items() if param in body)
            result[f"vnfs/{name}.yaml"] = f"vnf: {name}\nsummary: random\n" + (f"params:\n{params}" if params else "") + body
            todo += [about["vnf"] for about in nodes.values() if about.get("vnf", "") not in ("", *todo)]
        return result


PARAMS = {"sure": "{type: bool, default: true}", "mode": '{type: "enum[low,mid,high]", default: mid}'}
_CONDITIONS: Sequence[Any] = (
    {"sure": True}, {"not": {"sure": True}}, {"mode": ["low", "mid"]}, {"any": [{"mode": "low"}, {"sure": False}]}, {"mode": "high"},
)  # fmt: skip


def _instances(path: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for item in path:
        if isinstance(item[0], str):
            yield item
        else:
            yield from (each for _, _, inner in item for each in _instances(inner))


def _written(path: Sequence[Any]) -> list[Any]:
    """A path as chain.yaml has it."""

    def classes(item: Any) -> dict[str, Any]:
        return {"classes": {name: {"match": match, "path": _written(inner)} for name, match, inner in item}}

    return [item[0] if isinstance(item[0], str) else classes(item) for item in path]


MACS = tuple(f"02:00:00:00:02:{k:02x}" for k in range(16))


def make(seed: int, chains: int, folder: Path, machines: bool = False) -> tuple[Files, Deployment]:
    """The files of this seed and what they say; drawn again until nothing is read that nobody wrote. `machines`: some run in VMs."""
    r = random.Random(seed)
    templates: dict[str, Any] = {}
    taken: dict[str, Any] = {}
    while len(taken) < chains:
        new: dict[str, Any] = {}
        for _ in range(3):
            new[f"t{len(templates) + len(new)}"] = _template(r, list(new), machines)
        name, pool = f"c{len(taken)}", list(new) * 2
        path = [(f"{name}x{k}", template) for k, template in enumerate(r.choices(pool, k=r.randint(1, 4)))]
        if r.random() < 0.4:
            path = _parted(r, path)
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


_MATCHES = (
    {"l4.dport": [80, "4000-8080"]}, {"ip.proto": "udp"}, {"ip.src": ["192.0.2.0/24", "2001:db8::/64"]}, {"ip.dscp": [0, 46]},
    {"ip.version": 6}, {"ip.dst": "198.51.100.7", "l4.sport": "0-100"}, {"vlan.id": 5}, {"vlan.id": [100, 4095]}, {},
)  # fmt: skip


def _parted(r: random.Random, path: Sequence[Any], depth: int = 0) -> list[Any]:
    """Some of the path in classes, the rest before and behind them."""
    start, end = sorted((r.randint(0, len(path)), r.randint(0, len(path))))
    pieces: list[list[Any]] = [[] for _ in range(r.randint(1, 3))]
    for item in path[start:end]:
        r.choice(pieces).append(item)
    tag = f"{path[0][0]}-{depth}" if path else f"none-{depth}"
    inner = [_parted(r, piece, depth + 1) if piece and depth < 1 and r.random() < 0.3 else piece for piece in pieces]
    classes = tuple((f"{tag}{k}", r.choice(_MATCHES), tuple(piece)) for k, piece in enumerate(inner))
    return [*path[:start], classes, *path[end:]]


def _template(r: random.Random, others: Sequence[str], machines: bool) -> tuple[dict[str, dict[str, Any]], list[Any]]:
    """One to four mNFs or `others` in a row, where outcomes may jump forward; some by conditions only."""
    kinds = [r.choice(_NODES)(r) for _ in range(r.randint(1, 4))]
    if others and r.random() < 0.4:
        kinds[r.randrange(len(kinds))] = {"vnf": r.choice(others)}
    if machines and r.random() < 0.3:  # whatever it is: the test does the machine's work
        kinds.insert(r.randrange(len(kinds) + 1), {"mnf": "tcp_reasm", "on_failure": r.choice(("drop", "bypass"))})
    names = [f"n{k}" for k in range(len(kinds))]
    links: list[Any] = []
    for k, kind in enumerate(kinds):
        later = [*names[k + 1 :], "exit"]
        if r.random() < 0.1:
            links.append({"link": f"{names[k]} -> {r.choice(later)}", "when": r.choice(_CONDITIONS)})
        links.append(f"{names[k]} -> {later[0]}")
        if outcome := {"fork": "odd", "bulk": "long"}.get(kind.get("mnf", "")):
            links.append(f"{names[k]}.{outcome} -> {r.choice(later)}")
        elif kind.get("mnf") == "gate" and r.random() < 0.5:
            link = f"{names[k]}.high -> {r.choice(later)}"
            links.append({"link": link, "when": r.choice(_CONDITIONS)} if r.random() < 0.3 else link)
        if r.random() < 0.15:
            kind["when"] = r.choice(_CONDITIONS)
    return dict(zip(names, kinds, strict=True)), links


_VIPS = ["198.51.100.7", "2001:db8::9"]
_BACKENDS = [{"v4": "10.1.0.11", "v6": "2001:db8:1::11", "port": 8080}, {"v4": "10.1.0.12", "port": 80}]
_PLAIN = ("check_ip", "check_ip", "flow_hash", "flow_hash", "size_hist", "ttl_dec", "grade", "grade", "fork", "bulk", "nothing")
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
    lambda r: {"mnf": "acl_5t", "rules": r.sample(_RULES, len(_RULES)), "default": "allow"},
    lambda r: {"mnf": "lb_maglev", "vips": _VIPS, "port": 80, "backends": _BACKENDS[: r.randint(0, 2)]},
    lambda r: {"mnf": "dnat_rewrite"},
    lambda r: {"mnf": "acl_l2", "rules": [{"deny": {"vlan.id": 5}}]},
    lambda r: {"mnf": "http_classify"},
)


def frames(r: random.Random, chains: int) -> Frames:
    """Frames that the chains take, few of them broken."""
    v4 = ("192.0.2.9", "10.1.0.11", "198.51.100.7", "10.1.0.12") * 3
    v6 = ("2001:db8::9", "2001:db8:1::11") * 4
    payloads = (b"", b"x", b"GET / HTTP/1.1\r\n\r\n", b"y" * 100, bytes(700))
    v4, v6 = (*v4, "203.0.113.5", "127.0.0.1"), (*v6, "::1")
    return Frames(r, v4, v6, MACS[:chains], (80, 80, 4000, 53), payloads, broken=0.05, again=0.3, varied=0.5)
