"""Where mNFs and VNF templates are found: beside chain.yaml (`mnfs/<name>/`, `vnfs/<name>.yaml`), then among the built-in ones."""

from __future__ import annotations

import os
from pathlib import Path

from ebpfnf.errors import Where
from ebpfnf.model import Mnf, Vnf, VnfUse
from ebpfnf.spec import manifest, template
from ebpfnf.spec.fields import BUILT_IN
from ebpfnf.spec.problems import Problems, meant, quote


def leaves(root: Path, path: Path) -> bool:
    """Whether a path, symbolic links followed, leads out of the folder `root`."""
    return not path.resolve().is_relative_to(root.resolve())


MAX_DEPTH = 8  # templates in templates


def depth(vnf: Vnf) -> int:
    """How many templates stand in one another, this one too."""
    return 1 + max((depth(node.vnf) for node in vnf.nodes if isinstance(node, VnfUse)), default=0)


class Library:
    """Each manifest and template is read once, and its errors are told once."""

    def __init__(self, beside: Path | None, problems: Problems) -> None:
        self.problems = problems
        self._places = [(beside, "mnfs", "vnfs")] if beside else []
        self._places += [(BUILT_IN, "progs", "vnfs"), (BUILT_IN.parent, "unikernels", "vnfs")]
        self._mnfs: dict[str, Mnf | None] = {}
        self._vnfs: dict[str, Vnf | None] = {}
        self._open: list[str] = []  # templates that are being read, each by the one before it

    def known(self) -> tuple[list[str], list[str]]:
        """The names of all VNFs and of all mNFs."""
        vnfs = {p.stem for root, _, folder in self._places for p in (root / folder).glob("*.yaml")}
        mnfs = {p.parent.name for root, folder, _ in self._places for p in (root / folder).glob("*/mnf.yaml")}
        return sorted(vnfs), sorted(mnfs)

    def mnf(self, name: str, where: Where) -> Mnf | None:
        """The mNF of that name, or None with the reasons in `problems`."""
        found = [(root, root / folder / name / "mnf.yaml") for root, folder, _ in self._places]
        path = self._existing(found, f"mnf {quote(name)}", name, self.known()[1], where)
        if path is None:
            return None
        if name not in self._mnfs:
            self._mnfs[name] = manifest.read(path.parent, self.problems)
        return self._mnfs[name]

    def vnf(self, name: str, where: Where) -> Vnf | None:
        """The VNF of that name, or None with the reasons in `problems`."""
        found = [(root, root / folder / f"{name}.yaml") for root, _, folder in self._places]
        path = self._existing(found, f"vnf {quote(name)}", name, self.known()[0], where)
        if path is None:
            return None
        if name in self._open:
            cycle = " -> ".join([*self._open[self._open.index(name) :], name])
            self.problems.add(f"vnf {quote(name)} uses itself: {cycle}", where, "a template is made of smaller ones")
            return None
        if name not in self._vnfs and len(self._open) < MAX_DEPTH:
            self._open.append(name)
            self._vnfs[name] = template.read(path, self, self.problems)
            self._open.pop()
        vnf = self._vnfs.get(name)
        if len(self._open) + (depth(vnf) if vnf else name not in self._vnfs) > MAX_DEPTH:
            self.problems.add(f"vnf {quote(name)} is too deep in others", where, f"at most {MAX_DEPTH} templates in one another")
            return None
        return vnf

    def _existing(self, candidates: list[tuple[Path, Path]], what: str, name: str, known: list[str], where: Where) -> Path | None:
        for root, path in candidates:
            if os.path.exists(path):  # unlike Path.exists, false where the folder can't be searched
                if leaves(root, path):
                    self.problems.add(f"{what}: a symbolic link leads out of the folder", where, "copy the file")
                    return None
                return path
        self.problems.add(f"no {what}", where, meant(name, known, "there are"))
        return None
