"""Signs a bundle for hosts that take no others (agent/signature.py says what is signed), by ssh-keygen: keys in an agent work too."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ebpfnf.agent.signature import NAME, text
from ebpfnf.errors import EbpfnfError
from ebpfnf.model import Bundle


def sign(bundle: Bundle, key: Path, sequence: int) -> dict[str, object]:
    """The signature as the agent takes it. `key`: a private key's file, or a public one's whose private part an agent holds."""
    argv = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", NAME]
    try:
        signed = text(bundle.deployment, bundle.digest, sequence)
        done = subprocess.run(argv, input=signed, capture_output=True, check=False)
    except OSError:
        raise EbpfnfError("no ssh-keygen to sign with", cure="apt-get install openssh-client") from None
    if done.returncode:
        words = (done.stderr.decode(errors="replace").strip().splitlines() or ["ssh-keygen failed"])[-1]
        raise EbpfnfError(f"can't sign with '{key}': {words}", cure="name an ssh key, ed25519 for choice")
    return {"sequence": sequence, "armoured": done.stdout.decode()}
