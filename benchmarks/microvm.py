"""A Linux guest to compare with: Debian's cloud kernel, whose only process sends back what its packet socket hears."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from pathlib import Path

from benchmarks.measure import Unavailable
from ebpfnf.vm import qemu

HERE = Path(__file__).resolve().parent / "vm"
MEMORY = 128  # MiB: with less it does not come up
_PACKAGE = "linux-image-cloud-amd64"
_VIRTIO = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci")
_MODULES = (*_VIRTIO, "failover", "net_failover", "virtio_net")


def files(scratch: Path) -> tuple[Path, Path]:
    """(kernel, initramfs); Unavailable where the package or a compiler can't be had. The package is kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "ebpfnf-benchmarks"
    cache.mkdir(parents=True, exist_ok=True)
    packages = sorted(cache.glob("linux-image-*-cloud-amd64_*.deb"))
    if not packages:
        depends = _run(["apt-cache", "depends", _PACKAGE], scratch)
        found = re.search(r"Depends: (linux-image-\S+-cloud-amd64)", depends)
        if not found:
            raise Unavailable(f"apt knows no {_PACKAGE}")
        _run(["apt-get", "download", found[1]], cache)
        packages = sorted(cache.glob("linux-image-*-cloud-amd64_*.deb"))
    _run(["dpkg-deb", "-x", str(packages[-1]), "linux"], scratch)
    _run(["gcc", "-O2", "-static", "-o", "init", str(HERE / "init.c")], scratch)
    contents = {"init": scratch / "init"}
    for name in _MODULES:
        contents[f"{name}.ko"] = next((scratch / "linux").rglob(f"{name}.ko"))
    archive = b"".join(_entry(name, path.read_bytes(), number) for number, (name, path) in enumerate(contents.items(), 1))
    initramfs = scratch / "initramfs"
    initramfs.write_bytes(gzip.compress(archive + _entry("TRAILER!!!", b"", 0), 1))
    return next((scratch / "linux" / "boot").glob("vmlinuz-*")), initramfs


def command(kernel: Path, initramfs: Path, tap: str) -> list[str]:
    """qemu's command line, in software emulation as ours beside it."""
    words = [qemu.QEMU, "-accel", "tcg", "-M", "pc", "-bios", str(qemu.FIRMWARE), "-m", str(MEMORY)]
    words += ["-kernel", str(kernel), "-initrd", str(initramfs)]
    words += ["-append", "quiet panic=-1 mitigations=off", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
    words += ["-netdev", f"tap,id=net,ifname={tap},script=no,downscript=no", "-device", "virtio-net-pci,netdev=net,romfile="]
    return words


def _entry(name: str, data: bytes, inode: int) -> bytes:
    """A file in cpio's newc format."""
    fields = (inode, 0o100755, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % each for each in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def _run(command: list[str], where: Path) -> str:
    try:
        done = subprocess.run(command, cwd=where, capture_output=True, text=True)
    except OSError as error:
        raise Unavailable(f"{command[0]}: {(error.strerror or 'error').lower()}") from None
    if done.returncode:
        raise Unavailable(f"{' '.join(command[:3])}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout
