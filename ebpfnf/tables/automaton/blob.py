"""The machine as one value of a map, replaced as a whole.

    u16 reader[32 * 256]; u32 lexer[states * 64]; u16 grammar[states * 64]; u64 sieve[256]; u32 size; char lines[TEXT]

Rows are padded, so that an index is masked and needs no check. An entry of the reader is state << 6 | class, of the lexer
state << 12 | token << 6 | token, of the grammar state << 2 | rank. The lines it was made of go with it, for who reads the table.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Mapping
from functools import lru_cache

from ebpfnf.errors import TableError
from ebpfnf.tables.automaton import grammar, lexer, patterns, sieve
from ebpfnf.tables.automaton.lexer import WIDTH

READER_ROWS = 32
SMALLEST, LARGEST = 64, 8192  # states
TEXT = 32768
_READER_SIZE = 2 * READER_ROWS * 256
_SIEVE_SIZE = 8 * 256


def blob_size(states: int) -> int:
    """Bytes of a machine with room for so many states."""
    return _text_at(states) + 4 + TEXT


def states_of(lines: Mapping[int, str]) -> int:
    """The room that these lines need: a power of two. TableError when they are wrong, or too much."""
    lexing, matching, _ = _tables(tuple(text for _, text in sorted(lines.items())))
    need = max(len(lexing), len(matching), SMALLEST)
    if need > LARGEST:
        raise TableError("the words make too large a machine", cure=f"at most {LARGEST} letters in all")
    return 1 << (need - 1).bit_length()


def encode_blob(states: int, lines: Mapping[int, str]) -> bytes:
    """The machine of these lines (by number) with room for `states`."""
    lexing, matching, held = _tables(tuple(text for _, text in sorted(lines.items())))
    if max(len(lexing), len(matching)) > states:
        raise TableError(f"the machine needs {max(len(lexing), len(matching))} states, there is room for {states}", cure="deploy again")
    text = json.dumps(sorted(lines.items()), separators=(",", ":")).encode()
    if len(text) > TEXT:
        raise TableError(f"the lines take {len(text)} bytes", cure=f"at most {TEXT}")
    reading = array("H", bytes(_READER_SIZE))
    for number, row in enumerate(lexer.reader()):
        reading[number * 256 : (number + 1) * 256] = array("H", [state << 6 | kind for state, kind in row])
    words, tokens = array("I", bytes(4 * WIDTH * states)), array("H", bytes(2 * WIDTH * states))
    for number, entry in enumerate(lexing):
        words[number * WIDTH : number * WIDTH + len(entry)] = array("I", [state << 12 | one << 6 | two for state, one, two in entry])
    for number, steps in enumerate(matching):
        tokens[number * WIDTH : number * WIDTH + len(steps)] = array("H", [state << 2 | rank for state, rank in steps])
    tables = (reading, words, tokens, array("Q", held))
    return b"".join((*(table.tobytes() for table in tables), struct.pack("=I", len(text)), text.ljust(TEXT, b"\0")))


def decode_blob(states: int, blob: bytes) -> dict[int, str]:
    """The lines that `encode_blob` was given."""
    at = _text_at(states)
    (size,) = struct.unpack_from("=I", blob, at)
    return {int(number): str(text) for number, text in json.loads(blob[at + 4 : at + 4 + size])}


def _text_at(states: int) -> int:
    return _READER_SIZE + (4 + 2) * WIDTH * states + _SIEVE_SIZE


@lru_cache(maxsize=8)
def _tables(lines: tuple[str, ...]) -> tuple[list[lexer.Row], list[list[tuple[int, int]]], list[int]]:
    read = grammar.read(lines)
    return lexer.lexer(read.words), patterns.machine(read), sieve.sieve(read)
