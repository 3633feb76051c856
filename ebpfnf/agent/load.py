"""A bundle becomes maps and programs in the kernel, held by fds. Nothing is pinned, attached or made live here."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ebpfnf.agent import functions, refusal
from ebpfnf.errors import AgentError, PrivilegeError
from ebpfnf.kernel import maps, probe, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.syscall import BpfError, cpu_slots
from ebpfnf.model import Bundle, MapSpec, Program

# bits of ConstLayout.flags
RECORD_EXITS, VIRTUAL_CLOCK = 1, 2

_LD_IMM64 = 0x18
_MAP_FD, _MAP_VALUE = 1, 2  # src_reg of a relocation
_KEY = bytes(4)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the bundle's constants need to know of the host. `ports`: port name -> (ifindex, MTU)."""

    cpu_mask: int
    tick_ns: int
    ports: Mapping[str, tuple[int, int]]

    @classmethod
    def measure(cls, ports: Mapping[str, tuple[int, int]]) -> HostFacts:
        """The facts of this host, with these interfaces behind the ports."""
        return cls(cpu_slots() - 1, probe.tick_ns(), ports)


@dataclass(slots=True)
class Loaded:
    """Fds of a loaded bundle, owned: maps by name, programs by segment."""

    maps: dict[str, int] = field(default_factory=dict)
    programs: list[int] = field(default_factory=list)
    reused: set[str] = field(default_factory=set)  # names of maps that were there before

    def close(self) -> None:
        """Close all fds. What is not pinned or attached by then is gone."""
        for fd in (*self.programs, *self.maps.values()):
            os.close(fd)
        self.maps.clear()
        self.programs.clear()

    def __enter__(self) -> Loaded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load(bundle: Bundle, *, host: HostFacts, reuse: Callable[[MapSpec], int | None] | None = None, private: bool = False) -> Loaded:
    """Make the bundle's maps, load its programs, fill `chain` and `ports`; tables stay empty.

    `reuse` may give an fd (which is then owned here) of a map that already is. A `private` copy reuses nothing, records
    each packet's exit, takes its time from the slot, and has its per-CPU slots in memory that can be mapped.
    VerifierError names the author's file and line; AgentError and PrivilegeError say what else the kernel refused.
    """
    loaded = Loaded()
    try:
        for spec in bundle.maps:
            found = reuse(spec) if reuse and not private else None
            if found is None:
                loaded.maps[spec.name] = _create(spec, bundle, host, private)
            else:
                loaded.maps[spec.name] = found
                loaded.reused.add(spec.name)
                _check(spec, found)
        _load_programs(bundle, loaded)
        _fill(bundle, loaded, host)
    except BaseException as error:
        loaded.close()
        if isinstance(error, BpfError):
            raise _refused("bpf", error) from error
        raise
    return loaded


def _create(spec: MapSpec, bundle: Bundle, host: HostFacts, private: bool) -> int:
    flags = spec.flags
    if spec.frozen is not None:
        flags |= maps.RDONLY_PROG
    if spec.per_cpu_slots and private:
        flags |= maps.MMAPABLE
    inner = _create(spec.inner, bundle, host, private) if spec.inner else None
    try:
        fd = maps.create(spec.kind, spec.key_size, _value_size(spec), spec.max_entries, flags, spec.name, inner)
    except BpfError as error:
        raise _refused(f"map '{spec.name}'", error) from error
    finally:
        if inner is not None:
            os.close(inner)
    if spec.frozen is not None:
        contents = constants(spec.frozen, bundle, host, private) if spec.name == "const" else spec.frozen
        with Map(os.dup(fd)) as new:
            new.update(_KEY, contents)
        maps.freeze(fd)  # before the load: the verifier then treats what is read as constants
    return fd


