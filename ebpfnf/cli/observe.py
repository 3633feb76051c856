"""What runs: status, metrics, watch."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ebpfnf.cli import draw, everywhere, text
from ebpfnf.cli.common import Deployment, HostsOption, OutputOption, host
from ebpfnf.cli.text import Output

if TYPE_CHECKING:
    from ebpfnf.fleet.host import Host


def status(
    context: typer.Context,
    deployment: Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="Only this one.", show_default=False)] = "",
    hosts: HostsOption = "",
    rates: Annotated[float, typer.Option("--rates", metavar="SECONDS", help="Look twice: packets a second too.", min=0)] = 0.0,
    output: OutputOption = Output.text,
) -> None:
    """Show what runs, what was dropped, and why."""
    if hosts and rates:
        raise typer.BadParameter("--rates looks at this machine only: without --hosts")
    if hosts:
        everywhere.status(hosts, deployment, output)
        return
    where = host(context, "status")
    if output is Output.text:
        threading.Thread(target=text.get_ready_to_draw).start()
    payload = {"deployment": deployment} if deployment else {}
    found = where.run("status", payload)
    if rates:
        found = _with_rates(where, payload, found, rates)
    if output is Output.json:
        text.as_json(found)
    elif deployment:
        draw.status(found)
    elif not found:
        text.line("nothing is deployed here")
    else:
        for each in found:
            draw.status(each)
    if deployment and not found["running"]:
        raise typer.Exit(1)


def _with_rates(where: Host, payload: Mapping[str, Any], before: Any, seconds: float) -> Any:
    """The status once more after `seconds`, with what came in between."""
    began = time.monotonic()
    time.sleep(seconds)
    after = where.run("status", payload)
    passed = time.monotonic() - began
    old = {each["deployment"]: each for each in ([before] if payload else before)}
    for each in [after] if payload else after:
        each["rates"] = _rates(old.get(each["deployment"], each), each, passed)
    return after


def _rates(before: Mapping[str, Any], after: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Packets a second of chains, stages and drop reasons. What is new did not count before."""

    def rate(new: Mapping[str, int], old: Mapping[str, int]) -> dict[str, float]:
        return {name: round(max(0, count - old.get(name, 0)) / seconds, 1) for name, count in new.items()}

    def by(found: Mapping[str, Any], kind: str, name: str, count: str) -> dict[str, int]:
        return {each[name]: each[count] for each in found[kind]}

    return {
        "seconds": round(seconds, 3),
        "chains": rate(by(after, "chains", "name", "packets"), by(before, "chains", "name", "packets")),
        "stages": rate(by(after, "stages", "id", "in"), by(before, "stages", "id", "in")),
        "drops": rate(after["drops"], before["drops"]),
    }


def metrics(context: typer.Context, hosts: HostsOption = "") -> None:
    """Print what runs as Prometheus reads it.

    Ports, packets of chains and stages, drops by reason, VMs, warnings.
    """
    if hosts:
        everywhere.metrics(hosts)
        return
    from ebpfnf.observe import prometheus

    found = host(context).run("status", {})
    text.line(prometheus.metrics(({}, each) for each in found).rstrip("\n"))


def watch(context: typer.Context, deployment: Deployment) -> None:
    """Mend VMs and ports of a deployment, as they fail. Ends by Ctrl-C.

    Lets what is lossy read its copies of packets. Optional: packets flow without it. It waits for a deployment that does not run yet.
    """
    host(context).run("watch", {"deployment": deployment}, lambda told: text.line(f"{told['step']} {told['what']}: {told['detail']}"))
