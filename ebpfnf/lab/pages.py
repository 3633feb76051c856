"""Pages that a lab's web servers give and its client can check byte for byte: the same address, the same bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

PREFIX = "/pages/"
_TYPES = {"html": "text/html", "json": "application/json", "log": "text/plain", "txt": "text/plain", "jpg": "image/jpeg"}
_COMMON = """
the of and to a in is that it was for on with as his be at by this had not are but from or have an they which one you were all her
she there would their we him been has when who will no more if out so up said what its about than into them can only other time
new some could these two may first then do any like my now over such our man me even most made after also did many before must
well back through years where much your way down should because long each just state those people how too little good world make
very year still work see own men day between life being under never while house another against place part might great same right
take again without himself water until
"""
_WORDS = _COMMON.split()


def page(path: str) -> tuple[str, bytes] | None:
    """(type, bytes) of `/pages/<number>.<kind>`, 8 to 16 KiB; None where there is no such page."""
    number, _, kind = path.partition("?")[0].removeprefix(PREFIX).rpartition(".")
    if not path.startswith(PREFIX) or kind not in _TYPES or not number.isdecimal():
        return None
    chance = random.Random(int(number))
    size = chance.randrange(8192, 16384)
    if kind == "jpg":
        return _TYPES[kind], b"\xff\xd8\xff\xe0" + chance.randbytes(size)  # what a picture's compressed bytes look like
    text = ""
    while len(text) < size:
        text += _LINES[kind](chance) + "\n"
    return _TYPES[kind], text.encode()


def _words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(_WORDS, k=count))


def _html(chance: random.Random) -> str:
    link = f'<a href="/items/{chance.randrange(10**5)}">{_words(chance, 3)}</a>'
    return f'<tr class="row"><td>{link}</td><td align="right">{chance.randrange(1000)}</td><td class="note">{_words(chance, 4)}</td></tr>'


def _json(chance: random.Random) -> str:
    item = {"id": chance.randrange(10**6), "name": _words(chance, 2), "price": chance.randrange(10**4) / 100, "tags": ["new", "b"]}
    return json.dumps(item)


def _log(chance: random.Random) -> str:
    time = f"24/Nov/2026:10:{chance.randrange(60):02}:{chance.randrange(60):02} +0000"
    request = f"GET /items/{chance.randrange(10**6)} HTTP/1.1"
    answer = f"{chance.choice((200, 304, 404))} {chance.randrange(50000)}"
    return f'192.0.2.{chance.randrange(256)} - - [{time}] "{request}" {answer} "-" "curl/8.5.0"'


def _prose(chance: random.Random) -> str:
    return _words(chance, chance.randrange(8, 20)).capitalize() + "."


_LINES: dict[str, Callable[[random.Random], str]] = {"html": _html, "json": _json, "log": _log, "txt": _prose}
