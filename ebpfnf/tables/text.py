"""Keys as text: how an entry is named on a command line, in a dump and in a bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ebpfnf.tables.types import Record, Type


def key_text(kind: Type, key: Any) -> str:
    """A canonical key as text: what `parse_key` takes. Records are JSON."""
    if isinstance(kind, Record):
        return json.dumps({name: key[name] for name, _ in kind.fields}, separators=(",", ":"))
    return str(key).lower() if isinstance(key, bool) else str(key)


def parse_key(kind: Type, text: Any) -> Any:
    """The canonical key that is written so; ValueError says what was wanted."""
    if isinstance(kind, Record) and isinstance(text, str):
        try:
            text = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("a record in JSON, of " + ", ".join(name for name, _ in kind.fields)) from None
    return kind.parse(text)


def bucket_labels(bounds: Sequence[int]) -> list[str]:
    """What the buckets of a histogram are called: 0-64, 65-127, ..., 1519-."""
    starts = [0, *(bound + 1 for bound in bounds)]
    return [f"{low}-{high}" if low != high else str(low) for low, high in zip(starts, bounds, strict=False)] + [f"{starts[-1]}-"]
