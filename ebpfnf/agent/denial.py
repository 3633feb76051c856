"""What the kernel refuses, as an error that a person may see."""

from __future__ import annotations

import errno

from ebpfnf.errors import AgentError, EbpfnfError, PrivilegeError


def refused(error: OSError, cure: str, what: str = "") -> EbpfnfError:
    """A refusal of the kernel as an error that a person may see."""
    words = f"{what}: {error.strerror}" if what else str(error.strerror)
    if error.errno == errno.EPERM and "by_id" in str(error):
        return PrivilegeError(words, cure="run as root: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON don't open a map or a program by its number")
    if error.errno in (errno.EPERM, errno.EACCES):
        return PrivilegeError(words, cure="run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")
    return AgentError(words, cure=cure)
