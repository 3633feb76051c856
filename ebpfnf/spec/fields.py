"""fields.yaml as values: the only list of what a packet and its metadata hold."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ebpfnf.model import Fields, HeaderField, MetadataField
from ebpfnf.spec import yaml
from ebpfnf.spec.problems import Problems

BUILT_IN = Path(__file__).parent.parent
FILE = BUILT_IN / "progs" / "framework" / "fields.yaml"


@cache
def fields() -> Fields:
    """The fields of packets and metadata."""
    problems = Problems()
    tree = yaml.load(FILE, problems)
    problems.raise_any()
    assert tree is not None
    data = tree.plain()
    return Fields(
        header={
            name: HeaderField(
                name, entry["c"], entry["type"], entry["match"], entry["needs"], entry.get("write", False), entry.get("varies", False)
            )
            for name, entry in data["header"].items()
        },
        metadata={
            name: MetadataField(name, entry["c"], entry.get("by") == "parse", entry.get("doc", ""), entry.get("varies", False))
            for name, entry in data["metadata"].items()
        },
    )


def rule_keys() -> frozenset[str]:
    """What a rule may match: every field that fields.yaml calls matchable."""
    return frozenset(name for name, field in fields().header.items() if field.match != "no")


def l2_rule_keys() -> frozenset[str]:
    """What an l2_rule may match."""
    return frozenset(name for name in rule_keys() if name.startswith(("eth.", "vlan.")))


def chain_keys() -> frozenset[str]:
    """What a chain may match: what every port can be asked, so neither the receiver's MAC nor the state of one TCP segment."""
    return rule_keys() - {"eth.dst", "tcp.flags"}
