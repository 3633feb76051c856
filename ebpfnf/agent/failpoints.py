"""Named places at which an apply can be made to die or to fail: how the tests show that it may, anywhere.

EBPFNF_FAILPOINT=name         the process kills itself there
EBPFNF_FAILPOINT_ERROR=name   ENOSPC is raised there
"""

from __future__ import annotations

import errno
import os
import signal

POINTS = (
    "locked",
    "planned",
    "journal-written",
    "loaded",
    "filled",
    "checked",
    "base-pinned",
    "state-pinned",
    "pinning",
    "pinned",
    "generation-named",
    "flipped",
    "root-program-pinned",
    "attached-unpinned",
    "attached",
    "detached",
    "detached-unpinned",
    "replaced",
    "waited",
    "folded",
    "retiring",
    "retired",
    "swept",
    "journal-gone",
)


def hit(name: str) -> None:
    """Die or fail here if the environment says so."""
    assert name in POINTS, name
    if os.environ.get("EBPFNF_FAILPOINT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get("EBPFNF_FAILPOINT_ERROR") == name:
        raise OSError(errno.ENOSPC, f"no space left (injected at '{name}')")
