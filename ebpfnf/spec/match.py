"""`match:` of a chain and of a rule: match keys, each with one value or a list of values of which any will do.

Values are as `tables.match` spells them: whole numbers for vlan.id, ip.version, ip.dscp and single ports; text for the rest.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import cache
from typing import Any

from ebpfnf.spec.fields import fields
from ebpfnf.spec.problems import Problems, meant, quote
from ebpfnf.spec.yaml import Node
from ebpfnf.tables.match import MatchField, bits_of, text_of


def _canonical(key: str, node: Node) -> Any:
    """The value in its normal spelling; ValueError says what was wanted."""
    if node.is_map or node.is_list:
        raise ValueError("a value, or a list of values")
    matched = match_fields()[key]
    return text_of(matched, bits_of(matched, node.value))


@cache
def match_fields() -> Mapping[str, MatchField]:
    """What can be matched, as the tables know it."""
    return {name: MatchField(name, f.type, f.match, f.needs) for name, f in fields().header.items() if f.match != "no"}


def read(node: Node, keys: frozenset[str], problems: Problems, narrow: str = "") -> dict[str, list[Any]] | None:
    """The match in `node`, of `keys` only; None with the reasons in `problems`. `narrow` says why a key of other matches isn't one here."""
    if not node.is_map:
        problems.add(f"a match {quote(node.plain())}", node.where, "a mapping such as {ip.proto: tcp, l4.dport: 80}")
        return None
    before, result = problems.count(), {}
    for key, item in node.items():
        if key not in keys:
            why = narrow if narrow and key in fields().header else meant(key, sorted(keys), "match keys")
            problems.add(f"unknown match key {quote(key)}", node.keys[key], why)
            continue
        if item.is_list and not item.value:
            problems.add(f"{key} is an empty list, which nothing matches", item.where, "name a value or leave the key out")
        values = []
        for one in item.value if item.is_list else (item,):
            try:
                values.append(_canonical(key, one))
            except ValueError as error:
                problems.add(f"{key} {quote(one.plain())}", one.where, f"wanted {error}")
        result[key] = list(dict.fromkeys(values))
    if problems.count() > before:
        return None
    clash = _contradiction(result)
    if clash:
        problems.add("nothing can match this", node.where, clash)
        return None
    return result


def _contradiction(match: Mapping[str, list[Any]]) -> str:
    """Why no packet can match, or an empty string."""
    families = {
        key: {version if key == "ip.version" else ipaddress.ip_network(version).version for version in match[key]}
        for key in ("ip.version", "ip.src", "ip.dst")
        if key in match
    }
    if families and not set.intersection(*families.values()):
        return "no IP version fits " + ", ".join(families)
    for prefix, wanted in (("l4.", {"tcp", "udp"}), ("tcp.", {"tcp"})):
        key = next((key for key in match if key.startswith(prefix)), "")
        if key and "ip.proto" in match and not wanted & set(match["ip.proto"]):
            return f"{key} is there with ip.proto {' or '.join(sorted(wanted))} only"
    return ""
