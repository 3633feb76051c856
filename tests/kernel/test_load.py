"""Loading a bundle: relocated, frozen, filled; and where the kernel refuses, the author's line and nothing left behind."""

from __future__ import annotations

import dataclasses
import gc
import os
import struct

import pytest

from ebpfnf.agent.load import HostFacts, load
from ebpfnf.errors import AgentError, VerifierError
from ebpfnf.kernel import insn, maps, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.syscall import BpfError, cpu_slots
from ebpfnf.model import MapSpec, Scope
from tests.kernel import handmade
from tests.kernel.handmade import CONST, MAPS, bundle, copying, leaving, program, u32

pytestmark = pytest.mark.kernel

HOST = HostFacts(cpu_slots() - 1, 4_000_000, {"wan": (1, 1500), "lan": (1, 9000)})


def open_fds() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_everything_is_made_and_filled() -> None:
    with load(copying(), host=HOST) as loaded:
        assert set(loaded.maps) == {spec.name for spec in MAPS} and not loaded.reused
        with Map(os.dup(loaded.maps["chain"])) as chain:
            assert [chain.lookup(u32(i)) for i in (0, 1)] == [u32(programs.info(fd).id) for fd in loaded.programs]
        with Map(os.dup(loaded.maps["ports"])) as ports:
            assert [ports.lookup(u32(i)) for i in (1, 2)] == [u32(1), u32(1)]
        with Map(os.dup(loaded.maps["meta"])) as meta:
            assert meta.value_size == handmade.SLOT.size * cpu_slots()
        assert programs.test_run(loaded.programs[0], bytes(60)).action == insn.XDP_REDIRECT


@pytest.mark.parametrize("private", [False, True])
def test_constants_are_the_hosts_and_frozen(private: bool) -> None:
    with load(copying(), host=HOST, private=private) as loaded, Map(os.dup(loaded.maps["const"])) as const:
        data = const.lookup(u32(0)) or b""
        assert struct.unpack_from("=IIQ", data) == (cpu_slots() - 1, 3 if private else 0, 4_000_000)
        assert struct.unpack_from("=6I", data, CONST.ports) == (0, 0, 1, 1500, 1, 9000)
        with pytest.raises(BpfError):
            const.update(u32(0), data)


def test_what_is_there_is_reused_and_a_private_copy_reuses_nothing() -> None:
    asked: list[str] = []
    with Map(maps.create("array", 4, 64 * cpu_slots(), 1)) as there:

        def reuse(spec: MapSpec) -> int | None:
            asked.append(spec.name)
            return os.dup(there.fd) if spec.scope is Scope.DEPLOYMENT else None

        with load(copying(), host=HOST, reuse=reuse) as loaded:
            assert loaded.reused == {"ingress"}
            assert there.id in programs.info(loaded.programs[0]).map_ids
        assert set(asked) == {spec.name for spec in MAPS}
        asked.clear()
        load(copying(), host=HOST, reuse=reuse, private=True).close()
        assert not asked


def test_another_layout_is_not_reused() -> None:
    before = open_fds()
    with pytest.raises(AgentError, match="map 'ingress' is there with another layout"):
        load(copying(), host=HOST, reuse=lambda spec: maps.create("array", 4, 8, 1) if spec.name == "ingress" else None)
    assert open_fds() == before


def test_a_map_of_maps_gets_its_inner_layout() -> None:
    inner = MapSpec("rules_blob", "array", 4, 128, 1)
    spec = MapSpec("rules", "array_of_maps", 4, 4, 1, inner=inner)
    made = bundle(program("entry", *leaving(2, 0)), maps=(*MAPS, spec))
    with load(made, host=HOST) as loaded, Map(os.dup(loaded.maps["rules"])) as rules:
        with Map(maps.create("array", 4, 128, 1)) as blob:
            rules.update(u32(0), u32(blob.fd))
        with Map(maps.create("array", 4, 64, 1)) as wrong, pytest.raises(BpfError):
            rules.update(u32(0), u32(wrong.fd))


def test_a_refusal_leaves_nothing_open() -> None:
    before = open_fds()
    with pytest.raises(VerifierError, match="refused 'second': invalid bpf_context access"):
        load(bundle(program("entry", *leaving(2, 0)), program("second", insn.load(8, 0, 1, 4000), insn.leave())), host=HOST)
    assert open_fds() == before


def test_a_refusal_names_the_authors_last_line_on_the_way() -> None:
    """Line 7 of the author's file, although the refused instruction itself comes from a framework header."""
    strings = b"\0mnf/counter.c\0framework.h\0"
    btf = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, 0, 0, len(strings)) + strings
    code = (insn.alu("mov", 2, 0), insn.alu("mov", 3, 0), insn.load(8, 0, 1, 4000), insn.leave())
    lines = b"".join(
        struct.pack("=IIII", start, strings.find(name), 0, line << 10 | 5)
        for start, name, line in ((0, b"framework.h", 3), (1, b"mnf/counter.c", 7), (2, b"framework.h", 90))
    )
    broken = bundle(program("entry", *code, btf=btf, line_info=lines), authors={"mnf/counter.c": "mnfs/counter/mnf.c"})
    with pytest.raises(VerifierError) as refused:
        load(broken, host=HOST)
    assert str(refused.value.where) == "mnfs/counter/mnf.c:7:5"
    assert "invalid bpf_context access" in refused.value.what
    assert "invalid bpf_context access" in refused.value.log and "processed" not in refused.value.log


@pytest.mark.parametrize("relocation", [(0, "nothing"), (99, "meta"), (2, "meta"), (-1, "meta")])
def test_a_relocation_that_fits_nothing_is_a_broken_bundle(relocation: tuple[int, str]) -> None:
    good = program("entry", (1, 2, "meta"), insn.leave(2))
    with pytest.raises(AgentError, match="broken bundle"):
        load(bundle(dataclasses.replace(good, relocations=(relocation,))), host=HOST)


def test_a_port_whose_interface_is_gone_is_named() -> None:
    with pytest.raises(AgentError, match="port 'lan': interface 2147483632 takes no frames"):
        load(copying(), host=dataclasses.replace(HOST, ports={"wan": (1, 1500), "lan": (0x7FFFFFF0, 1500)}))


def test_an_impossible_map_is_named() -> None:
    with pytest.raises(AgentError, match="map 'huge'"):
        load(bundle(program("entry", *leaving(2, 0)), maps=(*MAPS, MapSpec("huge", "array", 8, 8, 1))), host=HOST)
