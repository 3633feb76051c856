"""Whether KVM runs our guests. Looking at /dev/kvm is not enough: in nested clouds it is there, and kills what it does not emulate.

So the image itself is booted, without a network device: a guest that comes as far as to miss it has run in both rings.
"""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache
from pathlib import Path

_QEMU = "qemu-system-x86_64"
_MARK = b"no virtio network device"  # what the runtime says before it ends
_SECONDS = 3.0


@lru_cache(maxsize=16)
def accelerator(image: Path) -> tuple[str, str]:
    """(kvm | qemu, why not kvm)."""
    if os.environ.get("EBPFNF_ACCELERATOR") == "qemu":
        return "qemu", "software emulation was asked for"
    if not os.path.exists("/dev/kvm"):
        return "qemu", "this host has no KVM: guests run in software emulation, at about the same packet rate but slower inside"
    if boots(image, "kvm"):
        return "kvm", ""
    return "qemu", "KVM is there but does not run our guests: they run in software emulation"


def boots(image: Path, how: str) -> bool:
    """Whether the image runs to the line where it misses its network device."""
    command = [_QEMU, "-M", "pc", "-accel", "tcg" if how == "qemu" else how, "-m", "16", "-bios", "/usr/share/qemu/qboot.rom"]
    command += ["-kernel", str(image), "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"]
    try:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            try:
                said, _ = process.communicate(timeout=_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                said, _ = process.communicate()
    except OSError:
        return False
    return _MARK in said
