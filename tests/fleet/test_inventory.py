"""Inventories, our own and Ansible's: what is nearer wins, every mistake has its place, no secret is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf.errors import SpecError, SpecErrors
from ebpfnf.fleet import inventory

OWN = """\
ebpfnf: 1
vars: {user: ops, known_hosts: known}
hosts:
  edge-1: {address: 192.0.2.11, ports: {wan: enp1s0}}
  edge-2: {address: "2001:db8::12", jump: edge-1, user: root}
  core-1: {}
groups:
  edge: {hosts: [edge-1, edge-2], vars: {sudo: true, ports: {wan: eth9, lan: eth8}}}
  site: {hosts: [core-1], groups: [edge], vars: {port: 2222, sudo: false}}
"""
INI = """\
# Ansible's
core-1
[edge]
edge-[1:2] ansible_host=192.0.2.11 ansible_port=2222 http_port=80
[edge:vars]
ansible_user = ops
ansible_become=yes
ebpfnf_port_wan=eth9
[site:children]
edge
"""
YAML = """\
all:
  vars: {ansible_user: root}
  hosts:
    core-1:
  children:
    edge:
      hosts:
        edge-[1:2]: {ansible_host: 192.0.2.11, ansible_port: 2222}
      vars: {ansible_user: ops, ansible_become: true, ebpfnf_ports: {wan: eth9}}
"""


def read(tmp_path: Path, text: str, name: str = "hosts.yaml") -> inventory.Inventory:
    file = tmp_path / name
    file.write_text(text)
    return inventory.load(file)


def test_nearer_wins(tmp_path: Path) -> None:
    found = read(tmp_path, OWN)
    one, two, core = found.select()
    assert (one.user, one.port, one.sudo, one.ports) == ("ops", 2222, True, {"wan": "enp1s0", "lan": "eth8"})
    assert (two.user, two.jump, two.address, two.known_hosts) == ("root", one, "2001:db8::12", str(tmp_path / "known"))
    assert (core.address, core.sudo, core.ports) == ("core-1", False, {})
    assert [host.name for host in found.select("edge")] == ["edge-1", "edge-2"]
    assert [host.name for host in found.select("site")] == ["core-1", "edge-1", "edge-2"]
    assert [host.name for host in found.select("core-1")] == ["core-1"]
    assert [host.name for host in inventory.select(f"{tmp_path}/hosts.yaml:edge")] == ["edge-1", "edge-2"]
    with pytest.raises(SpecError, match=r"no group or host 'edje' \(did you mean 'edge'\?\)"):
        found.select("edje")


@pytest.mark.parametrize(("text", "name"), [(INI, "hosts"), (INI, "hosts.ini"), (YAML, "hosts.yml")])
def test_ansible(tmp_path: Path, text: str, name: str) -> None:
    found = read(tmp_path, text, name)
    one, two = found.select("edge")
    assert (one.name, two.name, one.address, one.port, one.user, one.sudo) == ("edge-1", "edge-2", "192.0.2.11", 2222, "ops", True)
    assert one.ports == {"wan": "eth9"} and one.where is not None
    assert {host.name for host in found.select()} == {"core-1", "edge-1", "edge-2"}


@pytest.mark.parametrize(
    ("text", "name", "error"),
    [
        ("ebpfnf: 1\nhosts:\n  a: {adress: b}\n", "hosts.yaml", r"hosts\.yaml:3:7: unknown key 'adress' \(did you mean 'address'\?\)"),
        ("ebpfnf: 1\nhosts:\n  a: {port: 70000}\n", "hosts.yaml", r":3:13: port '70000'"),
        ("ebpfnf: 1\nhosts:\n  a: {address: -oProxyCommand=x}\n", "hosts.yaml", r":3:16: address '-oProxyCommand=x'"),
        ("ebpfnf: 1\nhosts:\n  a: {ports: {wan: 'a;b'}}\n", "hosts.yaml", r":3:20: wan 'a;b'"),
        ("ebpfnf: 1\nhosts: {a: {}}\ngroups: {g: {hosts: [b]}}\n", "hosts.yaml", r":3:22: no host 'b'"),
        ("ebpfnf: 1\nhosts: {a: {}}\ngroups:\n  g: {groups: [h]}\n  h: {groups: [g]}\n", "hosts.yaml", r":4:3: group 'g' is inside itself"),
        ("ebpfnf: 1\nhosts: {a: {jump: b}, b: {jump: a}}\n", "hosts.yaml", r":2:9: 'a' is reached over itself"),
        ("ebpfnf: 1\nhosts: {a: {}}\ngroups: {a: {}}\n", "hosts.yaml", r":3:10: group 'a' is a host too"),
        ("ebpfnf: 1\n", "hosts.yaml", r"key 'hosts' is missing"),
        ("[edge]\nh ansible_password=x\n", "hosts", r"hosts:2:3: a password in an inventory \('ansible_password'\)"),
        ("[edge]\nh ansible_port=ssh\n", "hosts", r"hosts:2:3: port 'ssh'"),
        ("[edge\nh\n", "hosts.ini", r"hosts\.ini:1:1: section '\[edge'"),
        ("[e]\nh[1:99999999]\n", "hosts", r"hosts:2:1: 'h\[1:99999999\]' names too many hosts"),
        ("all:\n  hosts: {h: {ansible_become_pass: x}}\n", "hosts.yaml", r":2:15: a password"),
        ("all:\n  host: {h: {}}\n", "hosts.yaml", r":2:3: unknown key 'host'"),
        ("- a\n", "hosts.yaml", r"1:1: the file"),
        ("a: &x {hosts: *x}\n", "hosts.yaml", r"anchor"),
    ],
)
def test_mistakes_have_their_place(tmp_path: Path, text: str, name: str, error: str) -> None:
    with pytest.raises(SpecErrors, match=error):
        read(tmp_path, text, name)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SpecErrors, match="no such file"):
        inventory.select(f"{tmp_path}/none.yaml:edge")
