"""Virtual machines by libvirt: the only place that speaks with it.

Where no daemon runs, libvirt's own driver inside this process does the same work: a guest outlives the process, and the next one finds it
again by what libvirt wrote under its root. Domain XML is made by ElementTree, so that a value can't become markup.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ebpfnf.errors import AgentError
from ebpfnf.vm import HOME, emulator

MEMORY_MIB = 16
INSTALL = "apt-get install qemu-system-x86 libvirt-daemon-driver-qemu libvirt-daemon-system python3-libvirt"
_DAEMONS = ("/run/libvirtd.pid", "/run/virtqemud.pid")
_LOADER = "/usr/share/qemu/qboot.rom"
# The driver in this process runs as root beside the agent: no log daemon, no labels, nothing of the host is changed for a guest.
_SETTINGS = """stdio_handler = "file"
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
clear_emulator_capabilities = 0
"""
_TYPES = {"kvm": "kvm", "tcg": "qemu"}
_STATES = {1: "running", 2: "running", 3: "paused", 6: "crashed"}
_NICE = -10  # of emulators: packets wait for them, nobody waits for a compiler or for the next guest's start in such a hurry
_PATIENCE = 20.0  # seconds for another process of ours to end
_connections: dict[str, Hypervisor] = {}


@dataclass(frozen=True, slots=True)
class Machine:
    """A guest that shall be: its name, what it boots, which tap it is behind."""

    name: str
    image: Path
    config: Path
    tap: str
    mac: str
    log: Path
    accelerator: str  # kvm | tcg
    about: str  # why that one, in words


@dataclass(frozen=True, slots=True)
class Known:
    """A guest as libvirt knows it."""

    name: str
    state: str  # running | paused | crashed | shut
    accelerator: str
    about: str


def xml(machine: Machine) -> str:
    """The domain as libvirt reads it: a 16 MiB PC that boots the image at once, with one network device and nothing else."""
    domain = ET.Element("domain", {"type": _TYPES[machine.accelerator], "xmlns:qemu": "http://libvirt.org/schemas/domain/qemu/1.0"})

    def add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
        child = ET.SubElement(parent, tag, attributes)
        child.text = text or None
        return child

    add(domain, "name", machine.name)
    add(domain, "description", machine.about)
    add(domain, "memory", str(MEMORY_MIB), unit="MiB")
    add(domain, "vcpu", "1")
    add(add(domain, "sysinfo", type="fwcfg"), "entry", name="opt/ebpfnf/config", file=str(machine.config))
    system = add(domain, "os")
    add(system, "type", "hvm", arch="x86_64", machine="pc")
    add(system, "loader", _LOADER, type="rom")
    add(system, "kernel", str(machine.image))
    add(add(domain, "clock", offset="utc"), "timer", name="hpet", present="yes")  # what the guest measures its time by
    for event in ("on_poweroff", "on_reboot", "on_crash"):
        add(domain, event, "destroy")
    devices = add(domain, "devices")
    add(devices, "emulator", "/usr/bin/qemu-system-x86_64")
    add(devices, "controller", type="usb", model="none")
    interface = add(devices, "interface", type="ethernet")
    add(interface, "mac", address=machine.mac)
    add(interface, "target", dev=machine.tap, managed="no")
    add(interface, "model", type="virtio")
    add(interface, "rom", enabled="no")
    serial = add(devices, "serial", type="file")
    add(serial, "source", path=str(machine.log))
    add(serial, "target", port="0")
    add(devices, "memballoon", model="none")
    # Else libvirt asks for each of the processor's 400 features by itself, which takes longer than all the rest of a start.
    add(add(domain, "qemu:capabilities"), "qemu:del", capability="cpu-unavailable-features")
    return ET.tostring(domain, encoding="unicode")


def home() -> Path:
    """Where images, configurations and guests' logs of this network namespace lie: a cache, made again where it is lost."""
    return Path(HOME) / str(os.stat("/proc/thread-self/ns/net").st_ino)


def uri() -> str:
    """The daemon where one runs and sees our network namespace, else the driver in this process."""
    given = os.environ.get("EBPFNF_LIBVIRT", "")
    if given:
        return given
    for path in _DAEMONS:
        with contextlib.suppress(OSError, ValueError):
            daemon = int(Path(path).read_text())
            if os.stat(f"/proc/{daemon}/ns/net").st_ino == os.stat("/proc/thread-self/ns/net").st_ino:
                return "qemu:///system"
    return f"qemu:///embed?root={home()}/libvirt"


