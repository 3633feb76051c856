"""The agent as one file that a host with nothing but python3 can run, named by what is in it."""

from __future__ import annotations

import functools
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import ebpfnf

FOLDER = "/var/lib/ebpfnf/agent"
_PARTS = ("__init__.py", "model/*.py", "errors.py", "names.py", "bundle.py", "tables/**/*.py", "kernel/**/*.py", "agent/**/*.py")
_VM = ("__init__", "control", "crew", "domain", "emulator", "foreign", "health", "lifecycle", "qemu", "tap")  # of vm/: not what builds
# The zip that runs stays as long as it runs (install.py looks for the lock), also when what led to it leads elsewhere by now.
_MAIN = """\
import fcntl, gc, os, sys

gc.disable()  # there is no garbage in importing
sys.path[0] = os.path.realpath(sys.path[0])
used = os.open(sys.path[0], os.O_RDONLY)
fcntl.flock(used, fcntl.LOCK_SH)

from ebpfnf.agent.__main__ import main

gc.enable()
sys.exit(main())
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's own: the same sources are the same bytes


@dataclass(frozen=True, slots=True)
class Agent:
    """A zip that python runs."""

    data: bytes
    digest: str

    @property
    def path(self) -> str:
        """Where it is on every host."""
        return f"{FOLDER}/{self.digest}.pyz"


@functools.cache
def agent() -> Agent:
    """The agent of this version."""
    package = Path(ebpfnf.__file__).parent
    files = sorted(file for part in (*_PARTS, *(f"vm/{name}.py" for name in _VM)) for file in package.glob(part))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, text in [("__main__.py", _MAIN), *((f"ebpfnf/{f.relative_to(package)}", f.read_text()) for f in files)]:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text, zipfile.ZIP_DEFLATED)
    data = made.getvalue()
    return Agent(data, hashlib.sha256(data).hexdigest())


def installer() -> str:
    """The program that puts the agent in its place."""
    return Path(__file__).with_name("install.py").read_text()
