"""C that is made from manifests: the names and parameters of each mNF, and the list of those in an image.

Only names that the manifest's shape has checked, and numbers, reach the text.
"""

from __future__ import annotations

from collections.abc import Iterable

from ebpfnf.names import c_field
from ebpfnf.tables.types import Enumeration, Integer, type_of
from ebpfnf.vm.manifest import LISTS, Unikernel


def header(mnf: Unikernel) -> str:
    """manifest.h: what the mNF's own files include."""
    n = mnf.name
    scalars = [param for param in mnf.params if param.type not in LISTS]
    lines = ["#pragma once", '#include "mnf.h"', ""]
    lines += _enumeration(f"REASON_{name}" for name in mnf.reasons)
    lines += _enumeration(f"COUNTER_{name}" for name in mnf.counters)
    for param in scalars:
        kind = type_of(param.type)
        if isinstance(kind, Enumeration):
            lines += _enumeration(f"{param.name}_{choice}".upper() for choice in kind.names)
    if scalars:
        lines += [f"extern struct {n}_cfg {{"]
        lines += [f"\tu64 {c_field(param.name)};" for param in scalars]
        lines += [f"}} {n}_cfg;", f"#define cfg {n}_cfg", ""]
    lines += [
        f"extern u64 {n}_counted[];",
        f"#define COUNT(name, n) ({n}_counted[COUNTER_##name] += (n))",
        "#define DROP(reason) (1 + REASON_##reason)",
        f"#define MNF(...) int {n}_packet(__VA_ARGS__); int {n}_packet(__VA_ARGS__)",
        f"#define READY() const char *{n}_ready(void); const char *{n}_ready(void)",
        f"#define ADD(list) const char *{n}_add_##list(char *item); const char *{n}_add_##list(char *item)",
        f"#define STAT(i, name, value) bool {n}_stat(u32, char *, u64 *); bool {n}_stat(u32 i, char *name, u64 *value)",
        f"#define STREAM extern const struct stream {n}_stream; const struct stream {n}_stream",
    ]
    return "\n".join(lines) + "\n"


def source(mnf: Unikernel) -> str:
    """manifest.c: the mNF as the runtime sees it."""
    n = mnf.name
    lines = ['#include "manifest.h"', ""]
    scalars = [param for param in mnf.params if param.type not in LISTS]
    for param in mnf.params:
        if param.type in LISTS:
            lines.append(f"const char *{n}_add_{param.name}(char *item);")
    if scalars:
        lines.append(f"struct {n}_cfg {n}_cfg = {{")
        for param in scalars:
            kind = type_of(param.type)
            value = param.default or 0
            number = kind.names.index(value) if isinstance(kind, Enumeration) and param.default else int(value)
            lines.append(f"\t.{c_field(param.name)} = {number}ull,")
        lines.append("};")
    for param in mnf.params:
        kind_ = type_of(param.type) if param.type not in LISTS else None
        if isinstance(kind_, Enumeration):
            lines.append(f"static const char *const choices_{param.name}[] = {{{_strings(kind_.names)}0}};")
    lines.append("static const struct param params[] = {")
    lines += [f"\t{_param(n, param.name, param.type)}," for param in mnf.params]
    lines.append("\t{0},\n};" if not mnf.params else "};")
    for what, names in (("reasons", tuple(mnf.reasons)), ("counters", tuple(mnf.counters))):
        lines.append(f"static const char *const {what}[] = {{{_strings(names)}0}};")
    lines += [
        f"static u64 dropped[{len(mnf.reasons) + 1}];",
        f"u64 {n}_counted[{len(mnf.counters) + 1}];",
        f"const char *{n}_ready(void) __attribute__((weak));",
        f"bool {n}_stat(u32 index, char *name, u64 *value) __attribute__((weak));",
        f"extern const struct stream {n}_stream;" if mnf.after else f"int {n}_packet(struct frame *frame);",
        f"extern const struct mnf mnf_{n};",
        f"const struct mnf mnf_{n} = {{",
        f'\t.name = "{n}",',
        f"\t.stream = &{n}_stream," if mnf.after else f"\t.packet = {n}_packet,",
        f"\t.ready = {n}_ready, .stat = {n}_stat,",
        f"\t.params = params, .n_params = {len(mnf.params)},",
        f"\t.reasons = reasons, .dropped = dropped, .n_reasons = {len(mnf.reasons)},",
        f"\t.counters = counters, .counted = {n}_counted, .n_counters = {len(mnf.counters)},",
        "};",
    ]
    return "\n".join(lines) + "\n"


def listing(mnfs: tuple[Unikernel, ...]) -> str:
    """image.c: which mNFs are in the image, in order."""
    declared = "".join(f"extern const struct mnf mnf_{mnf.name};\n" for mnf in mnfs)
    members = ", ".join(f"&mnf_{mnf.name}" for mnf in mnfs)
    return f'#include "mnf.h"\n\n{declared}\nconst struct mnf *const mnfs[] = {{{members}}};\nconst u32 n_mnfs = ARRAY_SIZE(mnfs);\n'


def _enumeration(names: Iterable[str]) -> list[str]:
    members = [f"\t{name}," for name in names]
    return ["enum {", *members, "};", ""] if members else []


def _strings(names: tuple[str, ...]) -> str:
    return "".join(f'"{name}", ' for name in names)


def _param(mnf: str, name: str, kind: str) -> str:
    if kind in LISTS:
        return f'{{.name = "{name}", .add = {mnf}_add_{name}}}'
    type_ = type_of(kind)
    value = f'{{.name = "{name}", .value = &{mnf}_cfg.{c_field(name)}, '
    if isinstance(type_, Enumeration):
        return value + f".choices = choices_{name}}}"
    most = 1 if kind == "bool" else (1 << 8 * type_.size) - 1 if isinstance(type_, Integer) else (1 << 63) - 1
    return value + f".most = {most}ull}}"
