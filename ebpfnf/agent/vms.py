"""What a generation's programs know of the VMs of its stages: which serve, behind which interfaces, and whom a flow is known to (vm.h)."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ebpfnf.kernel import probe
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Generation
from ebpfnf.model import VM_INSTANCES

RESUME_SLOTS = 16  # of the prog array `resume`, by generation modulo this: more generations than are ever kept

_KEY = bytes(4)
_HEAD = struct.Struct("=II")  # generation, zero
_STAGE = struct.Struct(f"={2 + VM_INSTANCES}I")  # serving, taking, taps
_WINDOW = struct.Struct("=QQ")  # packets sent there, 1 + the number of the last that came back
_WINDOW_SIZE = 64
_FLOW = struct.Struct("=II")  # tap, when it had a packet last
_FLOW_UNIT = 30  # ... in 2^30 ns


@dataclass(frozen=True, slots=True)
class Maps:
    """By which a generation's programs find VMs."""

    devices: Map
    state: Map
    windows: Map  # how many packets are in each


@contextmanager
def opened(paths: Generation) -> Iterator[Maps]:
    """Those of a pinned generation."""
    with Map.open(paths.vms) as devices, Map.open(paths.vm_state) as state, Map.open(paths.vm_windows) as windows:
        yield Maps(devices, state, windows)


@dataclass(frozen=True, slots=True)
class Serving:
    """Taps of a stage's VMs: those that take new flows, and those that serve flows only that they know."""

    taking: tuple[int, ...] = ()
    leaving: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[int]:
        return iter((*self.taking, *self.leaving))

    def without(self, tap: int) -> Serving:
        """The same, but for one."""
        return Serving(tuple(t for t in self.taking if t != tap), tuple(t for t in self.leaving if t != tap))


def serve(maps: Maps, stage: int, taking: Sequence[int], leaving: Sequence[int] = ()) -> None:
    """Let a stage's packets go to the VMs behind these interfaces; none: what its `on_failure` says.

    Who serves already keeps his place, as packets are under way that have chosen it. A place that was another's is taken when nobody
    can have chosen it any more; what is under way from there is not waited for.
    """
    vms, state = maps.devices, maps.state
    before, took, *taps = _read(state, stage)
    wanted = [*taking, *leaving][:VM_INSTANCES]
    places = {tap: place for place, tap in enumerate(taps) if before >> place & 1 and tap in wanted}
    free = sorted(set(range(VM_INSTANCES)) - set(places.values()), key=lambda place: bool(taps[place]))
    new = dict(zip((tap for tap in wanted if tap not in places), free, strict=False))
    if new:
        stay = _mask(places.values())
        _write(state, stage, stay, took & stay, taps)
        if any(taps[place] for place in new.values()):
            probe.grace()
        for tap, place in new.items():
            taps[place] = tap
            vms.update(struct.pack("=I", stage * VM_INSTANCES + place), struct.pack("=I", tap).ljust(vms.value_size, b"\0"))
            _empty(maps.windows, stage * VM_INSTANCES + place)
        _write(state, stage, stay, took & stay, taps)
        places |= new
    _write(state, stage, _mask(places.values()), _mask(places[tap] for tap in taking if tap in places), taps)


def serving(state: Map, stage: int) -> Serving:
    """The interfaces of the VMs that a stage's packets go to."""
    served, taking, *taps = _read(state, stage)
    here = [(taking >> place & 1, tap) for place, tap in enumerate(taps) if served >> place & 1]
    return Serving(tuple(tap for takes, tap in here if takes), tuple(tap for takes, tap in here if not takes))


def flows(known: Map, linger: int) -> Counter[int]:
    """How many flows each VM knows, by its tap, that had a packet within `linger` ns."""
    since = max(0, probe.packet_time(_FLOW_UNIT) - -(-linger >> _FLOW_UNIT))
    entries = (_FLOW.unpack(value) for _, value in known.items())
    return Counter(tap for tap, seen in entries if seen >= since)


def name_generation(state: Map, number: int) -> None:
    """Say to the programs, once, before the first packet, what their generation is called in cookies."""
    data = bytearray(state.lookup(_KEY) or b"")
    _HEAD.pack_into(data, 0, number & 0xFFFF, 0)
    state.update(_KEY, bytes(data))


def set_resume(resume: Map, generation: int, program: int) -> None:
    """Let frames that come from VMs with this generation's cookies go to this program (an fd)."""
    resume.update(_slot(generation), struct.pack("=I", program))


def clear_resume(resume: Map, generation: int) -> None:
    """What still comes for this generation is dropped and counted."""
    resume.delete(_slot(generation))


def _empty(windows: Map, place: int) -> None:
    with windows.mmap() as memory:
        sent, _ = _WINDOW.unpack_from(memory, place * _WINDOW_SIZE)
        _WINDOW.pack_into(memory, place * _WINDOW_SIZE, sent, sent)


def _mask(places: Iterable[int]) -> int:
    return sum(1 << place for place in places)


def _slot(generation: int) -> bytes:
    return struct.pack("=I", generation % RESUME_SLOTS)


def _read(state: Map, stage: int) -> list[int]:
    return list(_STAGE.unpack_from(state.lookup(_KEY) or b"", _HEAD.size + stage * _STAGE.size))


def _write(state: Map, stage: int, serving: int, taking: int, taps: Sequence[int]) -> None:
    data = bytearray(state.lookup(_KEY) or b"")
    _STAGE.pack_into(data, _HEAD.size + stage * _STAGE.size, serving, taking, *taps)
    state.update(_KEY, bytes(data))
