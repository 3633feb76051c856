"""A host, whichever way it is reached: it takes the agent's commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ebpfnf import errors
from ebpfnf.errors import AgentError, EbpfnfError, VerifierError, Where

OnEvent = Callable[[Mapping[str, Any]], None]  # a line of the agent's: {"step": ..., "what": ..., "detail": ...}


def ignore(event: Mapping[str, Any]) -> None:
    """An `OnEvent` for callers who only want the result."""


class Host(Protocol):
    """Where the agent runs."""

    name: str

    def run(self, command: str, payload: Mapping[str, Any], on_event: OnEvent = ignore) -> Any:
        """Do a command of `ebpfnf.agent.commands`: its result, or the error that the agent met, of the class that it had there."""


class Answer:
    """Reads the agent's lines as they come; at the end there is a result or an error."""

    def __init__(self, on_event: OnEvent = ignore) -> None:
        self._on_event = on_event
        self._last: Mapping[str, Any] = {}
        self.status: int | None = None  # with which the command ended, negative for a signal; None: an agent that serves did not say

    def line(self, text: str) -> bool:
        """One line of the agent's output, and whether the command ended with it; what is not its own is not believed."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return False
        if not isinstance(value, dict):
            return False
        if "step" in value:
            self._on_event(value)
        elif "result" in value or "error" in value:
            self._last = value
        elif isinstance(value.get("ended"), int):
            self.status = value["ended"]
        return self.status is not None

    def result(self, otherwise: EbpfnfError) -> Any:
        """The result; the agent's error is raised, or `otherwise` where it gave neither."""
        if "error" in self._last:
            raise error_of(self._last)
        if "result" not in self._last:
            raise otherwise
        return self._last["result"]


def error_of(told: Mapping[str, Any]) -> EbpfnfError:
    """The error that an agent told, as the class that it was there."""
    kind = getattr(errors, str(told.get("kind", "")), AgentError)
    if not (isinstance(kind, type) and issubclass(kind, EbpfnfError)) or kind is errors.SpecErrors:
        kind = AgentError
    place = told.get("where")
    where = Where(str(place["file"]), int(place["line"]), int(place["column"])) if isinstance(place, dict) else None
    what, cure = str(told["error"]), str(told.get("cure", ""))
    return VerifierError(what, where, cure, str(told.get("log", ""))) if kind is VerifierError else kind(what, where, cure)
