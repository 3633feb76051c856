"""YAML of operators and mNF authors -> frozen values, or all errors with file, line and column."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ebpfnf.model import Deployment, Mnf, Vnf
from ebpfnf.spec import deployment as _deployment
from ebpfnf.spec import manifest as _manifest
from ebpfnf.spec import template as _template
from ebpfnf.spec.fields import BUILT_IN, fields
from ebpfnf.spec.files import schema
from ebpfnf.spec.library import Library
from ebpfnf.spec.problems import Problems

__all__ = ["BUILT_IN", "fields", "load", "load_mnf", "load_vnf", "router", "schema"]


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


@cache
def router() -> Vnf:
    """The template behind `then: route`."""
    return load_vnf(BUILT_IN / "vnfs" / "router.yaml")
