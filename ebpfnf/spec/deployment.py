"""chain.yaml: ports, instances, chains, expectations and the testbed."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ebpfnf import names
from ebpfnf.model import Chain, Deployment, Expectation, Instance, Port, Testbed, TestbedPort
from ebpfnf.spec import functions, match, shape, template, yaml
from ebpfnf.spec.fields import chain_keys
from ebpfnf.spec.files import ChainFile
from ebpfnf.spec.library import Library
from ebpfnf.spec.path import read as read_path
from ebpfnf.spec.problems import Problems, meant, quote
from ebpfnf.spec.yaml import Node
from ebpfnf.tables.types import type_of

MAX_PORTS = 15  # the const map holds 16, counted from 1
MAX_CHAINS = 255  # m.chain is one byte


def read(path: Path, problems: Problems) -> Deployment | None:
    """The deployment in a file, or None with the reasons in `problems`."""
    before = problems.count()
    tree = yaml.load(path, problems)
    checked = shape.check(ChainFile, tree, problems) if tree else None
    if tree is None or checked is None:
        return None
    file, node = checked
    known = {section: [key for key, _ in found.items()] if (found := tree.get(section)) else [] for section in ("ports", "vnfs", "chains")}
    ports = _ports(file, tree, node, known["ports"], problems)
    instances = _instances(file, node, Library(path.parent, problems), problems)
    chains = _chains(file, node, {**known, "vnfs": [*known["vnfs"], *file.functions]}, problems)  # of those functions.py says why not
    expect = _expectations(file, node, known, instances, problems)
    foreign = functions.read(file, node, known["ports"], problems)
    testbed = read_testbed(file.testbed, node, known["ports"], problems)
    if problems.count() > before:
        return None
    every = tuple(instances.values())
    place = str(path.parent / file.place.hosts) if file.place else ""
    return Deployment(
        file.deployment, ports, every, chains, expect, file.granularity, str(path), testbed, file.optimise, file.tables, place, foreign,
        file.flow_cache,
    )  # fmt: skip


def _known(kind: str, name: str, known: Iterable[str], node: Node, problems: Problems) -> None:
    if name not in known:
        problems.add(f"no {kind} {quote(name)}", node.where, meant(name, known, f"{kind}s"))


def _exit_port(target: str, ports: Iterable[str], node: Node, problems: Problems) -> None:
    """`out:<port>` names a port."""
    if target.startswith("out:"):
        _known("port", target[4:], ports, node.get("out") or node, problems)


def _ports(file: ChainFile, tree: Node, node: Node, known: list[str], problems: Problems) -> tuple[Port, ...]:
    result, interfaces = [], dict[str, str]()
    if len(known) > MAX_PORTS:
        problems.add(f"{len(known)} ports", tree.key_at("ports"), f"at most {MAX_PORTS}")
    for name, port in file.ports.items():
        entry, where = node.value["ports"].value[name], node.key_at("ports", name)
        if port.interface in interfaces:
            problems.add(f"interface {quote(port.interface)} is port '{interfaces[port.interface]}' already", entry.at("interface"))
        interfaces.setdefault(port.interface, name)
        if "otherwise" in entry.value:
            _exit_port(port.otherwise, known, entry.value["otherwise"], problems)
        result.append(Port(name, known.index(name) + 1, port.interface, port.otherwise, port.fragments, port.on_fault, where))
    return tuple(result)


def _instances(file: ChainFile, node: Node, library: Library, problems: Problems) -> dict[str, Instance]:
    result = {}
    for name, entry in file.vnfs.items():
        item, where = node.value["vnfs"].value[name], node.key_at("vnfs", name)
        if name in names.RESERVED_INSTANCES:
            problems.add(f"an instance can't be called '{name}'", where, "the framework calls things of its own so")
        vnf = library.vnf(entry.vnf, item.at("vnf"))
        if vnf is None:
            continue
        who, keys = f"vnf '{vnf.name}'", template.rule_keys(vnf)
        arguments = template.read_arguments(who, vnf.params, item, "vnf lossy", problems, {p.name: keys.get(p.name) for p in vnf.params})
        template.check_lists(vnf, arguments, item, problems)
        result[name] = Instance(name, vnf, arguments, where, entry.lossy)
    return result


def _chains(file: ChainFile, node: Node, known: Mapping[str, list[str]], problems: Problems) -> tuple[Chain, ...]:
    result = []
    if len(file.chains) > MAX_CHAINS:
        problems.add(f"{len(file.chains)} chains", node.key_at("chains"), f"at most {MAX_CHAINS}")
    for name, chain in file.chains.items():
        item, where = node.value["chains"].value[name], node.key_at("chains", name)
        _known("port", chain.on, known["ports"], item.value["on"], problems)
        _exit_port(chain.then, known["ports"], item.value["then"], problems)
        found = match.read(item.value["match"], chain_keys(), problems, "rules of a VNF can match it, chains can't")
        values = {key: tuple(value) for key, value in (found or {}).items()}
        path, path_where = read_path(item.value["path"], values, known["vnfs"], problems)
        result.append(Chain(name, chain.on, chain.direction, values, path, chain.then, where, path_where))
    return tuple(result)


def _expectations(
    file: ChainFile, node: Node, known: Mapping[str, list[str]], instances: Mapping[str, Instance], problems: Problems
) -> tuple[Expectation, ...]:
    result = []
    for k, line in enumerate(file.expect):
        item = node.value["expect"].value[k]
        _known("port", line.on, known["ports"], item.value["on"], problems)
        if line.port is not None:
            _known("port", line.port, known["ports"], item.value["port"], problems)
        if line.chain is not None:
            _known("chain", line.chain, known["chains"], item.value["chain"], problems)
        for key, verdict, given in (("reason", "DROP", line.reason), ("port", "REDIRECT", line.port)):
            if given is not None and line.verdict != verdict:
                problems.add(f"{key} {quote(given)} with verdict {line.verdict}", item.at(key), f"only {verdict} has a {key}")
        if line.reason is not None:
            _check_reason(line.reason, item.value["reason"], known, instances, problems)
        if line.by is not None and len(instances) == len(known["vnfs"]):  # else something is known that didn't load
            _check_by(line.by, item.value["by"], instances, problems)
        texts = (line.chain or "", line.reason or "", line.port or "", line.by or "")
        result.append(Expectation(line.on, line.packet, line.verdict, *texts, item.where))
    return tuple(result)


def _check_reason(text: str, node: Node, known: Mapping[str, list[str]], instances: Mapping[str, Instance], problems: Problems) -> None:
    """`<instance>.<reason>`, or what the framework counts: `fragment`, `chain.<chain>.fragment`, `port.<port>.malformed`."""
    owner, *rest = text.split(".")
    kebabs, reason = [owner, *rest[:-1]] if rest else [], rest[-1] if rest else owner
    if len(rest) > 2 or not all(map(names.is_kebab, kebabs)) or not names.is_snake(reason):
        problems.add(f"reason {quote(text)}", node.where, "wanted <instance>.<reason>, such as edge.acl_deny, or a reason of the framework")
    elif len(rest) == 2:
        _known("owner of reasons", owner, ("chain", "port"), node, problems)
        _known(owner, rest[0], known.get(f"{owner}s", ()), node, problems)
    elif rest and owner in instances:
        mnfs = [inner.mnf for _, inner in instances[owner].vnf.mnfs()]
        _known("reason", reason, [name for mnf in mnfs for name in (*mnf.reasons, *mnf.outcomes)], node, problems)
    elif rest and owner not in names.RESERVED_INSTANCES:
        _known("vnf, chain or port", owner, [*known["vnfs"], *known["chains"], *known["ports"]], node, problems)


def _check_by(text: str, node: Node, instances: Mapping[str, Instance], problems: Problems) -> None:
    """Who decided: `otherwise`, or an instance, a stage (`<instance>.<node>`) or an mNF."""
    stages = [(f"{name}.{node}", inner) for name, instance in instances.items() for node, inner in instance.vnf.mnfs()]
    deciders = ["otherwise", *instances, *(stage for stage, _ in stages), *(inner.mnf.name for _, inner in stages)]
    if text.partition(".")[0] not in names.RESERVED_INSTANCES and text not in deciders:
        problems.add(f"by {quote(text)}", node.where, meant(text, dict.fromkeys(deciders), "one of"))


def read_testbed(named: Iterable[str], node: Node, ports: list[str], problems: Problems) -> Testbed:
    """The surroundings under the key `testbed` of `node`, whose shape is checked; `named`: its ports."""
    result = {}
    for name in named:
        item = node.value["testbed"].value[name]
        if name not in ports:
            problems.add(f"no port {quote(name)}", node.key_at("testbed", name), meant(name, ports, "ports"))
        addresses = tuple(_interface_address(one, problems) for one in _each(item, "addresses"))
        hops = [(one.value["to"], one.value["via"]) for one in _each(item, "routes")]
        routes = tuple((_typed("prefix", to, problems), _typed("ip", via, problems)) for to, via in hops)
        neighbours = {}
        for key, one in item.value["neighbours"].items() if "neighbours" in item.value else ():
            address = _typed("ip", Node(key, item.value["neighbours"].keys[key]), problems)
            neighbours[address] = _typed("mac", one, problems)
        result[name] = TestbedPort(addresses, routes, neighbours, node.key_at("testbed", name))
    return Testbed(result)


def _each(node: Node, key: str) -> tuple[Node, ...]:
    found = node.get(key)
    return found.value if found else ()


def _typed(kind: str, node: Node, problems: Problems) -> Any:
    try:
        return type_of(kind).parse(node.value)
    except ValueError as error:
        problems.add(f"{quote(node.plain())}", node.where, f"wanted {error}")
        return ""


def _interface_address(node: Node, problems: Problems) -> str:
    """An address with the length of its prefix, in its normal spelling."""
    try:
        if "/" not in node.value or "%" in node.value:
            raise ValueError
        return str(ipaddress.ip_interface(node.value))
    except ValueError:
        problems.add(f"address {quote(node.plain())}", node.where, "wanted an address with its prefix length, such as 192.0.2.1/24")
        return ""
