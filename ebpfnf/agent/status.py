"""What a person or a program wants to know about a deployment, as JSON's types."""

from __future__ import annotations

from typing import Any

from ebpfnf.agent import flows, functions, outputs
from ebpfnf.agent.manifest import Manifest, uptime
from ebpfnf.agent.plan import in_place
from ebpfnf.agent.seen import Observed, Totals
from ebpfnf.model import Counter, Function, Port

_DOWN = {"bypass": "packets are led past it", "drop": "its packets are dropped"}


def status(seen: Observed) -> dict[str, Any]:
    """Ports, chains, stages, drops; sums include the generations that are gone, so they never go back."""
    told, refused = _guests(seen)
    sums = total(seen).plus(refused)
    running = seen.running
    manifest = running.manifest if running else None
    previous = seen.previous
    return {
        "deployment": seen.deployment,
        "running": manifest is not None,
        "generation": seen.live or None,
        "previous": previous.number if previous else None,
        "digest": manifest.digest if manifest else None,
        "applied": manifest.applied if manifest else None,
        "uptime": max(0, uptime() - manifest.since_boot) if manifest else None,
        "ports": [_port(port, seen) for port in manifest.ports] if manifest else [],
        "chains": [_chain(chain, manifest, sums) for chain in manifest.chains] if manifest else [],
        "stages": [_stage(stage, manifest, sums) for stage in manifest.stages] if manifest else [],
        "drops": _of_kinds(manifest, sums, "drop", "fault"),
        "otherwise": _of_kinds(manifest, sums, "otherwise"),
        "lost": _of_kinds(manifest, sums, "lost"),
        "counters": dict(sorted(sums.counters.items())),
        "texts": {c.name: c.text for c in manifest.counters if c.text} if manifest else {},
        "tables": [_table(table.name, table.kind, table.size, seen) for table in manifest.tables] if manifest else [],
        "missed": seen.missed,
        "vms": told,
        "functions": [_function(function, manifest, seen, sums) for function in manifest.functions] if manifest else [],
        "strays": seen.strays,
        "warnings": warnings(seen),
    }


def _guests(seen: Observed) -> tuple[list[dict[str, Any]], Totals]:
    """VMs, and what their taps refused. What knows VMs is imported only where there are some."""
    if not seen.needs.get(seen.live):
        return [], Totals()
    from ebpfnf.agent import guests

    told = guests.rows(seen)
    return told, guests.refused(told)


def total(seen: Observed) -> Totals:
    """Sums over this host's generations, those that are gone too."""
    sums = seen.retired
    for generation in seen.generations:
        sums = sums.plus(flows.totals(generation))
    return sums


def warnings(seen: Observed) -> list[str]:
    """What is not as it was deployed."""
    found = []
    if seen.journal:
        found.append(f"a change was cut off ({seen.journal}): deploy again to finish or tidy it")
    if seen.exists and seen.running is None:
        found.append("what runs has lost its pins: deploy again" if seen.occupied else "no generation is live: deploy again")
    running = seen.running
    for port in running.manifest.ports if running and running.manifest else ():
        if in_place(port, seen):
            continue
        if port.interface not in seen.interfaces:
            found.append(f"port '{port.name}': interface '{port.interface}' is not here" + _elsewhere(port, seen))
        else:
            owner = seen.owners.get(seen.interfaces[port.interface].program, "")
            words = f", which belongs to {owner}" if owner else _elsewhere(port, seen) or ": 'ebpfnf watch' or a deploy attaches it"
            found.append(f"port '{port.name}' is detached from '{port.interface}'{words}")
    if running and running.manifest:
        found += outputs.warnings(running.manifest, seen.interfaces)
        now, sent_to = functions.serving(running.manifest, seen.interfaces), seen.serving.get(running.number, frozenset())
        for function in running.manifest.functions:
            if function.name not in now:
                words = _DOWN[function.on_failure] if function.name not in sent_to else "packets go to it until watch or a deploy looks"
                found.append(f"function '{function.name}' has no carrier: {words}")
    if seen.needs.get(seen.live):
        from ebpfnf.agent import guests

        found += guests.warnings(seen)
    if running and running.manifest:
        missed = {name: n for name, n in _of_kinds(running.manifest, total(seen), "lost").items() if n}
        found += [f"{name}: {n} packets found no room for a copy: 'ebpfnf watch' reads them" for name, n in missed.items()]
    if seen.missed:
        found.append(f"{seen.missed} packets found no live generation")
    found += [f"table '{name}' was full {fill['full']} times" for name, fill in sorted(seen.fills.items()) if fill.get("full")]
    found += [f"table '{name}' was changed live: {words}" for name, words in sorted(seen.edited.items())]
    return found


