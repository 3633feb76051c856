"""Named places at which a change can be made to die or to fail: how the tests show that it may, anywhere.

EBPFNF_FAILPOINT=name         the process kills itself there
EBPFNF_FAILPOINT_ERROR=name   ENOSPC is raised there
"""

from __future__ import annotations

import errno
import os
import signal

# within steps; after each step there is one more, after-<verb>
WITHIN = (
    "locked",
    "journal-written",
    "base-pinned",
    "state-pinned",
    "generation-pinned",
    "root-program-pinned",
    "attached-unpinned",
    "detached-pinned",
    "folded",
    "hidden",
    "journal-gone",
)

# after a manager's change stands, before the disk says so (store.py)
KEEPING = ("unkept",)


def hit(name: str) -> None:
    """Die or fail here if the environment says so."""
    if os.environ.get("EBPFNF_FAILPOINT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get("EBPFNF_FAILPOINT_ERROR") == name:
        raise OSError(errno.ENOSPC, f"no space left, injected at '{name}'")
