"""How qemu is called, and which accelerator runs a guest well. Standard library only: hosts ask too.

Looking at /dev/kvm is not enough: in nested clouds it is there, and kills what it does not emulate, or emulates all. So the image
itself is booted without a network device: it comes through both rings, uses SSE, and says how long a loop took before it ends.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ebpfnf.errors import AgentError

QEMU = "qemu-system-x86_64"
FIRMWARE = Path("/usr/share/qemu/qboot.rom")
INSTALL = "apt-get install --no-install-recommends qemu-system-x86"
MEMORY = 16  # MiB
_SECONDS = 5.0
_SLOWEST = 50.0  # cycles of a round of two instructions: native takes 1 or 2, emulated rings hundreds
_ROUND = re.compile(rb"thousandths: ([0-9a-f]{16})")
_WORDS = {"kvm": "guests run with KVM", "tcg": "guests run in software emulation: about as many packets, but slower work inside"}


@dataclass(frozen=True, slots=True)
class Accelerator:
    """`kvm` or `tcg`, and in words why."""

    name: str
    why: str

    @property
    def words(self) -> str:
        """Both, for the operator."""
        return f"{_WORDS[self.name]} ({self.why})"


def command(image: Path, accelerator: str, tap: str = "", mac: str = "02:00:00:00:00:01", config: Path | None = None) -> list[str]:
    """The command line of a guest with its console on standard output."""
    words = [QEMU, "-accel", accelerator, "-M", "pc,acpi=off", "-bios", str(FIRMWARE), "-m", str(MEMORY), "-kernel", str(image)]
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


@lru_cache(maxsize=16)
def accelerator(image: Path) -> Accelerator:
    """The one that runs this image well."""
    if what := missing():
        raise AgentError(f"no virtual machines here: {what} is missing", cure=INSTALL)
    if os.environ.get("EBPFNF_ACCELERATOR") == "tcg":
        return Accelerator("tcg", "EBPFNF_ACCELERATOR asks for it")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Accelerator("tcg", "/dev/kvm is not there, or not ours to use")
    rounds = cycles(image, "kvm")
    if rounds is None:
        return Accelerator("tcg", "/dev/kvm is there, but the image does not run with it")
    if rounds > _SLOWEST:
        return Accelerator("tcg", f"/dev/kvm is there, but emulates: {rounds:.0f} cycles a round")
    return Accelerator("kvm", f"/dev/kvm runs the image natively: {rounds:.1f} cycles a round")


def cycles(image: Path, name: str) -> float | None:
    """Cycles that a round of two instructions takes in an image under that accelerator; None where it doesn't come that far."""
    try:
        done = subprocess.run(command(image, name), capture_output=True, stdin=subprocess.DEVNULL, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    found = _ROUND.search(done.stdout)
    return int(found[1], 16) / 1000 if found else None
