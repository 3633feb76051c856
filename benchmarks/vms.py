"""VMs of unikernels: how soon they serve, what they weigh, what they pass; beside a Linux guest that does the same by AF_PACKET."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import microvm, receipts
from benchmarks.measure import ROUNDS, Figure, Unavailable, figure, ratio
from ebpfnf.errors import EbpfnfError
from ebpfnf.lab import namespaces
from ebpfnf.model import Vm
from ebpfnf.vm import build, control, domain, lifecycle, manifest, qemu, tap
from ebpfnf.vm.lifecycle import Name

PLAIN, PACKING = "sqli_stream+url_filter", "compress"  # the largest without libraries, and with
MANY = 30
_SECONDS, _WINDOW = 2, 256
_SPACE = f"ebpfnf-bench-{os.getpid()}"
_CONFIG = {PLAIN: {"url_filter": {"deny": ["/admin*"]}}}


def run() -> list[Figure]:
    """Needs root and qemu; libvirt's part and the Linux guest's are left out where these are not there."""
    if what := qemu.missing():
        raise Unavailable(what)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        linux = _linux(scratch)  # from outside the namespace, which has no network
        namespaces.create(_SPACE)
        stack.callback(namespaces.remove, _SPACE)
        stack.enter_context(namespaces.entered(_SPACE))
        stack.callback(shutil.rmtree, domain.home(), ignore_errors=True)
        best = qemu.accelerator(build.image(PACKING).path).name
        accelerators = list(dict.fromkeys(("tcg", best)))
        return [
            *_sizes(),
            *_raw(scratch, accelerators),
            *_libvirt(scratch),
            *_many(scratch),
            *_packets(scratch, accelerators, linux),
            *_receipts(scratch),
        ]


def _sizes() -> Iterator[Figure]:
    for name, goal in ((PLAIN, 64.0), (PACKING, 200.0)):
        yield figure(f"image of {name}", [build.image(name).path.stat().st_size / 1024], "KiB", goal)


def _config(scratch: Path, name: str) -> bytes:
    return manifest.config(build.mnfs(name), _CONFIG.get(name, {}))


@contextmanager
def _guest(command: list[str], interface: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            tap.remove(interface)


@contextmanager
def _ours(scratch: Path, accelerator: str, interface: str, name: str = PLAIN) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A guest of ours, and after how many ms it said that it serves."""
    config = scratch / "config"
    config.write_bytes(_config(scratch, name))
    tap.create(interface)
    command = qemu.command(build.image(name).path, accelerator, interface, config=config)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(control.TYPE)) as line:
        line.bind((interface, control.TYPE))
        line.settimeout(30)
        began = time.perf_counter()
        with _guest(command, interface) as process:
            found = control.answer(line.recv(2048))
            assert found and found.operation is control.Operation.READY
            yield process, (time.perf_counter() - began) * 1e3


def _raw(scratch: Path, accelerators: list[str]) -> Iterator[Figure]:
    """From qemu's start to the guest's word that it serves."""
    samples: dict[str, list[float]] = {accelerator: [] for accelerator in accelerators}
    for number in range(ROUNDS):
        for accelerator in accelerators if number % 2 else reversed(accelerators):
            with _ours(scratch, accelerator, "raw0") as (_, took):
                samples[accelerator].append(took)
    for accelerator in accelerators:
        yield figure(f"from qemu's start to ready, {accelerator}", samples[accelerator], "ms", 40.0 if accelerator == "tcg" else None)


