"""Images of unikernels, by the system's gcc: the runtime, some mNFs, and the libraries that they need.

An image holds one mNF or several, in order: `compress`, `tcp_reasm+sqli_stream+url_filter`. The same sources make the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ebpfnf.errors import CompileError, EbpfnfError, SpecError
from ebpfnf.spec.problems import meant, quote
from ebpfnf.vm import generated, manifest
from ebpfnf.vm.manifest import Unikernel

PACKAGE = Path(__file__).resolve().parent.parent
SOURCES = PACKAGE.parent / "unikernels"
SHARED = ("core.c", "control.c", "stats.c", "config.c")  # of the runtime: in a guest and in a process
_GUEST = ("boot.S", "console.c", "memory.c", "clock.c", "fwcfg.c", "pci.c", "network.c", "probe.c", "text.c", "libraries.c", "main.c")
_RING0 = ("console.c",)  # what ring 0 calls has no SSE
_WARNINGS = "-std=gnu11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wwrite-strings"
_GUEST_FLAGS = (
    "-O2 -ffreestanding -fno-pic -no-pie -mcmodel=small -mno-red-zone -fstack-protector-strong -ffunction-sections -fdata-sections "
    "-fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns -fcf-protection=none"
)
_PROCESS_FLAGS = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
_LOOKED_AT = ("LZ4_decompress_safe", "LZ4_compress_fast_extState", "inflate", "deflate")  # runtime/regions.c
_KEPT = 64 << 20  # bytes of images
INSTALL = "apt-get install gcc libc6-dev zlib1g-dev liblz4-dev"


@dataclass(frozen=True, slots=True)
class Image:
    """A bootable ELF (PVH)."""

    path: Path
    digest: str  # sha256 of its bytes
    mnfs: tuple[Unikernel, ...]


def names() -> tuple[str, ...]:
    """All mNFs that run in a unikernel."""
    return tuple(sorted(path.parent.name for path in SOURCES.glob("*/mnf.yaml")))


def mnfs(name: str) -> tuple[Unikernel, ...]:
    """The mNFs of an image, by its name; one that works on what another makes brings that along."""
    result: list[Unikernel] = []
    for part in name.split("+"):
        if part not in names():
            raise SpecError(f"no unikernel mNF {quote(part)}", cure=meant(part, names(), "mNFs"))
        mnf = manifest.read(SOURCES / part)
        if mnf.after and mnf.after not in (m.name for m in result):
            result.append(manifest.read(SOURCES / mnf.after))
        if mnf.name in (m.name for m in result):
            raise SpecError(f"mNF '{mnf.name}' stands twice in {quote(name)}", cure="an image holds an mNF once")
        result.append(mnf)
    return tuple(result)


def image(name: str) -> Image:
    """The image of that name, built unless it was already."""
    wanted = mnfs(name)
    return cached(name, wanted, "image.elf", _build_guest)


def process(name: str) -> Image:
    """The same mNFs as a process with sanitizers: runtime/native.c says how it is spoken to."""
    wanted = mnfs(name)
    return cached(name, wanted, "process", _build_process)


def cached(name: str, wanted: tuple[Unikernel, ...], file: str, build: Callable[[Path, tuple[Unikernel, ...]], Path]) -> Image:
    """What `build` makes of these mNFs in a folder, kept under `file` and all that it is made of."""
    key = hashlib.sha256()
    key.update(f"{file}\0{name}\0{run(['gcc', '--version'])}".encode())
    for path in _inputs(wanted):
        key.update(f"{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    for module in (Path(__file__), Path(generated.__file__)):
        key.update(module.read_bytes())
    folder = _cache()
    ready = folder / f"{key.hexdigest()[:32]}-{file}"
    if not ready.exists():
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as scratch:
            made = build(Path(scratch), wanted)
            os.replace(made, ready)
        _prune(folder)
    else:
        os.utime(ready)  # the oldest use goes first
    return Image(ready, hashlib.sha256(ready.read_bytes()).hexdigest(), wanted)


def _prune(folder: Path) -> None:
    """Forgets what was not used for longest."""
    entries = sorted(((entry.stat(), entry.path) for entry in os.scandir(folder) if entry.is_file()), key=lambda item: -item[0].st_mtime)
    total = 0
    for stat, path in entries:
        total += stat.st_size
        if total > _KEPT:
            Path(path).unlink(missing_ok=True)


def _inputs(wanted: tuple[Unikernel, ...]) -> list[Path]:
    """Every file that may say something about an image."""
    folders = {SOURCES / "runtime", *(mnf.folder for mnf in wanted), *(SOURCES / used for mnf in wanted for used in mnf.uses)}
    libraries = (Path(run(["gcc", f"-print-file-name={name.removeprefix('-l:')}"]).strip()) for name in _libraries(wanted))
    return sorted(path for folder in folders for path in folder.iterdir() if path.is_file()) + [
        path for path in libraries if path.is_file()
    ]


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base) / "ebpfnf-images"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EbpfnfError(f"'{folder}' can't be made: {(error.strerror or 'error').lower()}", cure="set XDG_CACHE_HOME") from None
    if folder.stat().st_uid != os.geteuid():  # what lies there would be started as ours
        raise EbpfnfError(f"'{folder}' belongs to somebody else", cure="set XDG_CACHE_HOME")
    return folder


def units(scratch: Path, wanted: tuple[Unikernel, ...], runtime: tuple[str, ...]) -> Iterator[tuple[Path, list[str]]]:
    """Each file to compile, with its flags."""
    include = [f"-I{SOURCES / 'runtime'}"]
    for file in runtime:
        yield SOURCES / "runtime" / file, include
    listing = scratch / "image.c"
    listing.write_text(generated.listing(wanted))
    yield listing, include
    for used in dict.fromkeys(folder for mnf in wanted for folder in mnf.uses):
        for path in sorted((SOURCES / used).glob("*.c")):
            yield path, [*include, f"-I{SOURCES}"]
    for mnf in wanted:
        folder = scratch / mnf.name
        folder.mkdir()
        (folder / "manifest.h").write_text(generated.header(mnf))
        (folder / "manifest.c").write_text(generated.source(mnf))
        for path in [folder / "manifest.c", *sorted(mnf.folder.glob("*.c"))]:
            yield path, [*include, f"-I{folder}", f"-I{SOURCES}"]


def compiled(scratch: Path, units: Iterable[tuple[Path, list[str]]], flags: str, compiler: str = "gcc") -> list[str]:
    """Object files, in a fixed order."""
    jobs = []
    objects = []
    prefix = [f"-ffile-prefix-map={scratch}=.", f"-ffile-prefix-map={PACKAGE.parent}=."]
    for number, (path, own) in enumerate(units):
        out = str(scratch / f"{number}.o")
        extra = ["-mgeneral-regs-only"] if path.name in _RING0 else []
        jobs.append([compiler, *_WARNINGS.split(), *flags.split(), *extra, *prefix, *own, "-c", str(path), "-o", out])
        objects.append(out)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(run, jobs))
    return objects


def _libraries(wanted: tuple[Unikernel, ...]) -> list[str]:
    return [f"-l:lib{name}.a" for name in dict.fromkeys(library for mnf in wanted for library in mnf.libraries)]


def _build_guest(scratch: Path, wanted: tuple[Unikernel, ...]) -> Path:
    return _link(scratch, compiled(scratch, units(scratch, wanted, (*SHARED, *_GUEST)), _GUEST_FLAGS), _libraries(wanted))


def _link(scratch: Path, objects: list[str], libraries: list[str]) -> Path:
    out = scratch / "image.elf"
    flags = ["-nostdlib", "-static", "-no-pie", "-Wl,-n,-s,--gc-sections,--build-id=none,--no-warn-rwx-segments,-z,noexecstack"]
    run(["gcc", *flags, f"-Wl,-T,{SOURCES / 'runtime' / 'link.ld'}", "-o", str(out), *objects, *libraries])
    return out


def _build_process(scratch: Path, wanted: tuple[Unikernel, ...]) -> Path:
    shared = units(scratch, wanted, (*SHARED, "native.c"))
    return sanitized(scratch, wanted, compiled(scratch, shared, _PROCESS_FLAGS), "-fsanitize=address,undefined")


def sanitized(scratch: Path, wanted: tuple[Unikernel, ...], objects: list[str], flags: str, compiler: str = "gcc") -> Path:
    """A program of these objects that also watches what the mNFs' libraries are given."""
    libraries = _libraries(wanted)
    if libraries:
        own: list[tuple[Path, list[str]]] = [(SOURCES / "runtime" / "regions.c", [])]
        (scratch / "regions").mkdir()
        objects = [*objects, *compiled(scratch / "regions", own, _PROCESS_FLAGS, compiler)]
        flags += "".join(f" -Wl,--wrap={name}" for name in _LOOKED_AT)
    out = scratch / "process"
    run([compiler, *flags.split(), "-o", str(out), *objects, *libraries])
    return out


def run(command: list[str]) -> str:
    """What the command says; CompileError with what it complains about."""
    if shutil.which(command[0]) is None:
        raise EbpfnfError(f"'{command[0]}' is missing, images are built with it", cure=INSTALL)
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"})
    if done.returncode:
        wrong = [line for line in done.stderr.splitlines() if "error" in line or "undefined" in line or "cannot find" in line]
        raise CompileError("\n".join(wrong[:8]) or done.stderr.strip()[:2000], cure=INSTALL if "cannot find -l" in done.stderr else "")
    return done.stdout
