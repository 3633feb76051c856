"""What the template needs to know of ports, chains and segments: indices of counters, targets of jumps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ebpfnf.generate.classify import partings
from ebpfnf.generate.counters import Counters
from ebpfnf.generate.segment import vm_positions
from ebpfnf.generate.typed import CIdent, CInt
from ebpfnf.model import BESIDE, DROPPED, EXIT, PASSED, Chain, Graph, Parting, Position, Segments, Stage, Table
from ebpfnf.names import c_identifier

View = dict[str, Any]


def _out_port(graph: Graph, text: str) -> int | None:
    """The number of the port in `out:<port>`, or None for anything else."""
    kind, _, name = text.partition(":")
    return next(CInt(p.number) for p in graph.deployment.ports if p.name == name) if kind == "out" else None


def port_views(graph: Graph, counters: Counters) -> list[View]:
    """Each port's number, what becomes of what no chain takes, and its counters."""
    names = ("malformed", "control_frame", "otherwise", "too_big", "redirect_failed")
    return [
        {
            "number": CInt(port.number),
            "out": _out_port(graph, port.otherwise),
            "otherwise_drops": port.otherwise == "drop",
            **{name: CInt(counters.by_port[port.name, name]) for name in names},
        }
        for port in graph.deployment.ports
    ]


def function_views(graph: Graph, counters: Counters) -> list[View]:
    """Each port that leads to a function: by which port that gives back, what it does when it is down, its counters."""
    number = {port.name: CInt(port.number) for port in graph.deployment.ports}
    found = []
    for function in graph.deployment.functions:
        bypasses = function.on_failure == "bypass"
        names = {"sent": "sent", "returned": "returned", "down": "bypassed" if bypasses else "function_down"}
        names |= {"missed": "missed"} if bypasses else {}
        counts = {key: CInt(counters.by_function[function.name, what]) for key, what in names.items()}
        found += [{"port": number[p], "back": number[function.back(p)], "bypasses": bypasses, **counts} for p in function.ports]
    return found


def chain_numbers(graph: Graph) -> dict[str, int]:
    """Chains count from 1, in file order; 0 is none."""
    return {chain.name: k for k, chain in enumerate(graph.deployment.chains, 1)}


def reads_l4(graph: Graph, chain: Chain) -> bool:
    """Whether anything on the chain's path reads what a fragment does not have, by what the files say, not by what is left of it."""
    graph = graph.meaning
    stages = {stage.id: stage for stage in graph.stages}
    return any(
        name.startswith(("l4.", "tcp.", "pl."))
        for position in graph.positions
        if position.chain == chain.name
        for name in stages[position.stage].mnf.reads_in(chain.direction)
    )


def chain_views(graph: Graph, counters: Counters, segments: Segments, classifier: Sequence[Table]) -> list[View]:
    """What the entry does with a packet that a chain takes. `classifier`: its tables, the first of which finds the chain."""
    names = [table.name.rpartition(".")[2] for table in classifier]
    ports = {port.name: port for port in graph.deployment.ports}
    chains = graph.deployment.chains
    return [
        {
            **_exit(graph, counters, chain),
            "reverse": chain.direction == "reverse",
            "port": CInt(ports[chain.on].number),
            "alone": not chain.match and sum(c.on == chain.on for c in chains) == 1 and not partings(chain.path),
            "parts": len(names) == 1 and any(isinstance(item, Parting) for item in chain.path),
            "lookups": [CIdent(name) for name in names if name.startswith(f"parts_{number}_")],
            "reads_l4": reads_l4(graph, chain),
            "remembered": any(each.chain == chain.name for each in graph.remembered),
            "fragments_pass": ports[chain.on].fragments == "pass",
            "entry": _target(graph, segments, chain, graph.entries[chain.name]),
            **{name: CInt(counters.by_chain[chain.name, name]) for name in ("entered", "fragment")},
        }
        for number, chain in enumerate(chains, 1)
    ]


def _exit(graph: Graph, counters: Counters, chain: Chain) -> View:
    return {
        "number": CInt(chain_numbers(graph)[chain.name]),
        "then_out": _out_port(graph, chain.then),
        **{f"then_{what}": chain.then == what for what in ("route", "pass", "reflect")},
        **{name: CInt(counters.by_chain[chain.name, name]) for name in ("out", "too_big", "redirect_failed")},
    }


def _target(graph: Graph, segments: Segments, chain: Chain, index: int) -> View:
    """Where a jump goes: a position with its segment, or the chain's exit."""
    number = CInt(chain_numbers(graph)[chain.name])
    if index == EXIT:
        return {"position": None, "segment": None, "chain": number}
    home = next(k for k, group in enumerate(segments.groups) if index in group)
    return {"position": CInt(index), "segment": CInt(home), "chain": number}


