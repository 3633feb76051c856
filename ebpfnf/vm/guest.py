"""From a stage to what its VMs boot: image, configuration, and the digest by which a later generation knows them again."""

from __future__ import annotations

import hashlib

from ebpfnf.model import Stage, Vm
from ebpfnf.vm import build, manifest

OWN = frozenset({"instances", "on_failure"})  # what the manager is told, not the guest


def machine(stage: Stage, number: int) -> Vm:
    """The stage's entry in the bundle; the image is built unless it was already."""
    made = build.image(stage.mnf.name)
    known = {param.name for mnf in made.mnfs for param in mnf.params}
    given = {name: value for name, value in stage.config.items() if name not in OWN and name in known}
    config = manifest.config(made.mnfs, {stage.mnf.name: given}).decode()
    image = made.path.read_bytes()
    digest = hashlib.sha256(image + b"\0" + config.encode()).hexdigest()
    return Vm(stage.id, number, stage.config["on_failure"], stage.config["instances"], image, config, digest)
