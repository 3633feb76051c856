"""Protects: what Prometheus reads is what `status -o json` says, in the text format's grammar."""

from __future__ import annotations

import re

from ebpfnf.observe import prometheus

STATUS = {
    "deployment": "edge",
    "running": True,
    "generation": 3,
    "uptime": 17,
    "ports": [{"name": "wan", "interface": "eth0", "attached": True}, {"name": "lan", "interface": "eth1", "attached": False}],
    "chains": [{"name": "inbound", "packets": 12}],
    "stages": [{"id": "fw.acl", "mnf": "acl_5t", "in": 12}],
    "drops": {"fw.acl_deny": 5},
    "otherwise": {"port.wan.otherwise": 2},
    "lost": {},
    "functions": [{"name": "nft", "sent": 4, "returned": 3, "bypassed": 0, "dropped": 1}],
    "vms": [{"name": "ebpfnf.edge.a.0", "stage": "waf.stream", "state": "paused"}],
    "warnings": ["port 'lan' is detached from 'eth1'"],
}
_LABEL = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
_SAMPLE = re.compile(rf"(?P<name>[a-z_]+)\{{{_LABEL}(?:,{_LABEL})*\}} \d+\.0")


def test_each_number_is_there_with_its_labels() -> None:
    lines = prometheus.metrics([({}, STATUS)]).splitlines()
    assert 'ebpfnf_port_attached{deployment="edge",interface="eth1",port="lan"} 0.0' in lines
    assert 'ebpfnf_chain_packets_total{chain="inbound",deployment="edge"} 12.0' in lines
    assert 'ebpfnf_stage_packets_total{deployment="edge",mnf="acl_5t",stage="fw.acl"} 12.0' in lines
    assert 'ebpfnf_drops_total{deployment="edge",reason="fw.acl_deny"} 5.0' in lines
    assert 'ebpfnf_otherwise_packets_total{deployment="edge",port="wan"} 2.0' in lines
    assert 'ebpfnf_function_packets_total{deployment="edge",function="nft",way="returned"} 3.0' in lines
    assert 'ebpfnf_vm_running{deployment="edge",machine="ebpfnf.edge.a.0",stage="waf.stream"} 0.0' in lines
    assert 'ebpfnf_warnings{deployment="edge"} 1.0' in lines


def test_a_family_stands_together_under_its_type_once() -> None:
    text = prometheus.metrics([({"host": "h1"}, STATUS), ({"host": 'h"2\\'}, STATUS | {"running": False})])
    family, seen = "", []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            family = line.split()[2]
            seen.append(family)
        elif not line.startswith("#"):
            match = _SAMPLE.fullmatch(line)
            assert match and match["name"] == family, line
            assert family.endswith("_total") == (f"# TYPE {family} counter" in text)
    assert len(seen) == len(set(seen))
    assert 'ebpfnf_running{deployment="edge",host="h\\"2\\\\"} 0.0' in text and 'ebpfnf_generation{deployment="edge",host="h1"' in text
    assert text.count("ebpfnf_generation{") == 1, "what does not run has no generation"


def test_nothing_deployed_is_nothing() -> None:
    assert prometheus.metrics([]) == ""
