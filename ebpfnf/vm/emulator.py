"""The process behind a guest, by the file that libvirt keeps of it: no daemon is asked."""

from __future__ import annotations

import contextlib
from pathlib import Path


def process(file: Path) -> int:
    """Of `<guest>.pid`; 0 where it is gone, or the number is another's by now."""
    with contextlib.suppress(OSError, ValueError):
        number = int(file.read_text())
        if f"guest={file.stem}," in Path(f"/proc/{number}/cmdline").read_text():
            return number
    return 0