class Hypervisor:
    """A connection; `opened` makes one."""

    def __init__(self, connection: Any, library: Any, root: str) -> None:
        self._connection = connection
        self._library = library
        self._run = Path(root, "run") if root else Path("/run/libvirt")

    def machines(self) -> list[Known]:
        """All guests, by name."""
        found = []
        for domain in self._connection.listAllDomains():
            try:
                about = ET.fromstring(domain.XMLDesc())
                state = _STATES.get(domain.state()[0], "shut") if self.runs(domain.name()) else "crashed"  # libvirt notices later
            except self._library.libvirtError:
                continue  # gone meanwhile
            accelerator = "kvm" if about.get("type") == "kvm" else "tcg"
            found.append(Known(domain.name(), state, accelerator, about.findtext("description") or ""))
        return sorted(found, key=lambda each: each.name)

    def start(self, machine: Machine) -> None:
        """Boot it; AgentError when libvirt refuses."""
        self.create(machine.name, xml(machine))

    def create(self, name: str, description: str) -> None:
        """Boot a domain described in libvirt's XML; AgentError when libvirt refuses."""
        try:
            self._connection.createXML(description, 0)
        except self._library.libvirtError as error:
            raise AgentError(f"virtual machine '{name}': {str(error).lower()}", cure=INSTALL) from None
        process = Path("/proc", str(self._process(name)))
        with contextlib.suppress(OSError):
            for thread in os.listdir(process / "task"):
                os.setpriority(os.PRIO_PROCESS, int(thread), _NICE)
            (process / "autogroup").write_text(str(_NICE))  # where sessions share the CPU, a thread's own counts only within one

    def runs(self, name: str) -> bool:
        """Whether its emulator is there: no daemon is asked."""
        return bool(self._process(name))

    def resume(self, name: str) -> None:
        """Let a paused guest run."""
        try:
            self._connection.lookupByName(name).resume()
        except self._library.libvirtError as error:
            raise AgentError(f"virtual machine '{name}': {str(error).lower()}") from None

    def pause(self, name: str) -> None:
        """Stop a guest where it is."""
        self._connection.lookupByName(name).suspend()

    def destroy(self, name: str) -> None:
        """Off, at once; nothing where there is none."""
        try:
            domain = self._connection.lookupByName(name)
            if process := self._process(name):  # libvirt asks politely for ten seconds first, which one that was stopped does not hear
                os.kill(process, signal.SIGKILL)
            domain.destroy()
        except self._library.libvirtError as error:
            if error.get_error_code() != self._library.VIR_ERR_NO_DOMAIN:  # one that ends at this moment is no error
                raise AgentError(f"virtual machine '{name}': {str(error).lower()}") from None

    def _process(self, name: str) -> int:
        """The emulator of a guest, 0 where there is none that we see."""
        return emulator.process(self._run / "qemu" / f"{name}.pid")


@contextmanager
def opened(where: str = "") -> Iterator[Hypervisor]:
    """A connection to libvirt; AgentError with the install line where it is not there.

    It stays open as long as the process runs: the driver in a process can't be let go of. Another process waits for its root.
    """
    where = where or uri()
    if where not in _connections:
        if where.startswith("qemu:///embed"):
            root = Path(where.partition("root=")[2])
            (root / "etc").mkdir(mode=0o700, parents=True, exist_ok=True)
            (root / "etc" / "qemu.conf").write_text(_SETTINGS)
            os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", f"3:file:{root}/messages")  # it would tell people its version
        library = _library()
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                _connections[where] = Hypervisor(library.open(where), library, where.partition("root=")[2])
                break
            except library.libvirtError as error:
                if "pid file" not in str(error) or time.monotonic() > end:
                    raise AgentError(f"libvirt at '{where}': {str(error).lower()}", cure=INSTALL) from None
            time.sleep(0.1)
    yield _connections[where]


@cache
def _library() -> Any:
    """libvirt's bindings, with the loop that its driver's monitors need."""
    try:
        import libvirt
    except ImportError:
        raise AgentError("python3 has no libvirt here", cure=INSTALL) from None
    atexit.register(_connections.clear)  # while libvirt is still there
    libvirt.registerErrorHandler(lambda *_: None, None)
    libvirt.virEventRegisterDefaultImpl()

    def run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=run, name="libvirt", daemon=True).start()
    return libvirt
