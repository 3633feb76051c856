"""Random deployments: any templates in any order behind any match, for comparing programs with the model."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.generators import Frames
from tests.subjects import TESTBED, Subject

_V4 = ("192.0.2.9", "192.0.2.0/24", "198.51.100.7", "198.51.100.0/25", "10.1.0.0/24", "10.1.0.11", "0.0.0.0/0")
_V6 = ("2001:db8::9", "2001:db8::/64", "2001:db8:1::11", "2001:db8:1::/48", "::/0")
_PORTS = (0, 53, 80, 8080, "1-79", "80-4000", "4001-65535")
_RULE: dict[str, Callable[[random.Random], Any]] = {
    "ip.src": lambda r: _some(r, _V4 + _V6),
    "ip.dst": lambda r: _some(r, _V4 + _V6),
    "ip.proto": lambda r: _some(r, ("tcp", "udp", "icmp", "icmpv6", "132")),
    "ip.dscp": lambda r: _some(r, (0, 46, 63)),
    "l4.sport": lambda r: _some(r, _PORTS),
    "l4.dport": lambda r: _some(r, _PORTS),
    "tcp.flags": lambda r: r.choice(("syn,!ack", "ack", "!syn", "fin,psh,!rst")),
}
_L2: dict[str, Callable[[random.Random], Any]] = {
    "eth.src": lambda r: r.choice(("02:00:00:00:00:01", "02:00:00:00:00:bd", "ff:ff:ff:ff:ff:ff")),
    "vlan.id": lambda r: _some(r, (0, 5, 100, 4095)),
    "eth.type": lambda r: _some(r, ("ip", "ipv6", "arp")),
}
_CHAIN = {key: _RULE[key] for key in ("ip.src", "ip.dst", "ip.dscp", "l4.dport")} | {"eth.src": _L2["eth.src"], "vlan.id": _L2["vlan.id"]}


def _some(r: random.Random, values: tuple[Any, ...]) -> list[Any]:
    return r.sample(values, r.randint(1, min(3, len(values))))


def _match(r: random.Random, keys: dict[str, Callable[[random.Random], Any]], most: int) -> dict[str, Any]:
    """A match that something can fit: ports want TCP or UDP, both addresses an IP version in common."""
    match = {key: keys[key](r) for key in r.sample(list(keys), r.randint(0, most))}
    if "ip.src" in match and "ip.dst" in match:
        match["ip.dst"] = ["0.0.0.0/0", "::/0"]
    if any(key.startswith(("l4.", "tcp.")) for key in match):
        match.pop("ip.proto", None)
    return match


def _rules(r: random.Random, keys: dict[str, Callable[[random.Random], Any]]) -> list[dict[str, Any]]:
    return [{r.choice(("allow", "deny")): _match(r, keys, 3)} for _ in range(r.randint(0, 6))]


def _instance(r: random.Random) -> dict[str, Any]:
    match r.randrange(5):
        case 0:
            return {"vnf": "edge-firewall", "l2": _rules(r, _L2), "rules": _rules(r, _RULE), "default": r.choice(("allow", "deny"))}
        case 1:
            return {"vnf": "monitor", "subnets": r.sample(_V4[1:2] + _V4[3:5] + _V6[1:2] + _V6[3:], r.randint(0, 4))}
        case 2:
            backends = [{"v4": "10.1.0.11", "v6": "2001:db8:1::11", "port": 8080}, {"v4": "10.1.0.12", "port": 80}]
            vips = ["198.51.100.7", "2001:db8::9"]
            return {"vnf": "load-balancer", "vips": vips, "port": r.choice((80, 53)), "backends": backends[: r.randint(0, 2)]}
        case 3:
            mode = r.choice(("off", "watch", "guard"))
            return {"vnf": "office", "mode": mode, "rules": r.choice(([], _rules(r, _RULE))), "subnets": r.choice(([], [_V4[1]]))}
        case _:
            return {"vnf": "router"}


_NESTED = {
    "office": """
vnf: office
summary: Templates in templates, some of it by conditions.
params:
  mode: {type: "enum[off,watch,guard]"}
  rules: {type: "list[rule]"}
  subnets: {type: "list[prefix]", default: []}
