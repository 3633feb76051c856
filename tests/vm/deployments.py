"""Deployments with a stage in VMs."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from ebpfnf import pipeline, spec
from ebpfnf.model import Bundle

_VNF = """
vnf: through-vm
summary: a stage in VMs, with stages in XDP before and behind
params:
  on_failure: {type: "enum[bypass,drop]", default: drop}
  smallest: {type: u16, default: 90}
  instances: {type: u8, default: 1}
mnfs:
  hash: {mnf: flow_hash}
  pack: {mnf: compress, on_failure: $on_failure, smallest: $smallest, instances: $instances}
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
def bundle(params: str = "", granularity: str = "chain", name: str = "through", ports: tuple[str, str] = ("eth0", "eth1")) -> Bundle:
    """`compress` without peers, which leaves every packet as it is; `params` is more YAML about the VNF's instance."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "vnfs").mkdir()
        (folder / "vnfs" / "through-vm.yaml").write_text(_VNF)
        (folder / "chain.yaml").write_text(_CHAIN % (name, granularity, *ports, params))
        return pipeline.build(spec.load(folder / "chain.yaml"))
