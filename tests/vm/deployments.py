"""Deployments with a stage in VMs."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from ebpfnf import pipeline, spec
from ebpfnf.model import Bundle

_SHARED = "on_failure: $on_failure, instances: $instances, standby: $standby, linger: $linger"
PACK = ("smallest: {type: u16, default: 90}", f"pack: {{mnf: compress, smallest: $smallest, {_SHARED}}}")
# It drops whatever is of a connection that the guest did not see begin.
REASM = ("idle: {type: duration, default: 60s}", f"pack: {{mnf: tcp_reasm, adopt: 0s, idle: $idle, {_SHARED}}}")
_VNF = """
vnf: through-vm
summary: a stage in VMs, with stages in XDP before and behind
params:
  on_failure: {type: "enum[bypass,drop]", default: drop}
  %s
  instances: {type: u8, default: 1}
  standby: {type: u8, default: 0}
  linger: {type: duration, default: 60s}
mnfs:
  hash: {mnf: flow_hash}
  %s
  ttl: {mnf: ttl_dec}
"""
_CHAIN = """
ebpfnf: 1
deployment: %s
granularity: %s
ports:
  a: {interface: %s}
  b: {interface: %s}
vnfs:
  x: {vnf: through-vm%s}
chains:
  there: {on: a, match: {}, path: [x], then: "out: b"}
  back: {on: b, direction: reverse, match: {}, path: [x], then: "out: a"}
"""


@cache
def bundle(
    params: str = "",
    granularity: str = "chain",
    name: str = "through",
    ports: tuple[str, str] = ("eth0", "eth1"),
    node: tuple[str, str] = PACK,
    watched: bool = False,
) -> Bundle:
    """`compress` without peers, which leaves every packet as it is; `params` is more YAML about the VNF's instance.

    `node`: the mNF, with a parameter of its own. `watched`: behind stands a monitor that may miss packets.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "vnfs").mkdir()
        (folder / "vnfs" / "through-vm.yaml").write_text(_VNF % node)
        text = _CHAIN % (name, granularity, *ports, params)
        if watched:
            text = text.replace("chains:", "  watcher: {vnf: monitor, lossy: true}\nchains:").replace("[x]", "[x, watcher]")
        (folder / "chain.yaml").write_text(text)
        return pipeline.build(spec.load(folder / "chain.yaml"))