mnfs:
  wall: {vnf: walled, mode: $mode, rules: $rules, when: {not: {mode: "off"}}}
  check: {mnf: check_ip, when: {any: [{mode: guard}, {rules: []}]}}
  stats: {vnf: monitor, subnets: $subnets, when: {all: [{not: {subnets: []}}, {mode: [watch, guard]}]}}
""",
    "walled": """
vnf: walled
summary: A firewall that may only watch, in front of a monitor.
params:
  mode: {type: "enum[off,watch,guard]"}
  rules: {type: "list[rule]"}
  default: {type: "enum[allow,deny]", default: allow}
mnfs:
  http: {mnf: http_classify}
  fire: {vnf: edge-firewall, rules: $rules, default: $default, when: {mode: guard}}
  seen: {vnf: monitor}
links:
  - {link: http -> seen, when: {mode: watch}}
  - http -> fire
  - fire -> seen
  - seen -> exit
entry: {forward: http, reverse: fire}
""",
}


def _parted(r: random.Random, path: list[Any], around: dict[str, Any], name: str = "k") -> list[Any]:
    """The path, now and then with some of it in classes. `around`: what comes here matches it, so that each class takes something."""
    if len(name) > 3 or r.random() < 0.5:
        return path
    start = r.randint(0, len(path))
    end = r.randint(start, len(path))
    pieces: list[list[Any]] = [[] for _ in range(r.randint(1, 3))]
    for item in path[start:end]:
        r.choice(pieces).append(item)
    classes = {}
    for k, piece in enumerate(pieces):
        match = _match(r, _CHAIN, 2)
        match |= {key: [*values, *match[key]] if isinstance(values, list) else values for key, values in around.items() if key in match}
        if {"ip.src", "ip.dst"} <= {*around, *match}:
            match |= {key: [*match[key], "0.0.0.0/0", "::/0"] for key in ("ip.src", "ip.dst") if key in match}
        classes[f"{name}{k}"] = {"match": match, "path": _parted(r, piece, {**around, **match}, f"{name}{k}")}
    return [*path[:start], {"classes": classes}, *path[end:]]


def _instances(path: list[Any]) -> Iterator[str]:
    for item in path:
        if isinstance(item, str):
            yield item
        else:
            yield from (name for each in item["classes"].values() for name in _instances(each["path"]))


def random_subject(seed: int) -> Subject:
    """The deployment of this number."""
    r = random.Random(seed)
    vnfs = {f"v{k}": _instance(r) for k in range(r.randint(1, 5))}
    thens = ("pass", "drop", "reflect", "route", "out: a", "out: b")
    chains = {
        f"c{k}": {
            "on": r.choice("ab"),
            "direction": r.choice(("forward", "forward", "reverse")),
            "match": (match := _match(r, _CHAIN, 2)),
            "path": _parted(r, r.sample(list(vnfs), r.randint(0, min(3, len(vnfs)))), match),
            "then": r.choice(thens),
        }
        for k in range(r.randint(1, 4))
    }
    used = {name for chain in chains.values() for name in _instances(chain["path"])}
    text = json.dumps({name: vnf for name, vnf in vnfs.items() if name in used})
    ports = f", otherwise: {r.choice(('pass', 'drop', 'out: b'))}, fragments: {r.choice(('pass', 'drop'))}".replace("out: b", "{out: b}")
    return Subject(f"random-{seed}", f"vnfs: {text}\nchains: {json.dumps(chains)}\n{TESTBED}", ports, _frames, vnfs=_NESTED)


def _frames(r: random.Random) -> Frames:
    v4 = ("192.0.2.9", "10.1.0.11", "198.51.100.7", "10.1.0.12") * 3
    v6 = ("2001:db8::9", "2001:db8:1::11") * 5
    macs = ("02:00:00:00:00:01",) * 8 + ("02:00:00:00:00:bd",)
    return Frames(r, (*v4, "127.0.0.1", "224.0.0.5"), (*v6, "::1", "fe80::1"), macs, ports=(0, 53, 80, 80, 4000, 8080), broken=0.15)
