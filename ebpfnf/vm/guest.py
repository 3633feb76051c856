"""From a stage to what its VMs boot: image, configuration, and the digest by which a later generation knows them again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ebpfnf.errors import SpecError
from ebpfnf.model import Stage, Vm
from ebpfnf.tables.placed import Placed
from ebpfnf.vm import build, manifest
from ebpfnf.vm.native import Native


def machine(stage: Stage, number: int) -> Vm:
    """The stage's entry in the bundle; the image is built unless it was already."""
    made = build.image(stage.mnf.name)
    given = {mnf.name: {p.name: stage.config[p.name] for p in mnf.params if p.name in stage.config} for mnf in made.mnfs}
    config = manifest.config(made.mnfs, given).decode()
    for mnf in made.mnfs:
        for param in mnf.params:
            if param.type == manifest.TEXT and given[mnf.name][param.name]:
                _check(stage, mnf.name, param.name, given)
    image = made.path.read_bytes()
    digest = hashlib.sha256(image + b"\0" + config.encode()).hexdigest()
    about = {name: stage.config[name] for name in ("on_failure", "instances", "standby", "linger")}
    return Vm(stage=stage.id, number=number, image=image, config=config, digest=digest, **about)


def _check(stage: Stage, mnf: str, param: str, given: Mapping[str, Mapping[str, Any]]) -> None:
    """Only the guest's own code knows what a line means: it reads them here as it will there. SpecError names the line that it refuses."""

    def refused(lines: list[str]) -> str:
        try:
            Native(stage.mnf.name, {**given, mnf: {**given[mnf], param: lines}}).close()
        except SpecError as error:
            return error.what
        return ""

    lines = given[mnf][param]
    if not (why := refused(lines)):
        return
    for line in lines:
        if found := refused([line]):
            raise SpecError(f"{param} '{line}': {found}", line.where if isinstance(line, Placed) else None)
    raise SpecError(f"{stage.id}: {param}: {why}", lines[0].where if isinstance(lines[0], Placed) else None)
