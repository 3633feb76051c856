"""typer without what a command does not need: the modules of other commands, and pydantic, which typer asks to convert values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer import core
from typer._coercion import RuntimeParam, TypeDescriptor, build_runtime_param  # private: pyproject.toml says of which typer


class LazyGroup(core.TyperGroup):
    """A group whose commands are imported when they are asked for."""

    places: ClassVar[Mapping[str, str]]  # command -> module:attribute, which is a function or an app of its own

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: core.TyperCommand(name) for name in self.places}  # for who wants names only: lists, "did you mean"

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command whole, None where there is no such."""
        return _made(cmd_name, self.places[cmd_name]) if cmd_name in self.places else None


@cache
def _made(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    around = typer.Typer(rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name)
    else:
        around.command(name)(found)
    return typer.main.get_group(around).commands[name]


@dataclass(frozen=True)
class _Given(RuntimeParam):
    """Takes what is of the wanted type already, as texts and defaults are, or names a choice; the rest typer converts.

    The import of pydantic takes longer than most commands, and every command comes by here: `--help`, not given, is a value too.
    """

    descriptor: TypeDescriptor

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        kind = self.annotation
        if isinstance(kind, type):
            if isinstance(value, kind):
                return value
            if issubclass(kind, Enum) and value in [each.value for each in kind]:
                return kind(value)
        return build_runtime_param(self.descriptor)._coerce_value(value, param=param, ctx=ctx)


core.build_runtime_param = lambda descriptor: _Given(descriptor.parameter_info, descriptor.annotation, descriptor)  # type: ignore[attr-defined]
