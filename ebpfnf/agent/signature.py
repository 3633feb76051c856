"""Signed bundles: a host that has a list of signers takes no others, and none that is older than what it took before.

The list is ssh's (ALLOWED SIGNERS in ssh-keygen(1)) with the principal `ebpfnf`; what is signed is a line with the deployment, the
bundle's digest and a sequence number that only grows. Checked by ssh-keygen, which is where sshd is.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import tempfile
from pathlib import Path

from ebpfnf.agent import store
from ebpfnf.errors import AgentError
from ebpfnf.model import Bundle

NAME = "ebpfnf"  # principal and namespace


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """What a signer made of `text(bundle, sequence)`."""

    sequence: int
    armoured: str


def signers() -> Path:
    """The list."""
    return Path(os.environ.get("EBPFNF_SIGNERS", "/etc/ebpfnf/allowed_signers"))


def text(deployment: str, digest: str, sequence: int) -> bytes:
    """What is signed."""
    return f"ebpfnf bundle {deployment} {digest} {sequence}\n".encode()


def check(bundle: Bundle, signature: Signature | None) -> None:
    """AgentError where this host has a list of signers and the bundle is not signed by one of them, or is older. Under the lock."""
    if not signers().exists():
        return
    if signature is None:
        raise AgentError("this host takes signed bundles only, and this one is not", cure="deploy with --sign KEY")
    with tempfile.NamedTemporaryFile(dir=None, prefix="ebpfnf-", suffix=".sig") as file:
        file.write(signature.armoured.encode())
        file.flush()
        argv = ["ssh-keygen", "-Y", "verify", "-f", str(signers()), "-I", NAME, "-n", NAME, "-s", file.name]
        try:
            signed = text(bundle.deployment, bundle.digest, signature.sequence)
            done = subprocess.run(argv, input=signed, capture_output=True, check=False, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            raise AgentError("signatures can't be checked here: no ssh-keygen", cure="apt-get install openssh-client") from None
    if done.returncode:
        raise AgentError("the bundle's signature is not by a signer that this host knows", cure=f"its signers are in {signers()}")
    last = store.read_claim(bundle.deployment)
    if signature.sequence < last.sequence or (signature.sequence == last.sequence and bundle.digest != last.signed):
        raise AgentError(
            f"the bundle is older (sequence {signature.sequence}) than one that ran here ({last.sequence})", cure="sign it again"
        )
    store.write_claim(bundle.deployment, dataclasses.replace(last, sequence=signature.sequence, signed=bundle.digest))
