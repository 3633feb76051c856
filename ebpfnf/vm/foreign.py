"""Machines that boot somebody else's image behind taps of a function: nothing is known of them but their carrier and their console."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from ebpfnf import bundle
from ebpfnf.errors import AgentError
from ebpfnf.model import Function, Image
from ebpfnf.vm import domain, tap

READY_SECONDS = 120.0  # a small Linux needs 3 in software emulation, a busy host the rest
PREFIX = "ebpfnf-image"  # of the machines' names; agent/functions.py makes them
_MTU = 1500
_OFF = {"host": "csum gso tso4 tso6 ecn ufo mrg_rxbuf", "guest": "csum tso4 tso6 ecn ufo"}  # XDP sees what is finished, in one piece


def look(deployment: str) -> dict[str, str]:
    """This deployment's machines and their states. libvirt is asked only where there were any.

    Of one that was killed libvirt may not know yet; its taps do.
    """
    kept = {folder.name: folder for folder in domain.home().glob(f"{PREFIX}.{deployment}.*")}
    if not kept:
        return {}
    with domain.opened() as hypervisor:
        found = {each.name: each.state for each in hypervisor.machines()}
    alive = {name for name, folder in kept.items() if all(map(tap.held, _taps(folder)))}
    return {name: found.get(name, "gone") if name in alive or found.get(name) != "running" else "gone" for name in sorted(kept)}


def start(name: str, function: Function, interfaces: tuple[str, ...]) -> str:
    """Make its taps, one for each of its ports, boot it, wait until it is ready; why in software emulation, or nothing."""
    image = function.image
    if image is None:
        raise AgentError(f"function '{function.name}' has no image")
    check(function)
    folder = domain.home() / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "taps").write_text(" ".join(interfaces))  # before they are there, so that whoever tidies finds them
    for interface in interfaces:
        tap.create(interface, _MTU)
    log = folder / "log"
    log.unlink(missing_ok=True)
    accelerator, why = _accelerator(name)
    with domain.opened() as hypervisor:
        hypervisor.destroy(name)
        Path(f"{image.disk}.TRANSIENT-{name}").unlink(missing_ok=True)  # what a killed one wrote; libvirt won't overwrite it
        cables = tuple(zip(interfaces, function.macs or _macs(name, interfaces), strict=True))
        hypervisor.create(name, xml(name, image, cables, accelerator, log))
        _await(function, image, interfaces, log, partial(hypervisor.runs, name))
    return why


def end(name: str) -> None:
    """Off, but its taps stay where the packets find them."""
    with domain.opened() as hypervisor:
        hypervisor.destroy(name)


def stop(name: str) -> None:
    """Off, and its taps away, but for those that another machine holds by now."""
    end(name)
    folder = domain.home() / name
    others = {each for other in domain.home().glob(f"{PREFIX}.*") if other != folder for each in _taps(other)}
    for interface in _taps(folder):
        if interface not in others:
            tap.remove(interface)
    shutil.rmtree(folder, ignore_errors=True)


def _taps(folder: Path) -> list[str]:
    file = folder / "taps"
    return file.read_text().split() if file.exists() else []


def xml(name: str, image: Image, cables: Iterable[tuple[str, str]], accelerator: str, log: Path) -> str:
    """The domain as libvirt reads it: a PC with a network device for each (tap, MAC), and a serial console."""
    root = ET.Element("domain", type="kvm" if accelerator == "kvm" else "qemu")

    def add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
        child = ET.SubElement(parent, tag, attributes)
        child.text = text or None
        return child

    add(root, "name", name)
    add(root, "memory", str(image.memory), unit="MiB")
    add(root, "vcpu", str(image.vcpus))
    system = add(root, "os")
    add(system, "type", "hvm", arch="x86_64", machine="pc")
    # A Linux that panics waits for ever, with its carrier up, unless it is told to reboot: which ends the machine.
    arguments = image.arguments if not image.kernel or "panic=" in image.arguments else f"{image.arguments} panic=-1".strip()
    for tag, value in (("kernel", image.kernel), ("initrd", image.initrd), ("cmdline", arguments)):
        if value:
            add(system, tag, value)
    add(add(root, "features"), "acpi")
    for event in ("on_poweroff", "on_reboot", "on_crash"):
        add(root, event, "destroy")
    devices = add(root, "devices")
    add(devices, "emulator", "/usr/bin/qemu-system-x86_64")
    add(devices, "controller", type="usb", model="none")
    if image.disk:
        disk = add(devices, "disk", type="file", device="disk")
        add(disk, "driver", name="qemu", type=image.format)
        add(disk, "source", file=image.disk)
        add(disk, "target", dev="vda", bus="virtio")
        add(disk, "transient")
    for interface, mac in cables:
        cable = add(devices, "interface", type="ethernet")
        add(cable, "mac", address=mac)
        add(cable, "target", dev=interface, managed="no")
        add(cable, "model", type="virtio")
        driver = add(cable, "driver", name="qemu")
        for side, features in _OFF.items():
            add(driver, side, **dict.fromkeys(features.split(), "off"))
        add(cable, "rom", enabled="no")
    serial = add(devices, "serial", type="file")
    add(serial, "source", path=str(log))
    add(serial, "target", port="0")
    add(devices, "memballoon", model="none")
    add(devices, "panic", model="isa")  # by which a kernel that knows it says so itself
    return ET.tostring(root, encoding="unicode")


def _macs(name: str, interfaces: tuple[str, ...]) -> tuple[str, ...]:
    told = hashlib.sha256(name.encode()).digest()
    return tuple("52:54:00:" + ":".join(f"{byte:02x}" for byte in told[3 * k : 3 * k + 3]) for k in range(len(interfaces)))


def _accelerator(name: str) -> tuple[str, str]:
    """(kvm | tcg, why not kvm). Without virtualisation by the processor KVM emulates what a kernel does, slower than qemu."""
    if os.environ.get("EBPFNF_ACCELERATOR") != "tcg" and os.access("/dev/kvm", os.R_OK | os.W_OK):
        flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "").split()
        if "vmx" in flags or "svm" in flags:
            return "kvm", ""
    return "tcg", f"virtual machine '{name}' runs in software emulation: this host has no KVM that runs a foreign kernel well"


def check(function: Function) -> None:
    """AgentError where a file is not the one that the bundle was built for."""
    image = function.image or Image()
    for path, wanted in zip(image.files, image.sums, strict=True):
        try:
            words = "" if bundle.sum_of(path) == wanted else "is another one than the bundle was built for"
        except OSError as error:
            words = (error.strerror or "can't be read").lower()
        if words:
            raise AgentError(f"function '{function.name}': '{path}': {words}", function.where, "copy the file here, or build again")


def _await(function: Function, image: Image, interfaces: tuple[str, ...], log: Path, runs: Callable[[], bool]) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        alive = runs()
        said = log.read_text(errors="replace") if log.exists() else ""
        if all(map(tap.held, interfaces)) and image.ready in said:
            return
        if not alive:
            raise AgentError(f"function '{function.name}': its machine ended before it was ready", function.where, f"see {log}")
        time.sleep(0.02)
    wanted = f"did not say '{image.ready}'" if image.ready else "has no carrier"
    raise AgentError(f"function '{function.name}' {wanted} within {READY_SECONDS:.0f} s", function.where, f"see {log}")
