"""The bundle's bytes: canonical JSON, compressed, with a digest of its contents. Standard library only.

The same bundle is always the same bytes: keys are sorted, nothing is dated, zlib's level is fixed.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import types
import typing
import zlib
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any

from ebpfnf.errors import AgentError, Where
from ebpfnf.model import Bundle

MAGIC = b"ebpfnf-bundle-1\n"
_LIMIT = 256 << 20  # bytes of JSON: more is not a bundle but an attack


def encode(bundle: Bundle) -> bytes:
    """The bundle's bytes; its digest is computed here."""
    return MAGIC + zlib.compress(_canonical(sealed(bundle)), 6)


def sealed(bundle: Bundle) -> Bundle:
    """The bundle with its digest: sha256 over everything else, in hex."""
    bare = dataclasses.replace(bundle, digest="")
    return dataclasses.replace(bundle, digest=hashlib.sha256(_canonical(bare)).hexdigest())


def decode(data: bytes) -> Bundle:
    """The bundle in these bytes; AgentError when they are no bundle, or not the one that its digest names."""
    if not data.startswith(MAGIC):
        raise AgentError("not a bundle", cure="build it with 'ebpfnf build'")
    try:
        inflate = zlib.decompressobj()
        text = inflate.decompress(data[len(MAGIC) :], _LIMIT)
        if not inflate.eof:
            raise ValueError("too large or cut short")
        bundle: Bundle = _value(Bundle, json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        raise AgentError(f"broken bundle: {error}", cure="build and ship it again") from None
    if sealed(bundle).digest != bundle.digest:
        raise AgentError("broken bundle: its digest does not fit its contents", cure="build and ship it again")
    return bundle


def sum_of(path: str) -> str:
    """The sha256 of a file that a bundle names and does not hold; OSError."""
    with open(path, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def to_json(value: Any) -> Any:
    """A frozen value of ebpfnf.model as JSON's types: bytes in base64, None where a value is absent."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, frozenset):
        return sorted(to_json(v) for v in value)
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    return value


def from_json(kind: Any, data: Any) -> Any:
    """The inverse of `to_json`: the value of type `kind`; ValueError, KeyError or TypeError where `data` is none."""
    return _value(kind, data)


def _canonical(bundle: Bundle) -> bytes:
    return json.dumps(to_json(bundle), sort_keys=True, separators=(",", ":")).encode()


def _value(kind: Any, data: Any) -> Any:
    """`data` as a value of the annotated type `kind`."""
    return _reader(kind)(data)


@cache
def _hints(kind: type) -> tuple[tuple[str, Any], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((f.name, hints[f.name]) for f in dataclasses.fields(kind))


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """What makes values of the annotated type `kind`: annotations are looked at once, as a manifest has thousands of values."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return lambda data: data
    if origin in (types.UnionType, typing.Union):
        inner = next(a for a in arguments if a is not type(None))
        return lambda data: None if data is None else _value(inner, data)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return lambda data: None if kind is Where and data is None else kind(**{n: _value(hint, data[n]) for n, hint in _hints(kind)})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    if kind is bytes:
        return lambda data: base64.b64decode(data, validate=True)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            item = _reader(arguments[0])
            return lambda data: tuple(map(item, data))
        return lambda data: _tuple(arguments, data)
    if origin is not None and issubclass(origin, Mapping):
        content = _reader(arguments[1])
        return lambda data: {k: content(v) for k, v in _plain(dict, data).items()}
    return lambda data: _plain(kind, data)


def _tuple(kinds: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    if len(kinds) != len(data):
        raise ValueError(f"a tuple of {len(kinds)}")
    return tuple(_value(a, item) for a, item in zip(kinds, data, strict=True))


def _plain(kind: Any, data: Any) -> Any:
    if isinstance(kind, type) and not isinstance(data, kind):
        raise ValueError(f"{kind.__name__} wanted, {type(data).__name__} found")
    return data
