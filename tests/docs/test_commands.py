"""Every command in README, tutorials and how-tos does what it says, in a folder with what they speak of."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcapng

from ebpfnf.lab import namespaces
from ebpfnf.lab.hosts import HostLab
from ebpfnf.lab.hosts_topology import line
from ebpfnf.lab.offload import set_offload
from tests.docs.commands import Command, commands

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs" / "tutorial").glob("*.md")), *sorted((ROOT / "docs" / "how-to").glob("*.md"))]
WITH_COMMANDS = [file for file in FILES if any(not command.why_not for command in commands(file))]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """What the documents speak of: a chain, a capture, an mNF, a signer's key, the examples. Hosts see it too, unlike what is in /tmp."""
    with TemporaryDirectory(dir="/var/tmp", prefix="ebpfnf-docs-") as name:
        made = Path(name)
        (made / "chain.yaml").write_text(re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1])
        shutil.copytree(ROOT / "examples", made / "examples")
        shutil.copytree(ROOT / "hosts", made / "hosts")
        shutil.copytree(ROOT / "ebpfnf" / "progs" / "acl_5t", made / "acl_5t")
        body = made / "acl_5t" / "mnf.c"  # another version of it
        body.write_text(
            body.read_text().replace("\tpkt->m.class =", "\tif (rule->class > 1000)\n\t\treturn DROP(acl_deny);\n\tpkt->m.class =")
        )
        frame = Ether() / IP(src="192.0.2.9", dst="198.51.100.7") / TCP(dport=80, flags="S")
        wrpcapng(str(made / "capture.pcapng"), [frame])
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made / "release")], check=True)
        yield made


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[HostLab]:
    with HostLab(f"docs-{os.getpid()}", line(3)) as lab:
        shutil.copy(lab.inventory, folder / "hosts.yaml")
        yield lab


@pytest.fixture(scope="module")
def here(folder: Path) -> Iterator[dict[str, str]]:
    """This machine, as far as the reader's commands see it: a namespace with eth0 and eth1, pins of its own."""
    netns, bpffs = f"ef-docs-{os.getpid()}", folder / "bpf"
    bpffs.mkdir()
    namespaces.create(netns)
    subprocess.run(["mount", "-t", "bpf", "bpf", str(bpffs)], check=True)
    try:
        with namespaces.entered(netns):
            for name in ("eth0", "eth1"):
                subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-far"], check=True)
                set_offload(f"{name}-far", "gro", True)
                set_offload(f"{name}-far", "tx_checksum", False)
                for end in (name, f"{name}-far"):
                    subprocess.run(["ip", "link", "set", end, "up"], check=True)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        yield {**os.environ, "EBPFNF_NETNS": netns, "EBPFNF_BPFFS": str(bpffs), "EBPFNF_LAB": f"docs{os.getpid()}", "PATH": path}
    finally:
        subprocess.run([Path(sys.executable).with_name("ebpfnf"), "lab", "down", "--name", f"docs{os.getpid()}"], check=False)
        subprocess.run(["umount", str(bpffs)], check=True)
        namespaces.remove(netns)


def run(command: Command, folder: Path, lab: HostLab, here: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """As at a terminal whose user says yes."""
    argv = ["sh", "-c", f"cd {folder} && {command.text}"]
    terminal, end = pty.openpty()
    try:
        os.write(terminal, b"y\n")
        argv = lab.command(command.host, argv) if command.host else argv
        return subprocess.run(argv, stdin=end, capture_output=True, text=True, env=here, check=False)
    finally:
        os.close(terminal)
        os.close(end)


@pytest.mark.fleet
@pytest.mark.parametrize("file", WITH_COMMANDS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_commands(file: Path, folder: Path, lab: HostLab, here: dict[str, str]) -> None:
    labs = {name: f"{name}{os.getpid()}" for name in re.findall(r"lab up .*--name (\w+)", file.read_text())}
    try:
        for command in commands(file):
            for name, own in labs.items():  # the reader may have one of that name
                command = replace(command, text=re.sub(rf"(?<![\w/.-]){name}(?![\w/.-])|(?<=\bebpfnf-){name}(?=-)", own, command.text))
            if not command.why_not:
                done = run(command, folder, lab, here)
                assert done.returncode == command.code, f"{command.where}: {command.text}\n{done.stdout}{done.stderr}"
                assert "Traceback" not in done.stderr, f"{command.where}: {command.text}\n{done.stderr}"
    finally:
        for own in labs.values():
            HostLab(own).down()
            subprocess.run([Path(sys.executable).with_name("ebpfnf"), "lab", "down", "--name", own], check=False)
        for machine in lab.machines.machines:
            run(Command("", "rm -rf /etc/ebpfnf", 0, machine), folder, lab, here)


def test_what_is_a_command(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text(
        "text\n```\none --two 3     # ends; exit code 4\ntwo · three a    and what it does\n```\n```yaml\nno: command\n```\n"
        "<!-- on h1 -->\n```\necho 'a#b' # said\n```\n<!-- not run: too long -->\n```\nfour\n```\n"
    )
    assert commands(file) == [
        Command("a.md:3", "one --two 3", 4),
        Command("a.md:4", "two", 0),
        Command("a.md:4", "three a", 0),
        Command("a.md:11", "echo 'a#b'", 0, "h1"),
        Command("a.md:15", "four", 0, "", "too long"),
    ]
