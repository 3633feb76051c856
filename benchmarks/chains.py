"""The deployments that are measured, as the files that an operator would write."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ebpfnf import pipeline, spec
from ebpfnf.model import Bundle, Deployment

DC_EDGE = Path(__file__).resolve().parent.parent / "examples" / "dc-edge" / "chain.yaml"
_ACL = """\
vnf: acl
summary: One access list.
params:
  rules: {type: "list[rule]", doc: tried in order}
mnfs:
  acl: {mnf: acl_5t, rules: $rules}
"""
_BACKENDS = [f'{{v4: 10.1.0.{k}, v6: "2001:db8:1::{k}", port: 8080}}' for k in range(11, 27)]
_BENCH4 = """\
ebpfnf: 1
deployment: {name}
granularity: {granularity}
{tables}
ports:
  wan: {{interface: eth0}}
  lan: {{interface: eth1}}
vnfs:
  acl:
    vnf: acl
    rules:
{rules}
  stats: {{vnf: monitor, subnets: [{subnets}]}}
  waf: {{vnf: application-firewall-stream}}
  lb:
    vnf: load-balancer
    vips: [198.51.100.7, "2001:db8::7"]
    port: 80
    backends: [{backends}]
chains:
  inbound:
    on: wan
    match: {{}}
    path: [{path}]
    then: "out: lan"
"""


def bench4(
    *,
    rules: int = 32,
    prefixes: int = 64,
    granularity: str = "chain",
    tables: str = "kernel",
    name: str = "bench4",
    flow_cache: int = 0,
    path: str = "acl, stats, lb",
) -> Deployment:
    """Parse, ACL, monitor, load balancer, redirect. The traffic of frames.Mix fits the last rule and the last subnet only.

    In the path may also stand `waf`, an application firewall with a stage in VMs.
    """
    denied = [f"      - deny: {{ip.src: 172.{16 + k // 256 % 16}.{k % 256}.0/24, l4.dport: {1024 + k}}}" for k in range(rules - 1)]
    allowed = "      - allow: {ip.dst: [198.51.100.7], l4.dport: 80}" if rules == 1 else "      - allow: {l4.dport: 80}"
    nets = [f"100.{64 + k // 256 % 64}.{k % 256}.0/24" for k in range(prefixes - 2)] + ["198.51.100.0/24", '"2001:db8::/64"']
    return load(
        _BENCH4.format(
            name=name,
            path=path,
            granularity=granularity,
            tables=f"tables: {tables}\nflow_cache: {flow_cache}",
            rules="\n".join([*denied, allowed]),
            subnets=", ".join(nets),
            backends=", ".join(_BACKENDS),
        ),
        vnfs={"acl": _ACL},
    )


def load(text: str, vnfs: Mapping[str, str] | None = None, mnfs: Mapping[str, tuple[str, str]] | None = None) -> Deployment:
    """A deployment as if `text` stood in chain.yaml. `mnfs`: name -> manifest, body."""
    root = Path(tempfile.mkdtemp(prefix="ebpfnf-bench-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)  # building reads bodies later
    (root / "vnfs").mkdir()
    for name, template in (vnfs or {}).items():
        (root / "vnfs" / f"{name}.yaml").write_text(template)
    for name, (manifest, body) in (mnfs or {}).items():
        (root / "mnfs" / name).mkdir(parents=True)
        (root / "mnfs" / name / "mnf.yaml").write_text(manifest)
        (root / "mnfs" / name / "mnf.c").write_text(body)
    file = root / "chain.yaml"
    file.write_text(text)
    return spec.load(file)


def build(deployment: Deployment) -> Bundle:
    """Its bundle."""
    return pipeline.build(deployment)