def _elsewhere(port: Port, seen: Observed) -> str:
    """Where a port's program is that is not where it was attached: a link stays with its interface, whatever that is called."""
    link = next((each for each in seen.ports if each.name == port.name and each.program and each.ifindex), None)
    if link is None:
        return ""
    names = [name for name, here in seen.interfaces.items() if (here.ifindex, here.program) == (link.ifindex, link.program)]
    return f"; its program is on '{names[0]}'" if names else "; its program is on an interface of another network namespace (--netns)"


def _port(port: Port, seen: Observed) -> dict[str, Any]:
    interface = seen.interfaces.get(port.interface)
    return {
        "name": port.name,
        "number": port.number,
        "interface": port.interface,
        "ifindex": interface.ifindex if interface else None,
        "up": interface.up if interface else None,
        "attached": in_place(port, seen),
        "mode": interface.mode if interface and in_place(port, seen) else None,
        "otherwise": port.otherwise,
    }


def _function(function: Function, manifest: Manifest, seen: Observed, sums: Totals) -> dict[str, Any]:
    """A function of somebody else's; `serves`: its carrier, `sent_to`: what packets do."""
    counts = {what: sums.counters.get(f"{function.name}.{what}", 0) for what in ("sent", "returned", "bypassed", "function_down")}
    return {
        "name": function.name,
        "ports": list(function.ports),
        "on_failure": function.on_failure,
        "image": seen.images.get(functions.machine(seen.deployment, function, manifest.ports), "gone") if function.image else None,
        "serves": function.name in functions.serving(manifest, seen.interfaces),
        "sent_to": function.name in seen.serving.get(manifest.generation, frozenset()),
        "sent": counts["sent"],
        "returned": counts["returned"],
        "bypassed": counts["bypassed"],
        "dropped": counts["function_down"],
    }


def _chain(chain: Any, manifest: Manifest, sums: Totals) -> dict[str, Any]:
    entered = {c.name for c in manifest.counters if c.kind == "entered" and c.chain == chain["name"]}
    about = {key: chain.get(key) for key in ("name", "on", "direction", "path", "then")}
    return {**about, "packets": sum(sums.counters.get(name, 0) for name in entered)}


def _stage(stage: Any, manifest: Manifest, sums: Totals) -> dict[str, Any]:
    """Counters of one stage; the same name at two places of it is one counter here."""
    mine = [c for c in manifest.counters if c.stage == stage["id"]]
    return {
        "id": stage["id"],
        "mnf": stage["mnf"],
        "in": sums.stages.get(stage["id"], 0),
        "drops": _named(mine, sums, "drop", "fault"),
        "outcomes": _named(mine, sums, "outcome"),
        "ends": _named(mine, sums, "pass", "tx", "redirect"),
    }


def _named(counters: list[Counter], sums: Totals, *kinds: str) -> dict[str, int]:
    return {c.name: sums.counters.get(c.name, 0) for c in counters if c.kind in kinds}


def _of_kinds(manifest: Manifest | None, sums: Totals, *kinds: str) -> dict[str, int]:
    return _named(list(manifest.counters), sums, *kinds) if manifest else {}


def _table(name: str, kind: str, size: int, seen: Observed) -> dict[str, Any]:
    return {"name": name, "kind": kind, "size": size, "edited": name in seen.edited, **seen.fills.get(name, {})}
