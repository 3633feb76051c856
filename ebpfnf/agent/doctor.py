"""Whether this machine can run deployments: what was tried, what was seen, and for what is not well the cure."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ebpfnf.agent import machines, netlink, outputs, store
from ebpfnf.agent.netlink import Interface
from ebpfnf.agent.observe import observe
from ebpfnf.agent.plan import VETH_MTU
from ebpfnf.errors import AgentError
from ebpfnf.kernel import pins, probe
from ebpfnf.kernel.pins import Pins
from ebpfnf.vm import lifecycle

_SIOCETHTOOL = 0x8946
_TX_CHECKSUM, _GRO, _FLAGS = 0x16, 0x2B, 0x25  # ETHTOOL_GTXCSUM, GGRO, GFLAGS
_LRO = 1 << 15  # ETH_FLAG_LRO
_CAPABILITIES = {12: "CAP_NET_ADMIN", 38: "CAP_PERFMON", 39: "CAP_BPF"}
_ADMIN = 21  # CAP_SYS_ADMIN, which stands for all of them
_LEAST_FREE = 8 << 20
_KVM_CURE = "only matters for unikernels: load kvm_intel or kvm_amd, or allow nesting"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. error: nothing will run; warning: something may go wrong."""

    level: str  # ok | warning | error
    what: str
    said: str
    cure: str = ""


def examine(interfaces: Sequence[str] = ()) -> list[Finding]:
    """All of it; of the interfaces those named, else all but the loopback."""
    there = netlink.interfaces()
    found = [*_rights(), *_kernel(), *_disk(), _kvm(), _boot()]
    for name in interfaces or sorted(set(there) - {"lo"}):
        if name in there:
            found += _interface(there[name])
        else:
            found.append(Finding("error", name, "this host has no such interface", "name one of: " + ", ".join(sorted(there))))
    return found


def _rights() -> Iterator[Finding]:
    status = Path("/proc/self/status").read_text()
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16)
    lacking = [name for bit, name in _CAPABILITIES.items() if not effective & (1 << bit | 1 << _ADMIN)]
    if lacking:
        yield Finding("error", "rights", f"{', '.join(lacking)} missing", "run as root, or give these to the user")
    else:
        yield Finding("ok", "rights", "all that are needed")
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("ok", "python3", version) if sys.version_info >= (3, 11) else Finding("error", "python3", version, "3.11 or later")


def _kernel() -> Iterator[Finding]:
    for feature in probe.features():
        cure = f"mount -t bpf bpf {pins.mount()}" if feature.name == "bpffs" else "a newer kernel, or one with this built in"
        if feature.said.endswith("operation not permitted"):
            cure = "root, or the three rights, outside of a container that forbids bpf(2)"
        if feature.said.startswith("unshare"):  # it is tried in a namespace of its own
            yield Finding("warning", feature.name, "not tried: it needs CAP_SYS_ADMIN", "run doctor as root once")
        else:
            yield Finding("ok", feature.name, "works") if feature.works else Finding("error", feature.name, feature.said, cure)


def _disk() -> Iterator[Finding]:
    for folder in (store.folder("").parent, Path("/run")):
        free = shutil.disk_usage(folder if folder.exists() else "/").free
        words = f"{free >> 20} MB free"
        yield Finding("ok", str(folder), words) if free >= _LEAST_FREE else Finding("warning", str(folder), words, "free some space there")


def _kvm() -> Finding:
    """What runs guests here: tried with an image of a deployment, where one has VMs. That /dev/kvm is there proves nothing."""
    vm = next((vm for name in pins.deployments() for n in Pins(name).generations() for vm in machines.kept(Pins(name).generation(n))), None)
    if vm is not None:
        try:
            found = lifecycle.accelerator(vm)
        except AgentError as error:
            return Finding("error", "kvm", error.what, error.cure)
        return Finding("ok" if found.name == "kvm" else "warning", "kvm", found.words, "" if found.name == "kvm" else _KVM_CURE)
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Finding("ok", "kvm", "/dev/kvm is there; whether it runs guests well is tried with the first of a deployment")
    return Finding("warning", "kvm", "/dev/kvm is not there, or not ours to use: guests run in software emulation", _KVM_CURE)


def _boot() -> Finding:
    """Whether what runs comes back after a reboot."""
    wanted = store.deployments()
    unit = any(Path(folder, "ebpfnf.service").exists() for folder in ("/etc/systemd/system", "/usr/lib/systemd/system"))
    if not wanted or unit:
        return Finding("ok", "boot", f"{', '.join(wanted) or 'no deployment'} will run again")
    return Finding("warning", "boot", f"{', '.join(wanted)} will not run again after a reboot", "install hosts/ebpfnf.service")


def _interface(interface: Interface) -> Iterator[Finding]:
    name = interface.name
    owner = observe("none").owners.get(interface.program, "") if interface.program else ""
    if owner and not owner.startswith("deployment"):
        yield Finding("error", name, f"belongs to {owner}", f"take it off first: ip link set dev {name} xdp off")
    else:
        yield Finding("ok", name, owner or "no XDP program")
    if interface.kind == "veth" and interface.mtu > VETH_MTU:
        yield Finding("error", name, f"mtu {interface.mtu} is too large for XDP on a veth", f"ip link set {name} mtu {VETH_MTU}")
    if not interface.up:
        yield Finding("warning", name, "is down", f"ip link set {name} up")
    if (_ethtool(name, _FLAGS) or 0) & _LRO:
        yield Finding("warning", name, "LRO joins packets before XDP sees them", f"ethtool -K {name} lro off")
    if outputs.deaf(interface):
        yield Finding("warning", name, "takes no frames that XDP redirects to it: they would be lost uncounted", outputs.cure(interface))
    if interface.kind == "veth":
        if _ethtool(name, _GRO) == 0 and not interface.program:
            words = "takes no frames that XDP on its other end redirects: neither XDP nor GRO is on here"
            yield Finding("warning", name, words, f"ethtool -K {name} gro on, before its other end comes up")
        if _ethtool(name, _TX_CHECKSUM):
            words = "leaves checksums to a NIC that it hasn't got: XDP on its other end sees them unfinished"
            yield Finding("warning", name, words, f"ethtool -K {name} tx off")


def _ethtool(interface: str, command: int) -> int | None:
    """One value by the ioctl of the ethtool package; None where the driver has none."""
    value = ctypes.create_string_buffer(struct.pack("=II", command, 0), 8)
    request = struct.pack("=16sQ16x", interface.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            fcntl.ioctl(control, _SIOCETHTOOL, request)
        except OSError:
            return None
    return int(struct.unpack_from("=I", value, 4)[0])
