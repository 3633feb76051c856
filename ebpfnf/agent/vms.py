"""What a generation's programs know of the VMs of its stages: which serve, and behind which interfaces (vm.h)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ebpfnf.kernel.maps import Map
from ebpfnf.model import VM_INSTANCES

RESUME_SLOTS = 16  # of the prog array `resume`, by generation modulo this: more generations than are ever kept

_KEY = bytes(4)
_HEAD = struct.Struct("=II")  # generation, zero
_STAGE = struct.Struct(f"={1 + VM_INSTANCES}I")  # live, taps


def serve(vms: Map, state: Map, stage: int, taps: Sequence[int]) -> None:
    """Let a stage's packets go to the VMs behind these interfaces; none: what its `on_failure` says.

    First nobody is sent to a VM that changes its place, then the places are taken, then they are used.
    """
    before = serving(state, stage)
    same = 0
    while same < min(len(before), len(taps)) and before[same] == taps[same]:
        same += 1
    if same < len(before):
        _write(state, stage, before, same)
    for place in range(same, len(taps)):
        vms.update(struct.pack("=I", stage * VM_INSTANCES + place), struct.pack("=I", taps[place]).ljust(vms.value_size, b"\0"))
    _write(state, stage, taps, len(taps))


def serving(state: Map, stage: int) -> tuple[int, ...]:
    """The interfaces of the VMs that a stage's packets go to."""
    live, *taps = _STAGE.unpack_from(state.lookup(_KEY) or b"", _HEAD.size + stage * _STAGE.size)
    return tuple(taps[:live])


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


def _slot(generation: int) -> bytes:
    return struct.pack("=I", generation % RESUME_SLOTS)


def _write(state: Map, stage: int, taps: Sequence[int], live: int) -> None:
    data = bytearray(state.lookup(_KEY) or b"")
    _STAGE.pack_into(data, _HEAD.size + stage * _STAGE.size, live, *taps, *[0] * (VM_INSTANCES - len(taps)))
    state.update(_KEY, bytes(data))
