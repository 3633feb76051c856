"""The commands in a document: every line of a fenced block without a language, as the reader would type it.

Behind a command, after two spaces or ` #`, stands what it does; where that says "exit code 4", it ends with that. ` · ` parts several
on a line. A comment before the block says where it is run, `<!-- on h1 -->`, or why it is not, `<!-- not run: why -->`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<lines>.*?)^```", re.DOTALL | re.MULTILINE)
_MARK = re.compile(r"on (?P<host>\w+)|not run: (?P<why>.+)")
_LINE = re.compile(r"(?P<commands>.*?)(?:(?:  +| #)(?P<said>.*))?\Z")
_CODE = re.compile(r"exit code (\d+)")


@dataclass(frozen=True, slots=True)
class Command:
    """`host`: of the lab, empty for where the reader sits; `why_not`: it is not run."""

    where: str
    text: str
    code: int
    host: str = ""
    why_not: str = ""


def commands(file: Path) -> list[Command]:
    found, text = [], file.read_text()
    for block in _BLOCK.finditer(text):
        if block["language"]:
            continue
        mark = _MARK.fullmatch(block["mark"] or "")
        assert mark or not block["mark"], f"{file.name}: what is '{block['mark']}'?"
        number = text.count("\n", 0, block.start("lines")) + 1
        for at, line in enumerate(block["lines"].splitlines(), number):
            parts = _LINE.match(line)
            assert parts is not None
            code = _CODE.search(parts["said"] or "")
            for one in parts["commands"].split(" · "):
                if one:
                    where = f"{file.name}:{at}"
                    found.append(
                        Command(where, one, int(code[1]) if code else 0, *((mark["host"] or "", mark["why"] or "") if mark else ()))
                    )
    return found
