"""What mNFs and hops cost, as segmenting and `plan` reckon with it: measured on this host by `ebpfnf profile`, else as shipped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ebpfnf.errors import GenerateError

_VERSION = 1
VM = "vm"  # what it costs to hand a packet to a stage's machine, whatever that does
_SYSTEM = Path("/var/lib/ebpfnf/profile.json")


@dataclass(frozen=True, slots=True)
class Costs:
    """Nanoseconds a packet and instructions for the verifier."""

    entry: float  # ns: parse, classify, leave
    ns: Mapping[str, float]  # of an mNF, by its name
    verified: Mapping[str, int]  # instructions that the verifier looks at, by the mNF's name
    hops: tuple[tuple[int, float], ...]  # (programs, ns of one tail call, on average, where there are up to so many)
    other: float = 10.0  # ns of an mNF that nobody measured
    other_verified: int = 5_000
    host: str = field(default="", compare=False)  # where it was measured

    def hop(self, programs: int) -> float:
        """Ns of one tail call, with the record's saving and loading, where there are so many programs."""
        return next((ns for most, ns in self.hops if programs <= most), self.hops[-1][1])

    def of(self, mnf: str) -> float:
        """Ns of an mNF."""
        return self.ns.get(mnf, self.other)

    def steps(self, mnf: str) -> int:
        """Instructions that the verifier looks at for an mNF."""
        return self.verified.get(mnf, self.other_verified)


# Zen 4 at 3.7 GHz with retpolines, Linux 6.18, the example's tables; verified of what LLVM 19 makes, which is more than LLVM 14's.
SHIPPED = Costs(
    entry=45.0,
    ns={
        "acl_l2": 10.0, "acl_5t": 20.0, "size_hist": 3.0, "subnet_count": 14.0, "http_classify": 45.0, "sqli_check": 5.0, "flow_hash": 6.0,
        "lb_maglev": 30.0, "dnat_rewrite": 45.0, "check_ip": 6.0, "route": 45.0, "ttl_dec": 4.0, "mac_rewrite": 2.0, "part": 2.0,
        "beside": 20.0, "vm": 60.0,
    },
    verified={
        "acl_l2": 2_100, "acl_5t": 9_300, "size_hist": 400, "subnet_count": 2_300, "http_classify": 18_200, "sqli_check": 110_000,
        "flow_hash": 200, "lb_maglev": 1_500, "dnat_rewrite": 30_200, "check_ip": 1_400, "route": 2_100, "ttl_dec": 600,
        "mac_rewrite": 600, "stream_pick": 43_000, "doubt": 200, "part": 100, "vm": 13_600,
    },
    hops=((8, 9.0), (33, 14.0)),
)  # fmt: skip


def path() -> Path:
    """Where a profile is kept: with root's other state, or the user's."""
    if os.geteuid() == 0:
        return _SYSTEM
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(state) / "ebpfnf/profile.json"


def known() -> Costs:
    """This host's profile, or what is shipped; GenerateError where the file is broken."""
    file = path()
    try:
        data = json.loads(file.read_text())
        if data.pop("version") != _VERSION:
            return SHIPPED
        return Costs(**{**data, "hops": tuple((int(most), float(ns)) for most, ns in data["hops"])})
    except (FileNotFoundError, PermissionError):  # root's is nobody else's business
        return SHIPPED
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GenerateError(f"'{file}' is no profile: {error}", cure="measure again: ebpfnf profile") from None


def store(costs: Costs) -> Path:
    """Keeps a profile where `known` finds it."""
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True)
    data = {name: getattr(costs, name) for name in Costs.__dataclass_fields__}
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps({"version": _VERSION, **data}, indent=1, default=dict) + "\n")
    temporary.replace(file)
    return file
