"""What names look like and what is made of them: C identifiers and pin names. The one place of these rules.

mNFs, their nodes, tables, parameters and reasons are `lower_snake`; VNFs, instances, ports, chains and deployments are `lower-kebab`,
without `_`. So `<instance>-<node>-<table>` reads one way only, from the right; a node inside of a use
is `<use>__<node>` there. Standard library only.
"""

from __future__ import annotations

import re

SNAKE = re.compile(r"[a-z](?:[a-z0-9_]{0,30}[a-z0-9])?\Z")
KEBAB = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\Z")
INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}\Z")

SNAKE_WANTED = "a lower_snake name: a-z, 0-9 and single '_', a letter first, at most 32 characters"
KEBAB_WANTED = "a lower-kebab name: a-z, 0-9 and '-', at most 32 characters"
INTERFACE_WANTED = "an interface: letters, digits and '_.@-', at most 15 characters"

# Words of C, and what clang predefines in its GNU mode: a field of a struct can't be called so.
_WORDS = """
asm auto bool break case char const continue default do double else enum extern float for goto if inline int linux long register restrict
return short signed sizeof static struct switch typedef typeof union unix unsigned void volatile while
"""
C_WORDS = frozenset(_WORDS.split())

MAX_TABLE = 160  # characters of `<instance>.<node>.<table>`: what is pinned has more behind it
RESERVED_INSTANCES = frozenset({"route", "port", "chain", "vm"})
RESERVED_CLASSES = frozenset({"entered", "fragment", "out", "missed"})  # what the framework counts as `chain.<chain>.<this>`


def is_snake(text: str) -> bool:
    """Whether `text` names an mNF, node, table, parameter, reason or field."""
    return bool(SNAKE.match(text)) and "__" not in text


def is_kebab(text: str) -> bool:
    """Whether `text` names a VNF, instance, port, chain or deployment."""
    return bool(KEBAB.match(text))


def c_identifier(stage: str) -> str:
    """`edge-2.acl_5t` in C, s_edge_2__acl_5t; `edge-2.fire.acl_5t` is s_edge_2__fire___acl_5t: no node's name holds `__`."""
    instance, _, path = stage.partition(".")
    return "s_" + instance.replace("-", "_") + "__" + path.replace(".", "___")


def pin_name(table: str) -> str:
    """`edge.acl.rules` as the name of a pin, edge-acl-rules; `edge.fire.acl.rules` is edge-fire__acl-rules: bpffs refuses dots."""
    instance, *path, name = table.split(".")
    return "-".join([instance, "__".join(path), name])


def vm_flows_pin(stage: str) -> str:
    """The pin of the map that tells which flow of a stage is known to which of its VMs."""
    return pin_name(f"{stage}.vm_flows")


def c_field(name: str) -> str:
    """A parameter's name as the member of `cfg`: words of C get a `_` behind them, `default` is cfg.default_."""
    return name + "_" if name in C_WORDS else name
