"""The agent of a quick command, started before the command line's own modules are imported: it takes as long to get ready as these."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ebpfnf.fleet.local import LocalHost

_begun: dict[str, LocalHost] = {}  # by network namespace


def begin(arguments: Sequence[str]) -> None:
    """Where the arguments look like a command that asks the agent here. A guess: it may stay unused, and does nothing of itself."""
    netns, words = os.environ.get("EBPFNF_NETNS", ""), list(arguments)
    if words[:1] == ["--netns"]:
        netns, words = "".join(words[1:2]), words[2:]
    command = " ".join(words[:2] if words[:1] == ["table"] else words[:1])
    if command in ("status", "table get", "table set", "table del", "table dump") and not {"--hosts", "--help", "-h"} & set(words):
        _begun[netns] = LocalHost(netns)
        _begun[netns].begin(command)


def host(netns: str) -> LocalHost:
    """This machine or a network namespace of it, with the agent that was begun there."""
    return _begun.pop(netns, None) or LocalHost(netns)