def _libvirt(scratch: Path) -> list[Figure]:
    """As deployments start theirs: the whole boot, and one that stood by."""
    os.environ.setdefault("EBPFNF_LIBVIRT", f"qemu:///embed?root={scratch}/libvirt")
    image, config = build.image(PLAIN).path.read_bytes(), _config(scratch, PLAIN).decode()
    vm = Vm("bench.vm", 0, "drop", 1, image, config, "0" * 12)
    name = Name("bench", vm.stage, vm.digest, 0)
    samples: dict[str, list[float]] = {"start": [], "wake": []}

    def timed(what: str, begin: Callable[[], object]) -> None:
        began = time.perf_counter()
        begin()
        samples[what].append((time.perf_counter() - began) * 1e3)
        with tap.Line(name.tap) as line:
            assert line.ask(control.Operation.READY)
        lifecycle.stop([name])

    try:
        for number in range(ROUNDS + 1):
            tap.create(name.tap)
            timed("start", lambda: lifecycle.start(vm, name))
            tap.create(name.tap)
            lifecycle.start(vm, name, paused=True)
            timed("wake", lambda: lifecycle.wake(name))
            if not number:  # the driver and the accelerator were looked for
                samples = {"start": [], "wake": []}
    except EbpfnfError as error:
        print(f"vms: left out: by libvirt: {error}", file=sys.stderr)
        return []
    return [
        figure("from libvirt's start to ready", samples["start"], "ms", 350.0),
        figure("one that stands by, from its wake to ready", samples["wake"], "ms", 40.0),
    ]


def _many(scratch: Path) -> Iterator[Figure]:
    """What a machine of 16 MiB costs where many are: their share of what they share counted in."""
    with ExitStack() as stack:
        began = time.perf_counter()
        processes = [stack.enter_context(_ours(scratch, "tcg", f"many{number}"))[0] for number in range(MANY)]
        took = (time.perf_counter() - began) * 1e3
        weights = [_pss(process.pid) for process in processes]
    yield figure(f"{MANY} started one after the other", [took], "ms")
    yield figure(f"memory of one of {MANY} (PSS)", weights, "MiB", 25.0)


def _pss(process: int) -> float:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024


def _linux(scratch: Path) -> tuple[Path, Path] | None:
    try:
        return microvm.files(scratch)
    except Unavailable as missing:
        print(f"vms: left out: a Linux guest: {missing}", file=sys.stderr)
        return None


def _packets(scratch: Path, accelerators: list[str], linux: tuple[Path, Path] | None) -> Iterator[Figure]:
    """64 B frames there and back through one guest, no more than a window under way, each verified."""
    pour = scratch / "pour"
    subprocess.run(["gcc", "-O2", "-o", str(pour), str(microvm.HERE / "pour.c")], check=True)

    def rate(interface: str, milliseconds: int = 1000 * _SECONDS) -> float:
        done = subprocess.run([pour, interface, str(milliseconds), str(_WINDOW)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        count, ns = map(int, done.stdout.split())
        return count / ns * 1e6

    with ExitStack() as stack:
        arms = {}
        for number, accelerator in enumerate(accelerators):
            stack.enter_context(_ours(scratch, accelerator, f"ours{number}"))
            arms[f"ours, {accelerator}"] = f"ours{number}"
        try:
            if linux:
                tap.create("linux0")
                stack.enter_context(_guest(microvm.command(*linux, "linux0"), "linux0"))
                _answers(lambda: rate("linux0", 100))
                arms["a Linux guest with AF_PACKET, tcg"] = "linux0"
        except Unavailable as missing:
            print(f"vms: left out: a Linux guest: {missing}", file=sys.stderr)
        samples: dict[str, list[float]] = {name: [] for name in arms}
        for number in range(ROUNDS):
            for name in list(arms) if number % 2 else reversed(arms):
                samples[name].append(rate(arms[name]))
    for name, each in samples.items():
        yield figure(f"64 B frames through {name}", each, "k/s")
    if "linux0" in arms.values():
        theirs = samples["a Linux guest with AF_PACKET, tcg"]
        for accelerator in accelerators:
            yield ratio(f"a Linux guest's frames by ours, {accelerator}", theirs, samples[f"ours, {accelerator}"], 1 / 6)


def _receipts(scratch: Path) -> list[Figure]:
    try:
        return list(receipts.figures(scratch))
    except EbpfnfError as error:
        print(f"vms: left out: receipts: {error}", file=sys.stderr)
        return []


def _answers(once: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            once()
            return
        except RuntimeError as error:
            if time.monotonic() > end:
                raise Unavailable(str(error)) from None
