"""Are guests there, and do they do their work? A tap's carrier tells of one that ended, a question through the data path of one that hangs.

No libvirt here: who watches must not hold what a deployment needs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ebpfnf.errors import AgentError
from ebpfnf.vm import lifecycle, tap
from ebpfnf.vm.control import Operation
from ebpfnf.vm.lifecycle import Name

ANSWER_SECONDS = 0.2
PATIENCE = 3  # questions in a row without an answer, before a guest counts as hung


@dataclass(slots=True)
class Watched:
    """A machine and what is known of it. Its line stays open: an answer that comes late is a sign of life too."""

    name: Name
    silent: int = 0
    _ifindex: int = 0
    _line: tap.Line | None = None

    def line(self) -> tap.Line:
        """Through its tap; another one where the tap is another."""
        there = lifecycle.ifindex(self.name)
        if self._line is None or there != self._ifindex:
            self.close()
            self._line, self._ifindex = tap.Line(self.name.tap), there
        return self._line

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
            self._line = None


def failed(watched: Sequence[Watched]) -> list[Watched]:
    """Who does not serve, as far as is known after one more question to all, asked at once."""
    lines = {}
    for each in watched:
        if not tap.held(each.name.tap):
            each.silent = PATIENCE
            continue
        each.silent += 1
        with contextlib.suppress(AgentError):
            lines[each.name] = each, each.line()
            lines[each.name][1].send(Operation.READY)
    end = time.monotonic() + ANSWER_SECONDS
    for each, line in lines.values():
        if line.hear(Operation.READY, max(0.0, end - time.monotonic())):
            each.silent = 0
    return [each for each in watched if each.silent >= PATIENCE]
