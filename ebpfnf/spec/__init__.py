"""YAML of operators and mNF authors -> frozen values, or all errors with file, line and column."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ebpfnf.errors import SpecError, Where
from ebpfnf.model import Deployment, Mnf, Vnf
from ebpfnf.spec import deployment as _deployment
from ebpfnf.spec import manifest as _manifest
from ebpfnf.spec import template as _template
from ebpfnf.spec.fields import BUILT_IN, fields
from ebpfnf.spec.files import schema
from ebpfnf.spec.library import Library
from ebpfnf.spec.problems import Problems, meant, quote

__all__ = ["BUILT_IN", "Catalogue", "catalogue", "fields", "load", "load_mnf", "load_vnf", "router", "schema"]


def load(path: Path) -> Deployment:
    """The deployment that a chain.yaml describes. Raises SpecErrors with all errors of all files that were read."""
    problems = Problems()
    result = _deployment.read(path, problems)
    problems.raise_any()
    assert result is not None
    return result


def load_mnf(folder: Path) -> Mnf:
    """The mNF in a folder. Raises SpecErrors."""
    problems = Problems()
    result = _manifest.read(folder, problems)
    problems.raise_any()
    assert result is not None
    return result


def load_vnf(path: Path, beside: Path | None = None) -> Vnf:
    """The template in a file; its mNFs come from `<beside>/mnfs/`, then from the built-in ones. Raises SpecErrors."""
    problems = Problems()
    result = _template.read(path, Library(beside, problems), problems)
    problems.raise_any()
    assert result is not None
    return result


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What chains can be made of."""

    vnfs: tuple[Vnf, ...]
    mnfs: tuple[Mnf, ...]


def catalogue(beside: Path | None = None, name: str = "") -> Catalogue:
    """The VNFs and mNFs that a chain.yaml in the folder `beside` may name, all or those of one name. Raises SpecErrors."""
    problems = Problems()
    library = Library(beside, problems)
    vnfs, mnfs = library.known()
    if name and name not in (*vnfs, *mnfs):
        raise SpecError(f"no vnf or mnf {quote(name)}", None, meant(name, [*vnfs, *mnfs], "there are"))
    here = Where(str(beside or ""))
    found = Catalogue(
        tuple(vnf for each in vnfs if name in ("", each) and (vnf := library.vnf(each, here))),
        tuple(mnf for each in mnfs if name in ("", each) and (mnf := library.mnf(each, here))),
    )
    problems.raise_any()
    return found


@cache
def router() -> Vnf:
    """The template behind `then: route`."""
    return load_vnf(BUILT_IN / "vnfs" / "router.yaml")
