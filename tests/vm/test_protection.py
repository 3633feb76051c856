"""What a mistake in an mNF may not do in a guest: it ends with a fault, whatever runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ebpfnf.vm import build, qemu

pytestmark = [pytest.mark.vm, pytest.mark.skipif(bool(qemu.missing()), reason=f"missing: {qemu.missing()}")]
BODY = """
#include "machine.h"
extern char __ring0_bss[];
int deeper(int x);
void guest_main(void);
__attribute__((noinline)) int deeper(int x) { volatile char page[4000]; page[0] = (char)x; return deeper(x + 1) + page[0]; }
void guest_main(void) { static u8 code[16] = {0xc3}; u64 null = 0; (void)code; (void)null; %s; say("survived\\n"); power_off(); }
"""
MISTAKES = {
    "writes code": "*(volatile u8 *)(u64)guest_main = 0",
    "runs data": "((void (*)(void))(u64)code)()",
    "reads the processor's tables": "(void)*(volatile u64 *)(u64)__ring0_bss",
    "overruns the stack": "deeper(1)",
    "reads at null": "(void)*(volatile u64 *)null",
    "calls null": "((void (*)(void))null)()",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_fault(mistake: str, tmp_path: Path) -> None:
    body = tmp_path / "body.c"
    body.write_text(BODY % MISTAKES[mistake])
    runtime = build.SOURCES / "runtime"
    objects = []
    for path, flags in ((runtime / "boot.S", ""), (runtime / "console.c", "-mgeneral-regs-only"), (body, "-O0 -w")):
        objects.append(str(tmp_path / f"{path.name}.o"))
        command = ["gcc", *build._GUEST_FLAGS.split(), *flags.split(), f"-I{runtime}", "-c", str(path), "-o", objects[-1]]
        subprocess.run(command, check=True)
    image = build._link(tmp_path, objects, [])
    for accelerator in {"tcg", qemu.accelerator(build.image("compress").path).name}:
        done = subprocess.run(qemu.command(image, accelerator), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
        assert "ebpfnf: fault 000000000000000e" in done.stdout
        assert "survived" not in done.stdout
