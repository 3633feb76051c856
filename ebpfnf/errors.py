"""One root for every error that a user may see, one class per stage, each carrying where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file; line and column count from 1, 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        if not self.column:
            return f"{self.file}:{self.line}"
        return f"{self.file}:{self.line}:{self.column}"


class EbpfnfError(Exception):
    """What went wrong, where, and the cure.

    The message is lower case, quotes names, has no full stop: what, then what was wanted.
    """

    exit_code = 1

    def __init__(self, what: str, where: Where | None = None, cure: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.cure = cure

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.cure})" if self.cure else text


class SpecError(EbpfnfError):
    """A file of the operator or of an mNF author is wrong."""

    exit_code = 65


class SpecErrors(EbpfnfError):
    """All errors of the files that were read, in file order."""

    exit_code = 65

    def __init__(self, errors: tuple[EbpfnfError, ...]) -> None:
        super().__init__("\n".join(str(e) for e in errors), errors[0].where if errors else None)
        self.errors = errors

    def __str__(self) -> str:
        return self.what


class GraphError(SpecError):
    """The graph that the files describe can't be built: a cycle, a dangling outcome, a metadata hole."""


class GenerateError(EbpfnfError):
    """A value that may not reach C, or a limit of the generated program."""


class CertificateError(EbpfnfError):
    """The optimiser did what it may not, or its certificate says something else than what it did."""


class CompileError(EbpfnfError):
    """The compiler refused an mNF body."""

    exit_code = 65


class CompileErrors(CompileError):
    """All that the compiler refused in one go."""

    def __init__(self, errors: tuple[CompileError, ...]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = errors


class VerifierError(EbpfnfError):
    """The kernel's verifier refused a program; `log` holds its last useful lines."""

    exit_code = 65

    def __init__(self, what: str, where: Where | None = None, cure: str = "", log: str = "") -> None:
        super().__init__(what, where, cure)
        self.log = log


class TableError(EbpfnfError):
    """A table, key or value that does not exist or does not fit."""


class CaptureError(EbpfnfError):
    """A capture that is no capture, breaks off or lies; what came before it was delivered."""


class AgentError(EbpfnfError):
    """The host refused, before anything changed."""


class Busy(AgentError):
    """Another writer holds the deployment's lock."""


class PrivilegeError(EbpfnfError):
    """A right is missing."""

    exit_code = 77


class HostUnreachable(EbpfnfError):
    """No answer: what happened there is unknown."""

    exit_code = 69


class NotReached(HostUnreachable):
    """No connection came about: nothing was done there."""
