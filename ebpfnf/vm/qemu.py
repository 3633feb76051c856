"""How qemu is called, and which accelerator is of use here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ebpfnf.errors import EbpfnfError
from ebpfnf.vm import build

QEMU = "qemu-system-x86_64"
FIRMWARE = Path("/usr/share/qemu/qboot.rom")
INSTALL = "apt-get install --no-install-recommends qemu-system-x86"
MEMORY = 16  # MiB
_SLOWEST = 50.0  # cycles of a round of two instructions: native takes 1 or 2, emulated rings hundreds
_ROUND = re.compile(rb"thousandths: ([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Accelerator:
    """`kvm` or `tcg`, and in words why."""

    name: str
    why: str


def command(image: Path, accelerator: str, tap: str = "", mac: str = "02:00:00:00:00:01", config: Path | None = None) -> list[str]:
    """The command line of a guest with its console on standard output."""
    words = [QEMU, "-accel", accelerator, "-M", "pc", "-bios", str(FIRMWARE), "-m", str(MEMORY), "-kernel", str(image)]
    words += ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"]
    words += ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
    if config:
        words += ["-fw_cfg", f"name=opt/ebpfnf/config,file={str(config).replace(',', ',,')}"]
    if tap:
        # romfile: the firmware shall not look for a disk in the network
        words += ["-netdev", f"tap,id=net,ifname={tap},script=no,downscript=no", "-device", f"virtio-net-pci,netdev=net,mac={mac},romfile="]
    return words


def missing() -> str:
    """What this machine lacks to run a guest, or an empty string."""
    if shutil.which(QEMU) is None:
        return f"{QEMU} ({INSTALL})"
    if not FIRMWARE.exists():
        return f"{FIRMWARE} ({INSTALL})"
    return ""


@cache
def accelerator() -> Accelerator:
    """The one that runs an image well, found by running one: /dev/kvm may be there and of no use."""
    if what := missing():
        raise EbpfnfError(f"no virtual machines here: {what} is missing", cure=INSTALL)
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Accelerator("tcg", "/dev/kvm is not there, or not ours to use")
    rounds = cycles("kvm")
    if rounds is None:
        return Accelerator("tcg", "/dev/kvm is there, but an image does not run with it")
    if rounds > _SLOWEST:
        return Accelerator("tcg", f"/dev/kvm is there, but emulates ({rounds:.0f} cycles a round)")
    return Accelerator("kvm", f"/dev/kvm runs an image natively ({rounds:.1f} cycles a round)")


def cycles(name: str) -> float | None:
    """Cycles that a round of two instructions takes in an image under that accelerator; None where it doesn't come that far."""
    try:
        done = subprocess.run(command(build.probe().path, name), capture_output=True, stdin=subprocess.DEVNULL, timeout=5)
    except subprocess.TimeoutExpired:
        return None
    found = _ROUND.search(done.stdout)
    return int(found[1], 16) / 1000 if found else None
