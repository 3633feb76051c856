"""`functions:`: what is wrong with one, where, and what was wanted."""
# ruff: noqa: E501 -- a case is a line

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import spec
from ebpfnf.errors import SpecErrors
from ebpfnf.model import Deployment

TEXT = """\
ebpfnf: 1
deployment: site
ports: {wan: {interface: eth0}, lan: {interface: eth1}, in: {interface: f0}, out: {interface: f1}}
functions:
  fw: {attached: [in, out], on_failure: bypass, macs: ["02:00:00:00:00:01", "02:00:00:00:00:02"]}
  box: {attached: [lan], image: {kernel: vmlinuz, arguments: quiet, memory: 64}}
chains:
  there: {on: wan, match: {}, path: [], then: {out: in}}
  behind: {on: out, match: {}, path: [], then: {out: lan}}
"""


def load(folder: Path, text: str) -> Deployment:
    (folder / "vmlinuz").write_bytes(b"kernel")
    (folder / "chain.yaml").write_text(text)
    return spec.load(folder / "chain.yaml")


def test_a_function_knows_its_ports_and_its_image_by_content(tmp_path: Path) -> None:
    fw, box = load(tmp_path, TEXT).functions
    assert (fw.back("in"), fw.back("out"), box.back("lan")) == ("out", "in", "lan")
    assert (fw.on_failure, box.on_failure, fw.image) == ("bypass", "drop", None)
    assert box.image and box.image.kernel == str(tmp_path / "vmlinuz")
    (tmp_path / "vmlinuz").write_bytes(b"another")
    other = spec.load(tmp_path / "chain.yaml").functions[1].image
    assert other and other.sums != box.image.sums, "another kernel is another machine"


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("attached: [in, out]", "attached: [in, uot]", "chain.yaml:5:23: no port 'uot' (did you mean 'out'?)"),
        ("attached: [in, out]", "attached: [in, in]", "chain.yaml:5:23: port 'in' leads to 'fw' already (a port leads to one function)"),
        ("attached: [in, out]", "attached: []", "chain.yaml:5:18: attached: 0 ports (wanted one, or one for each side)"),
        ("attached: [in, out]", "attached: [in, out, wan]", "chain.yaml:5:18: attached: 3 ports (wanted one, or one for each side)"),
        ("attached: [lan]", "attached: [out]", "chain.yaml:6:20: port 'out' leads to 'fw' already"),
        ("on_failure: bypass", "on_failure: pass", "chain.yaml:5:41: on_failure 'pass' (did you mean 'bypass'?)"),
        (', "02:00:00:00:00:02"', "", "chain.yaml:5:55: 1 macs for 2 ports (wanted one for each port, or none)"),
        ("02:00:00:00:00:01", "02:00", "chain.yaml:5:56: mac '02:00' (wanted a MAC address"),
        ("  fw:", "  chain:", "chain.yaml:5:3: a function can't be called 'chain'"),
        ("functions:", "vnfs: {fw: {vnf: router}}\nfunctions:", "chain.yaml:6:3: 'fw' is a vnf already (both have counters of that name)"),
        ("kernel: vmlinuz, arguments: quiet, memory: 64", "memory: 32", "chain.yaml:6:33: an image without anything to boot (wanted 'kernel:' (with 'initrd:'), or 'disk:')"),
        ("kernel: vmlinuz", "disk: vmlinuz", "chain.yaml:6:49: 'arguments' without 'kernel' (a disk boots what is on it)"),
        ("kernel: vmlinuz", "kernel: nothing", "chain.yaml:6:42: kernel 'nothing': no such file or directory"),
        ("memory: 64", "memory: 4", "chain.yaml:6:77: memory 4 (wanted 16 to 65536 (MiB))"),
        ("memory: 64", "vcpus: 65", "chain.yaml:6:76: vcpus 65 (wanted 1 to 64)"),
        ("memory: 64", "format: vhd", "chain.yaml:6:77: format 'vhd' (one of: raw, qcow2)"),
        ("on: out, match", "on: in, match", None),
        ("path: [], then: {out: in}", "path: [fw], then: {out: in}", "chain.yaml:8:38: 'fw' is a function, and in no path: what it gives back is another packet (end this chain with {out: in}, and begin another on out)"),
        ("{out: lan}}", "{out: in}}", "chain.yaml:9:48: chain 'behind' hands what 'fw' gave back to it again (it would go round for ever)"),
        ("then: {out: lan}", "then: reflect", "chain.yaml:9:48: chain 'behind' sends back into 'fw' what may have been led past it (write 'on_failure: drop', or another end)"),
    ],
)  # fmt: skip
def test_errors(tmp_path: Path, old: str, new: str, error: str | None) -> None:
    assert TEXT.count(old) == 1
    if error is None:
        load(tmp_path, TEXT.replace(old, new))
        return
    with pytest.raises(SpecErrors) as raised:
        load(tmp_path, TEXT.replace(old, new))
    assert error in str(raised.value)
