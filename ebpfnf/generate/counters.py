"""A counter for everything that can end a packet or take it off the straight way.

NEXT costs nothing: what entered a stage follows from what entered the chain and what ended before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from ebpfnf.model import DROPPED, PASSED, Counter, Graph

_PORT = (
    ("malformed", "drop", "the frame's headers are broken"),
    ("control_frame", "drop", "a control frame (EtherType 0x88b5) came from outside"),
    ("otherwise", "otherwise", "no chain of the port takes this packet"),
    ("too_big", "drop", "the frame is larger than the output port's MTU"),
    ("redirect_failed", "fault", "the output port does not take frames"),
)
_CHAIN = (
    ("entered", "entered", "the chain took the packet"),
    ("fragment", "", "a fragment, and the chain reads L4"),
    ("out", "", "the packet passed the whole chain"),
    ("too_big", "drop", "the frame is larger than the output port's MTU"),
    ("redirect_failed", "fault", "the output port does not take frames"),
    ("missed", "fault", "a tail call found no program"),
    ("bad_verdict", "fault", "an mNF returned what its manifest does not declare"),
)
_VM = (
    ("to_vm", "sent", "the packet went to the stage's VM"),
    ("from_vm", "returned", "the VM gave a packet back"),
    ("vm_too_big", "drop", "the frame is larger than a VM takes"),
    ("vm_tap_full", "drop", "the VM was too slow: as many packets as may be in it were"),
    ("vm_refused", "fault", "the VM's interface does not take frames"),
    ("vm_malformed", "drop", "what the VM gave back has broken headers"),
    ("vm_moved", "moved", "the packet's flow had a VM that no longer serves, and goes to another from now on"),
)


def _function(on_failure: str) -> tuple[tuple[str, str, str], ...]:
    down = ("function_down", "drop", "the function has no carrier")
    past = (("bypassed", "bypassed", "led past the function, which has no carrier"), ("missed", "fault", "led past too many functions"))
    both = (("sent", "sent", "the packet went to the function"), ("returned", "returned", "the function gave a packet back"))
    return (*both, *(past if on_failure == "bypass" else (down,)))


_OUT = {"pass": "pass", "drop": "drop", "reflect": "tx"}


@dataclass(slots=True)
class Counters:
    """All counters of a deployment, with the way from a cause to its index."""

    all: list[Counter] = field(default_factory=list)
    by_port: dict[tuple[str, str], int] = field(default_factory=dict)
    by_chain: dict[tuple[str, str], int] = field(default_factory=dict)
    by_position: dict[tuple[int, str], int] = field(default_factory=dict)  # (position, PASS | TX | REDIRECT | reason | >outcome | =vm's)
    by_function: dict[tuple[str, str], int] = field(default_factory=dict)
    unknown: int = 0  # of a frame that no VM was sent

    def add(self, name: str, kind: str, text: str, *, port: str = "", chain: str = "", stage: str = "", position: int = -1) -> int:
        """Appends a counter; its index."""
        index = len(self.all)
        self.all.append(Counter(index, name, kind, port, chain, stage, position, text))
        return index


def allocate(graph: Graph) -> Counters:
    """Counters in a fixed order: ports, chains, positions. Counter 0 is the fault of a packet from no port of ours.

    A position that the optimiser took out has its counters too, and they stay zero, as they would have.
    """
    graph = graph.meaning
    counters = Counters()
    counters.add("port.unknown", "fault", "the packet came from no port of the deployment")
    for port in graph.deployment.ports:
        for what, kind, text in _PORT:
            counters.by_port[port.name, what] = counters.add(f"port.{port.name}.{what}", kind, text, port=port.name)
    fragments = {port.name: port.fragments for port in graph.deployment.ports}
    for chain in graph.deployment.chains:
        kinds = {"fragment": fragments[chain.on], "out": _OUT.get(chain.then, "redirect")}
        for what, kind, text in _CHAIN:
            index = counters.add(f"chain.{chain.name}.{what}", kind or kinds[what], text, port=chain.on, chain=chain.name)
            counters.by_chain[chain.name, what] = index
    for function in graph.deployment.functions:
        for what, kind, text in _function(function.on_failure):
            counters.by_function[function.name, what] = counters.add(f"{function.name}.{what}", kind, text)
    stages = {stage.id: stage for stage in graph.stages}
    ended = {(link.source, link.outcome): link.target for link in graph.links}
    for position in graph.positions:
        stage = stages[position.stage]
        add = partial(counters.add, chain=position.chain, stage=stage.id, position=position.index)
        for reason, text in stage.mnf.reasons.items():
            index = add(f"{stage.instance}.{reason}", "drop", text)
            counters.by_position[position.index, reason] = index
        for verdict in ("PASS", "TX", "REDIRECT"):
            if verdict in stage.mnf.verdicts:
                index = add(f"{stage.id}.{verdict.lower()}", verdict.lower(), stage.mnf.summary)
                counters.by_position[position.index, verdict] = index
        for outcome in stage.mnf.outcomes:
            kind = {DROPPED: "drop", PASSED: "pass"}.get(ended[position.index, outcome], "outcome")
            index = add(f"{stage.instance}.{outcome}", kind, f"'{stage.id}' said {outcome}")
            counters.by_position[position.index, f">{outcome}"] = index
        if stage.lossy:
            index = add(f"{stage.instance}.lost", "lost", "packets that it missed: there was no room for a copy")
            counters.by_position[position.index, "=lost"] = index
        if stage.mnf.runs_in != "xdp":
            bypass = stage.config["on_failure"] == "bypass"
            down = ("vm_down", "bypassed" if bypass else "drop", "no VM of the stage serves")
            for what, kind, text in (*_VM, down):
                index = add(f"{stage.instance}.{what}", kind, text)
                counters.by_position[position.index, f"={what}"] = index
    if any(stage.mnf.runs_in != "xdp" for stage in graph.stages):
        counters.unknown = counters.add("vm.unknown", "drop", "a frame from a VM names no packet that was sent to it")
    return counters
