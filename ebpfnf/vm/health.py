"""Is a guest there, and does it do its work? Its tap's carrier tells of one that ended, a question through the data path of one that hangs.

No libvirt here: who watches must not hold what a deployment needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from ebpfnf.errors import AgentError
from ebpfnf.vm import tap
from ebpfnf.vm.control import Operation
from ebpfnf.vm.lifecycle import Name

ANSWER_SECONDS = 0.2
PATIENCE = 3  # questions in a row without an answer, before a guest counts as hung


@dataclass(slots=True)
class Watched:
    """A machine and what is known of it."""

    name: Name
    silent: int = 0

    def ask(self) -> bool:
        """Whether it serves, as far as is known after one more question."""
        if not tap.held(self.name.tap):
            self.silent = PATIENCE
            return False
        try:
            with tap.Line(self.name.tap) as line:
                answered = line.ask(Operation.READY, seconds=ANSWER_SECONDS) is not None
        except AgentError:
            answered = False
        self.silent = 0 if answered else self.silent + 1
        return self.silent < PATIENCE
