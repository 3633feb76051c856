"""Whether a host is well after a change: what it says of itself before and after, and the operator's own check."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ebpfnf.fleet.inventory import Target


@dataclass(frozen=True, slots=True)
class Gates:
    """What must hold before the next hosts have their turn."""

    max_drops: float = 100.0  # percent of the packets that entered chains meanwhile
    forbidden: tuple[str, ...] = ()  # reasons that nothing may be dropped for
    check: str = ""  # a shell command; EBPFNF_HOST, EBPFNF_ADDRESS and EBPFNF_DEPLOYMENT tell it about whom
    check_seconds: float = 60.0


def unwell(before: Mapping[str, Any], after: Mapping[str, Any], digest: str, gates: Gates) -> str:
    """Why the host is not well, by two of its statuses; empty where it is."""
    if after["digest"] != digest:
        return "something else runs there than was sent"
    detached = [port["name"] for port in after["ports"] if not port["attached"]]
    if detached:
        return f"port '{detached[0]}' is detached"
    news = [each for each in after["warnings"] if each not in before["warnings"]]
    if news:
        return str(news[0])
    more = {name: count - before["drops"].get(name, 0) for name, count in after["drops"].items()}
    worst = sorted((name for name, count in more.items() if count > 0), key=lambda name: -more[name])
    for name in gates.forbidden:
        if more.get(name, 0) > 0:
            return f"{more[name]} packets were dropped for {name}"
    entered = sum(chain["packets"] for chain in after["chains"]) - sum(chain["packets"] for chain in before["chains"])
    dropped = sum(count for count in more.values() if count > 0)
    if entered > 0 and 100 * dropped > gates.max_drops * entered:
        return f"{100 * dropped / entered:.1f} % of {entered} packets were dropped, most for {worst[0]}"
    return ""


def refused(target: Target, deployment: str, gates: Gates) -> str:
    """Why the operator's check is against it; empty where it is for it, or there is none."""
    if not gates.check:
        return ""
    about = {"EBPFNF_HOST": target.name, "EBPFNF_ADDRESS": target.address, "EBPFNF_DEPLOYMENT": deployment}
    try:
        done = subprocess.run(
            ["sh", "-c", gates.check], env={**os.environ, **about}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=gates.check_seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"the check took more than {gates.check_seconds:.0f} s"
    last = (done.stderr or done.stdout).strip().splitlines()[-1:]
    return f"the check failed with {done.returncode}" + (f": {last[0][:200]}" if last else "") if done.returncode else ""
