"""The status of deployments in Prometheus' text format (0.0.4), as node_exporter's textfile collector reads it too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

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
    registry = CollectorRegistry()
    registry.register(_Told(statuses))
    return generate_latest(registry).decode()


class _Told(Collector):
    """Families in the order above, each once, without those that have no sample."""

    def __init__(self, statuses: Iterable[tuple[Mapping[str, str], Mapping[str, Any]]]) -> None:
        self._families = {name: Metric(name.removesuffix("_total"), words, kind) for name, kind, words in _METRICS}
        for about, found in statuses:
            common = {**about, "deployment": str(found["deployment"])}
            for name, labels, value in _samples(found):
                self._families[name].add_sample(name, {**common, **{key: str(each) for key, each in labels.items()}}, value)

    def collect(self) -> Iterator[Metric]:
        return (family for family in self._families.values() if family.samples)


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