def constants(contents: bytes, bundle: Bundle, host: HostFacts, private: bool) -> bytes:
    """The contents of `const` for this host."""
    at, data = bundle.const, bytearray(contents)
    struct.pack_into("=I", data, at.cpu_mask, host.cpu_mask)
    struct.pack_into("=I", data, at.flags, RECORD_EXITS | VIRTUAL_CLOCK if private else 0)
    struct.pack_into("=Q", data, at.tick_ns, host.tick_ns)
    for port in bundle.ports:
        struct.pack_into("=II", data, at.ports + 8 * port.number, *host.ports[port.name])
    return bytes(data)


def _value_size(spec: MapSpec) -> int:
    return spec.value_size * cpu_slots() if spec.per_cpu_slots else spec.value_size


def _check(spec: MapSpec, fd: int) -> None:
    with Map(os.dup(fd)) as there:
        found = (there.kind, there.key_size, there.value_size, there.max_entries)
    wanted = (spec.kind, spec.key_size, _value_size(spec), spec.max_entries)
    if found != wanted:
        raise AgentError(f"map '{spec.name}' is there with another layout: {found}, wanted {wanted}")


def _load_programs(bundle: Bundle, loaded: Loaded) -> None:
    types: dict[bytes, int] = {}
    try:
        for program in bundle.programs:
            if program.btf and program.btf not in types:
                types[program.btf] = _btf(program.btf)
            loaded.programs.append(_load(program, types.get(program.btf, 0), bundle, loaded.maps))
    finally:
        for fd in types.values():
            if fd:
                os.close(fd)


def _btf(data: bytes) -> int:
    """0 where this kernel does not know such types: the program runs without, only errors are told less well."""
    try:
        return programs.btf_load(data)
    except BpfError:
        return 0


def _load(program: Program, btf_fd: int, bundle: Bundle, fds: Mapping[str, int]) -> int:
    try:
        return programs.load(
            relocate(program, fds),
            program.name,
            btf_fd=btf_fd,
            func_info=program.func_info,
            func_info_size=program.func_info_size,
            line_info=program.line_info,
            line_info_size=program.line_info_size,
        )
    except programs.LoadRefused as error:
        if not error.log:
            raise _refused(f"program '{program.name}'", error) from error
        raise refusal.explain(program, error.log, bundle.authors) from error


def relocate(program: Program, fds: Mapping[str, int]) -> bytes:
    """The program's instructions with the maps' fds in place of their symbolic ids."""
    code = bytearray(program.insns)
    for index, name in program.relocations:
        at = index * 8
        if name not in fds or at + 16 > len(code) or code[at] != _LD_IMM64 or code[at + 1] >> 4 not in (_MAP_FD, _MAP_VALUE):
            raise AgentError(f"broken bundle: program '{program.name}', relocation {index} to '{name}'", cure="build it again")
        struct.pack_into("=i", code, at + 4, fds[name])
    return bytes(code)


def _fill(bundle: Bundle, loaded: Loaded, host: HostFacts) -> None:
    """Prog array, devmap, functions (all serve until somebody looks): made anew for each load, so this changes nothing that runs."""
    if "chain" in loaded.maps:
        with Map(os.dup(loaded.maps["chain"])) as chain:
            for segment, fd in enumerate(loaded.programs):
                chain.update(struct.pack("=I", segment), struct.pack("=I", fd))
    if functions.MAP in loaded.maps:
        with Map(os.dup(loaded.maps[functions.MAP])) as states:
            functions.write(states, bundle, [function.name for function in bundle.functions])
    if "ports" in loaded.maps:
        with Map(os.dup(loaded.maps["ports"])) as ports:
            for port in bundle.ports:
                ifindex = host.ports[port.name][0]
                try:
                    ports.update(struct.pack("=I", port.number), struct.pack("=I", ifindex).ljust(ports.value_size, b"\0"))
                except BpfError as error:
                    raise AgentError(f"port '{port.name}': interface {ifindex} takes no frames: {error.strerror}", port.where) from error


def _refused(what: str, error: BpfError) -> AgentError | PrivilegeError:
    if error.errno == errno.EPERM:
        return PrivilegeError(f"{what}: {error.strerror}", cure="run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")
    return AgentError(f"{what}: {error.strerror}")