def segment_views(graph: Graph, counters: Counters, segments: Segments, remembered: Mapping[int, View]) -> list[View]:
    """Each program: its positions in order, where it may be entered, which hops and exits its jumps need.

    `remembered`: of positions for which the flow cache may answer, what the template needs for it.
    """
    chains = {chain.name: chain for chain in graph.deployment.chains}
    stages = {stage.id: stage for stage in graph.stages}
    faults = {port.name: port.on_fault == "pass" for port in graph.deployment.ports}
    home = {index: k for k, group in enumerate(segments.groups) for index in group}
    at = {position.index: position for position in graph.positions}
    machines = vm_positions(graph)
    resume = len(segments.groups)  # the program that takes frames back from VMs
    jumps = [(home[link.source], link.target, at[link.source].chain) for link in graph.links]
    jumps += [(resume, link.target, at[link.source].chain) for link in graph.links if link.source in machines]
    jumps += [(0, entry, name) for name, entry in graph.entries.items()]

    views = []
    for number, group in enumerate((*segments.groups, ()) if machines else segments.groups):
        hops = sorted({target for source, target, _ in jumps if source == number and target >= 0 and home[target] != number})
        exits = sorted({name for source, target, name in jumps if source == number and target == EXIT}, key=list(chains).index)
        entries = sorted({target for source, target, _ in jumps if target >= 0 and home[target] == number and source != number})
        views.append(
            {
                "number": CInt(number),
                "name": CIdent(program_name(segments, number)),
                "resumes": [
                    _position(graph, counters, segments, position, stages[position.stage], chains[position.chain])
                    for position in graph.positions
                    if number == resume and position.index in machines
                ],
                "entries": [CInt(index) for index in entries],
                "remembers": bool(remembered) if number == 0 else any(index in remembered for index in group),
                "positions": [
                    _position(graph, counters, segments, position, stages[position.stage], chains[position.chain])
                    | {"fault_passes": faults[chains[position.chain].on], "remembered": remembered.get(position.index)}
                    for position in graph.positions  # in their order, so that jumps go forward
                    if position.index in group
                ],
                "hops": [
                    {
                        "position": CInt(index),
                        "segment": CInt(home[index]),
                        "missed": CInt(counters.by_chain[at[index].chain, "missed"]),
                        "fault_passes": faults[chains[at[index].chain].on],
                    }
                    for index in hops
                ],
                "exits": [_exit(graph, counters, chains[name]) for name in exits],
            }
        )
    return views


def program_name(segments: Segments, number: int, resumes: bool = True) -> str:
    """What the program of a segment is called; behind the last may come one that takes frames back from VMs, and one that reads copies."""
    behind = number - len(segments.groups)
    return f"seg_{number}" if behind < 0 else "resume" if resumes and not behind else BESIDE


def vm_numbers(graph: Graph) -> dict[str, int]:
    """Places of the stages that run in VMs, by their id; they count from 0, in the order of the files."""
    return {stage.id: k for k, stage in enumerate(s for s in graph.stages if s.mnf.runs_in != "xdp")}


def _vm(graph: Graph, counters: Counters, index: int, stage: Stage) -> View | None:
    if stage.mnf.runs_in == "xdp":
        return None
    names = {"sent": "to_vm", "returned": "from_vm"}
    names |= {name: f"vm_{name}" for name in ("too_big", "tap_full", "refused", "malformed", "moved", "down")}
    number = vm_numbers(graph)[stage.id]
    return {
        "number": CInt(number),
        "flows": CIdent(f"MAP_vm_flows_{number}"),
        "bypasses": stage.config["on_failure"] == "bypass",
        **{name: CInt(counters.by_position[index, f"={what}"]) for name, what in names.items()},
    }


def _position(graph: Graph, counters: Counters, segments: Segments, position: Position, stage: Stage, chain: Chain) -> View:
    index = position.index
    links = {link.outcome: link.target for link in graph.links if link.source == index}
    turned = any("m.dir" in each.mnf.writes for each in graph.stages)  # by cases, which give an mNF packets of both directions
    return {
        "index": CInt(index),
        "stage": CIdent(c_identifier(stage.id)),
        "vm": _vm(graph, counters, index, stage),
        "lost": CInt(counters.by_position[index, "=lost"]) if index in graph.beside else None,
        "part": None if stage.mnf.folder else {"shift": CInt(stage.config["shift"]), "mask": CInt((1 << stage.config["bits"]) - 1)},
        "dir": None if turned else CInt(chain.direction == "reverse"),
        "next": _target(graph, segments, chain, links["NEXT"]) if "NEXT" in links else None,
        "drops": [CInt(counters.by_position[index, reason]) for reason in stage.mnf.reasons],
        "outcomes": [
            {
                "counter": CInt(counters.by_position[index, f">{outcome}"]),
                "drops": links[outcome] == DROPPED,
                "passes": links[outcome] == PASSED,
                "target": _target(graph, segments, chain, links[outcome]) if links[outcome] >= EXIT else None,
            }
            for outcome in stage.mnf.outcomes
        ],
        **{
            name: CInt(counters.by_position[index, verdict]) if verdict in stage.mnf.verdicts else None
            for name, verdict in (("passes", "PASS"), ("tx", "TX"), ("redirects", "REDIRECT"))
        },
        **{name: CInt(counters.by_chain[chain.name, name]) for name in ("too_big", "redirect_failed", "bad_verdict")},
    }
