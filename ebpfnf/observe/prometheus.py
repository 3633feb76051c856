"""The status of deployments in Prometheus' text format (0.0.4), as node_exporter's textfile collector reads it too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_Sample = tuple[Mapping[str, Any], int]

_METRICS = (  # name, kind, what it is; in this order
    ("ebpfnf_running", "gauge", "Whether a generation of the deployment is live."),
    ("ebpfnf_generation", "gauge", "Number of the live generation."),
    ("ebpfnf_uptime_seconds", "gauge", "Since the live generation was loaded."),
    ("ebpfnf_port_attached", "gauge", "Whether the port has the deployment's program."),
    ("ebpfnf_chain_packets_total", "counter", "Packets that the chain took."),
    ("ebpfnf_stage_packets_total", "counter", "Packets that entered the stage."),
    ("ebpfnf_drops_total", "counter", "Packets dropped, by reason."),
    ("ebpfnf_otherwise_packets_total", "counter", "Packets that no chain took, by port."),
    ("ebpfnf_lost_total", "counter", "Packets that mNFs beside the path missed."),
    ("ebpfnf_function_packets_total", "counter", "Packets to and from functions of somebody else's."),
    ("ebpfnf_vm_running", "gauge", "Whether the virtual machine runs."),
    ("ebpfnf_warnings", "gauge", "What is not as it was deployed: ebpfnf status says what."),
)


def metrics(statuses: Iterable[tuple[Mapping[str, str], Mapping[str, Any]]]) -> str:
    """All of them: labels that every sample of a deployment gets (its host), and its status as `ebpfnf status -o json` gives it."""
    samples: dict[str, list[_Sample]] = {}
    for about, found in statuses:
        common = {**about, "deployment": found["deployment"]}
        for name, labels, value in _samples(found):
            samples.setdefault(name, []).append(({**common, **labels}, value))
    return "".join(_family(*metric, samples[metric[0]]) for metric in _METRICS if metric[0] in samples)


def _samples(found: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], int]]:
    yield "ebpfnf_running", {}, found["running"]
    yield "ebpfnf_warnings", {}, len(found["warnings"])
    if found["running"]:
        yield "ebpfnf_generation", {}, found["generation"]
        yield "ebpfnf_uptime_seconds", {}, found["uptime"]
    for port in found["ports"]:
        yield "ebpfnf_port_attached", {"port": port["name"], "interface": port["interface"]}, port["attached"]
    for chain in found["chains"]:
        yield "ebpfnf_chain_packets_total", {"chain": chain["name"]}, chain["packets"]
    for stage in found["stages"]:
        yield "ebpfnf_stage_packets_total", {"stage": stage["id"], "mnf": stage["mnf"]}, stage["in"]
    for reason, count in found["drops"].items():
        yield "ebpfnf_drops_total", {"reason": reason}, count
    for counter, count in found["otherwise"].items():
        yield "ebpfnf_otherwise_packets_total", {"port": counter.removeprefix("port.").removesuffix(".otherwise")}, count
    for counter, count in found["lost"].items():
        yield "ebpfnf_lost_total", {"counter": counter}, count
    for function in found["functions"]:
        for way in ("sent", "returned", "bypassed", "dropped"):
            yield "ebpfnf_function_packets_total", {"function": function["name"], "way": way}, function[way]
    for vm in found["vms"]:
        yield "ebpfnf_vm_running", {"machine": vm["name"], "stage": vm["stage"]}, vm["state"] == "running"


def _family(name: str, kind: str, words: str, samples: Sequence[_Sample]) -> str:
    lines = [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        told = ",".join(f'{label}="{_escaped(str(each))}"' for label, each in labels.items())
        lines.append(f"{name}{{{told}}} {int(value)}")
    return "\n".join([*lines, ""])


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
