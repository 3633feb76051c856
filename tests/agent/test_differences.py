"""Protects: what `plan` says that would change is what the files say otherwise, no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.agent import manifest
from ebpfnf.agent.differences import differences
from ebpfnf.bundle import decode, encode

CHAIN = """\
ebpfnf: 1
deployment: site
ports: {wan: {interface: eth0, otherwise: pass}, lan: {interface: eth1}}
vnfs:
  fw: {vnf: edge-firewall, rules: [{deny: {ip.src: 203.0.113.0/24}}, {allow: {l4.dport: 80}}]}
  meter: {vnf: monitor, subnets: [10.1.0.0/24]}
chains:
  inbound: {on: wan, match: {ip.proto: tcp}, path: [fw], then: {out: lan}}
"""
RULE = "match=ip.src=192.0.2.0/24 action=deny class=0"


def told(folder: Path, before: str, after: str) -> list[str]:
    bundles = []
    for text in (before, after):
        (folder / "chain.yaml").write_text(text)
        bundles.append(decode(encode(pipeline.build(spec.load(folder / "chain.yaml")))))
    old, new = bundles
    entries = {table.name: table.entries for table in old.tables}
    return differences(new, manifest.of_bundle(old, 1, {}, {}), entries)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("", "", []),
        ("rules: [", "rules: [{deny: {ip.src: 192.0.2.0/24}}, ", [f"fw.acl.rules: + {RULE}"]),  # those behind it have other numbers now
        (", {allow: {l4.dport: 80}}", "", ["fw.acl.rules: - match=l4.dport=80 action=allow class=0"]),
        ("otherwise: pass", "otherwise: drop", ["- port wan: eth0, otherwise pass", "+ port wan: eth0, otherwise drop"]),
        ("ip.proto: tcp", "ip.proto: udp", ["chain inbound: match ip.proto=tcp -> ip.proto=udp"]),
        ("edge-firewall, ", "edge-firewall, default: allow, ", ["parameters, or how it is compiled"]),
    ],
)
def test_only_what_is_said_otherwise_is_told(old: str, new: str, words: list[str], tmp_path: Path) -> None:
    assert told(tmp_path, CHAIN, CHAIN.replace(old, new, 1)) == words


def test_another_path_brings_stages_and_tables(tmp_path: Path) -> None:
    lines = told(tmp_path, CHAIN, CHAIN.replace("path: [fw]", "path: [fw, meter]"))
    assert lines[0] == "chain inbound: path fw -> fw|meter"
    assert {"+ stage meter.sizes: size_hist", "+ stage meter.subnets: subnet_count"} <= set(lines)
    assert "meter.subnets.subnets: + 10.1.0.0/24: 0" in lines


def test_of_many_entries_some_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    many = ", ".join(f"{{deny: {{ip.src: 10.0.{n}.0/24}}}}" for n in range(30))
    lines = told(tmp_path, CHAIN, CHAIN.replace("rules: [", f"rules: [{many}, "))
    assert len(lines) == 21 and lines[-1] == "fw.acl.rules: 10 entries more"
