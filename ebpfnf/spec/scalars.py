"""What an unquoted word of YAML means here: true, false, a decimal whole number, or text.

YAML's versions and readers disagree about the rest (`no`, `010`, `12:30:45`, `1e3`); such a word is refused rather than guessed.
"""

from __future__ import annotations

import re

_WHOLE = re.compile(r"(?:0|-?[1-9][0-9]{0,19})\Z")
_DISPUTED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:true|false)\Z", re.I), "write true or false in lower case, or quote it"),
    (re.compile(r"(?:y|n|yes|no|on|off)\Z", re.I), "write true or false, or quote it"),
    (re.compile(r"(?:~|null)?\Z", re.I), 'write a value, [], {} or "", or leave the key out'),
    (re.compile(r"[-+]?0[0-9_]+\Z"), "write a decimal number without leading zeros, or quote it"),
    (re.compile(r"[-+]?0[xob][0-9a-f_]+\Z", re.I), "write a decimal number, or quote it"),
    (re.compile(r"[-+]?[0-9]+(?::[0-9]+)+\Z"), "quote it: digits and colons may be read as a number with base 60"),
    (re.compile(r"[-+]?[0-9]+_[0-9_]*\Z"), "write the number without '_', or quote it"),
    (re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:e[-+]?[0-9]+)?\Z", re.I), "write a decimal whole number, or quote it"),
    (re.compile(r"[-+]?\.(?:inf|nan)\Z", re.I), "write a decimal whole number, or quote it"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:\Z|[Tt ])"), "quote it: it may be read as a date"),
    (re.compile(r"(?:<<|=)\Z"), "quote it: YAML gives it a meaning of its own"),
)


def plain(text: str) -> str | int | bool:
    """The value of an unquoted word; ValueError says how to write it when readers would disagree about it."""
    if text in ("true", "false"):
        return text == "true"
    if _WHOLE.match(text):
        return int(text)
    for pattern, cure in _DISPUTED:
        if pattern.match(text):
            raise ValueError(cure)
    return text
