"""Plans, results, status and tables, drawn for a person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ebpfnf.cli import text

if TYPE_CHECKING:
    from ebpfnf.model import Bundle


def plan_json(bundle: Bundle) -> dict[str, Any]:
    """What a bundle means, for a program."""
    return {
        "deployment": bundle.deployment,
        "digest": bundle.digest,
        "chains": list(bundle.chains),
        "stages": list(bundle.stages),
        "positions": list(bundle.positions),
        "links": list(bundle.links),
        "functions": [{"name": f.name, "ports": list(f.ports), "on_failure": f.on_failure} for f in bundle.functions],
        "segments": _segments(bundle),
        "expected_ns": _expected(bundle)[0],
        "tables": [
            {"name": t.name, "kind": t.kind, "entries": len(t.entries), "filled_by": t.filled_by, "keep": t.keep} for t in bundle.tables
        ],
    }


def plan(bundle: Bundle) -> None:
    """Chains with their mNFs, programs, tables."""
    console = text.console()
    size = f"{text.counted(bundle.stages, 'mNF')}, {text.counted(bundle.programs, 'program')}"
    console.print(f"[bold]{bundle.deployment}[/]  {size}, digest {bundle.digest[:12]}")
    mnfs = {stage["id"]: stage["mnf"] for stage in bundle.stages}
    for chain in bundle.chains:
        console.print(f"\n[bold]{chain['name']}[/]  {chain['on']} {'<-' if chain['direction'] == 'reverse' else '->'} {chain['then']}")
        text.hanging("  match   ", _match(chain["match"]))
        for _, members in groupby((p for p in bundle.positions if p["chain"] == chain["name"]), key=lambda p: p["vnf_index"]):
            _passed(list(members), chain, mnfs)
    for function in bundle.functions:
        console.print(f"\n[bold]{function.name}[/]  between {' and '.join(function.ports)}; without carrier: {function.on_failure}")
    expected, where = _expected(bundle)
    console.print("\nexpected: " + ", ".join(f"{chain} {ns:.0f} ns a packet" for chain, ns in expected.items()) + f"  [dim]({where})[/]\n")
    rows = [(s["name"], s["instructions"], ", ".join(s["positions"]) or "parse, classify") for s in _segments(bundle)]
    text.table("programs", ("program", "instructions#", "holds"), rows)
    filled = [(t.name, t.kind, t.filled_by, len(t.entries) if t.filled_by == "operator" else "", t.size) for t in bundle.tables]
    text.table("tables", ("table", "kind", "filled by", "entries#", "size#"), filled)


def _passed(members: Sequence[Mapping[str, Any]], chain: Mapping[str, Any], mnfs: Mapping[str, str]) -> None:
    """A line of a plan: an instance with its mNFs, or what the classes are by which the path parts; inside of a class set back."""
    console, branch = text.console(), members[0]["branch"]
    indent = "  " * (1 + len(branch.split(".")) if branch else 1)
    if members[0]["stage"].startswith("chain."):
        for k, each in enumerate(each for each in chain["classes"] if each["stage"] == members[0]["stage"]):
            console.print(f"{indent}{'' if k else 'parts':<7} [bold]{each['name']}[/] by {_match(each['match'])}")
        return
    instance = members[0]["stage"].partition(".")[0]
    inside = " → ".join(f"{p['stage'].partition('.')[2]} [dim]({mnfs[p['stage']]})[/]" for p in members)
    text.hanging(f"{indent}{instance:<7} ", inside + (f" [dim]of {branch}[/]" if branch else ""))


def _expected(bundle: Bundle) -> tuple[dict[str, float], str]:
    """Ns a packet of each chain, and where the costs come from."""
    from ebpfnf.analyse.cost import expected
    from ebpfnf.generate import costs

    known = costs.known()
    return expected(bundle, known), f"costs of {known.host}" if known.host else "costs as shipped; 'ebpfnf profile' measures this host"


def _segments(bundle: Bundle) -> list[dict[str, Any]]:
    return [
        {
            "name": program.name,
            "instructions": len(program.insns) // 8,
            "positions": [f"{p['chain']}/{p['stage']}" for p in bundle.positions if p["segment"] == number],
        }
        for number, program in enumerate(bundle.programs)
    ]


def _match(match: Mapping[str, Sequence[Any]]) -> str:
    return ", ".join(f"{name} {'|'.join(map(str, values))}" for name, values in match.items()) or "all IP"


def actions(steps: Sequence[Mapping[str, Any]], why_not: str) -> None:
    """What a deploy would do."""
    if why_not:
        text.note(f"the host was not asked: {why_not}")
        return
    if not steps:
        text.line("this is what runs: nothing to do")
        return
    text.table("a deploy would", ("step", "what", "detail"), [(s["verb"], s["what"], s["detail"]) for s in steps])


def differences(lines: Sequence[str]) -> None:
    """What a file says otherwise than what runs."""
    if lines:
        text.console().print("[bold]differs from what runs[/]")
        for words in lines:
            text.line(f"  {words}")
        text.line("")


def result(done: Mapping[str, Any]) -> None:
    """What a change did."""
    name, generation = done["deployment"], done["generation"]
    if not done["changed"]:
        text.line(f"{name}: nothing to do, " + (f"generation {generation} runs" if generation else "it does not run here"))
    elif generation:
        text.line(f"{name}: generation {generation} runs")
    else:
        text.line(f"{name}: removed")
    for warning in done["warnings"]:
        text.note(f"warning: {warning}")


def status(found: Mapping[str, Any]) -> None:
    """A deployment: ports, chains, stages, why packets were dropped, what is amiss."""
    console = text.console()
    if not found["running"]:
        console.print(f"[bold]{found['deployment']}[/]  [red]does not run[/]")
    else:
        up = int(found["uptime"] or 0)
        since = f"{up // 3600}:{up // 60 % 60:02}:{up % 60:02}"
        console.print(f"[bold]{found['deployment']}[/]  generation {found['generation']}, up {since}, digest {str(found['digest'])[:12]}")
        rows: list[Sequence[Any]] = [
            (
                p["name"],
                p["interface"],
                "attached" if p["attached"] else "detached",
                p["mode"] or "",
                "up" if p["up"] else "down",
                p["otherwise"],
            )
            for p in found["ports"]
        ]
        text.table("", ("port", "interface", "state", "mode", "link", "otherwise"), rows)
        rates = found.get("rates")
        second = ("a second#",) if rates else ()

        def rate(kind: str, name: str) -> tuple[str, ...]:
            return (f"{rates[kind][name]:,.1f}",) if rates else ()

        text.table(
            "",
            ("chain", "on", "path", "then", "packets#", *second),
            [(c["name"], c["on"], " → ".join(c["path"]), c["then"], c["packets"], *rate("chains", c["name"])) for c in found["chains"]],
        )
        rows = [
            (
                s["id"],
                s["mnf"],
                s["in"],
                *rate("stages", s["id"]),
                sum(s["drops"].values()),
                ", ".join(f"{k} {v:,}" for k, v in {**s["outcomes"], **s["ends"]}.items() if v),
            )
            for s in found["stages"]
        ]
        text.table("", ("stage", "mNF", "in#", *second, "dropped#", "other ways out"), rows)
        dropped = [(name, count, *rate("drops", name), found["texts"].get(name, "")) for name, count in found["drops"].items() if count]
        text.table("drops", ("reason", "packets#", *second, "because"), dropped) if dropped else text.line("no drops")
        if found.get("functions"):
            rows = [
                (
                    f["name"], " ".join(f["ports"]), "serves" if f["sent_to"] else "down", f["on_failure"],
                    f["sent"], f["returned"], f["bypassed"] + f["dropped"],
                )
                for f in found["functions"]
            ]  # fmt: skip
            text.table("functions", ("function", "ports", "state", "on failure", "sent#", "returned#", "past or dropped#"), rows)
        rest = [(name, count) for name, count in found["otherwise"].items() if count]
        if rest:
            text.table("taken by no chain", ("port", "packets#"), rest)
        if lost := [(name, count) for name, count in found.get("lost", {}).items() if count]:
            text.table("missed by mNFs beside the path", ("counter", "packets#"), lost)
    _machines(found["deployment"], found["vms"], found["counters"])
    for warning in found["warnings"]:
        text.note(f"warning: {warning}")


def _machines(deployment: str, vms: Sequence[Mapping[str, Any]], counters: Mapping[str, int]) -> None:
    """Virtual machines, what their guests count, and what runs them; libvirt's names less what all have in common."""
    if not vms:
        return
    common = f"ebpfnf.{deployment}."
    rows = [
        (vm["name"].removeprefix(common), vm["state"], vm["role"], vm["accelerator"], vm["flows"], *_frames(vm), vm["tap_dropped"])
        for vm in vms
    ]
    columns = ("machine", "state", "role", "by", "flows#", "received#", "sent#", "dropped#", "tap dropped#")
    text.table("virtual machines", columns, rows)
    sums: dict[tuple[str, str], int] = {}
    for vm in vms:
        for name, count in vm["counters"].items():
            if not name.startswith("vm.") and count:
                sums[vm["stage"], name] = sums.get((vm["stage"], name), 0) + count
    if sums:
        text.table("in their guests", ("stage", "counter", "count#"), [(*names, count) for names, count in sums.items()])
    for stage in dict.fromkeys(vm["stage"] for vm in vms):
        instance = stage.partition(".")[0]
        told = [(counters.get(f"{instance}.{name}", 0), words) for name, words in _HISTORY.items()]
        if any(count for count, _ in told):
            text.line(f"{stage}: " + ", ".join(f"{count:,} {words}" for count, words in told))
    for words in dict.fromkeys(vm["about"] for vm in vms if vm["about"]):
        text.line(words)


_HISTORY = {"vm_failed": "failures of machines", "vm_started_again": "started again", "vm_moved": "flows moved to another"}


def _frames(vm: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(vm["counters"].get(f"vm.{name}", 0) for name in ("received", "sent", "dropped"))


def entry(value: Any) -> str:
    """A table's value in one line."""
    if isinstance(value, Mapping):
        return " ".join(f"{name}={entry(each)}" for name, each in value.items())
    if isinstance(value, list):
        return "|".join(entry(each) for each in value)
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)


def entries(name: str, found: Sequence[Sequence[Any]]) -> None:
    """All entries of a table."""
    if not found:
        text.line(f"{name}: no entries")
        return
    text.table(name, ("key", "value"), [(entry(key), entry(value)) for key, value in found])
