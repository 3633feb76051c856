"""Against programs of others that Debian has: xdp-filter (xdp-tools), measured from outside, as its own command loads and fills it.

Katran, which our load balancer should be held against, is in no package.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks import chains
from benchmarks.frames import Mix
from benchmarks.measure import ROUNDS, Figure, Unavailable, figure, ratio
from benchmarks.memory import Memory
from ebpfnf.kernel import links, programs

_ADDRESSES, _PORTS = 64, 16
_FILTER = f"""\
ebpfnf: 1
deployment: filter
tables: TABLES
ports:
  wan: {{interface: eth0}}
vnfs:
  edge:
    vnf: edge-firewall
    rules:
      - deny: {{ip.src: [{", ".join(f"172.16.0.{k}" for k in range(_ADDRESSES))}]}}
      - deny: {{ip.proto: tcp, l4.dport: [{", ".join(str(1024 + k) for k in range(_PORTS))}]}}
    default: allow
chains:
  inbound: {{on: wan, match: {{}}, path: [edge], then: pass}}
"""


def vs_xdp_filter(rounds: int = ROUNDS) -> list[Figure]:
    """A firewall that denies 64 sources and 16 ports; what is measured is denied by none."""
    if not shutil.which("xdp-filter"):
        raise Unavailable("xdp-filter: apt-get install xdp-tools")
    bundles = {tables: chains.build(chains.load(_FILTER.replace("TABLES", tables))) for tables in ("kernel", "direct")}
    arms = ["xdp-filter", "kernel", "direct"]
    with Memory(bundles) as rig, _filtering(rig.ifindex) as program:
        rig.add("xdp-filter", program)
        for denied in (Mix(source="172.16.0.0", flows=_ADDRESSES), Mix(port=1024 + _PORTS - 1), Mix(port=1024 + _PORTS)):
            rig.verify(denied, arms)
        found: list[Figure] = []
        for words, mix in {"IPv4": Mix(), "IPv6": Mix(family=6)}.items():
            rig.verify(mix, arms)
            samples = rig.compare(arms, rounds)
            found += [figure(f"{arm if arm == 'xdp-filter' else f'ebpfnf, {arm} tables'}, {words}", samples[arm], "ns") for arm in arms]
            found.append(ratio(f"direct / xdp-filter, {words}", samples["direct"], samples["xdp-filter"], 0.25))
    return found


@contextmanager
def _filtering(ifindex: int) -> Iterator[int]:
    """xdp-filter runs at this interface; gives the fd of its program."""
    name = socket.if_indextoname(ifindex)
    _command("load", "--features", "tcp,ipv4,ipv6", name)
    try:
        for k in range(_ADDRESSES):
            _command("ip", "--mode", "src", f"172.16.0.{k}")
        for k in range(_PORTS):
            _command("port", "--mode", "dst", "--proto", "tcp", str(1024 + k))
        owner = links.owner(ifindex)
        assert owner is not None
        fd = programs.open_id(owner.prog_id)
        try:
            yield fd
        finally:
            os.close(fd)
    finally:
        _command("unload", name)


def _command(*arguments: str) -> None:
    done = subprocess.run(["xdp-filter", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"xdp-filter {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")


BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {"vs-xdp-filter": vs_xdp_filter}
