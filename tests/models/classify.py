"""Rules and chain matches, read straight from their text: docs/reference/semantics.md, lines 6, 7 and 10."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from ebpfnf.model import Chain
from ebpfnf.tables import types
from tests.models.packet import Packet
from tests.models.parse import HAVE_IP, HAVE_L4, HAVE_ND, HAVE_TCP, HAVE_VLAN

_NEEDS = {"vlan": HAVE_VLAN, "ip": HAVE_IP, "l4": HAVE_L4, "tcp": HAVE_TCP}
_ETHERTYPES = {"ip": 0x0800, "arp": 0x0806, "ipv6": 0x86DD, "lldp": 0x88CC}
_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ece": 64, "cwr": 128}


def takes(chain: Chain, packet: Packet) -> bool:
    """Whether the chain takes the packet: line 7 keeps what is no operator's traffic out unless he names it."""
    if "eth.type" not in chain.match:
        named = any(str(value) in ("icmpv6", "58") for value in chain.match.get("ip.proto", ()))
        if not packet.have & HAVE_IP or (packet.have & HAVE_ND and not named):
            return False
    return rule_fits(chain.match, packet)


def rule_fits(match: Mapping[str, Sequence[Any]], packet: Packet) -> bool:
    """A conjunction over fields; of each any value. A field that isn't there fits nothing."""
    for name, values in match.items():
        needs = _NEEDS.get(name.split(".")[0], 0)
        if packet.have & needs != needs or not any(_fits(name, str(value), packet) for value in values):
            return False
    return True


def _fits(name: str, value: str, packet: Packet) -> bool:
    here = packet.get(name)
    if name in ("ip.src", "ip.dst"):
        network = ipaddress.ip_network(value)
        raw = here[12:] if packet.v4 else here
        return network.version == packet.parsed.ip_version and ipaddress.ip_address(raw) in network
    if name in ("eth.src", "eth.dst"):
        address, _, length = value.partition("/")
        bits = 48 - int(length or 48)
        return int.from_bytes(here, "big") >> bits == int(address.replace(":", ""), 16) >> bits
    if name == "tcp.flags":
        if value.isdigit():
            return bool(here == int(value))
        return all(bool(here & _FLAGS[part.strip(" !")]) != ("!" in part) for part in value.split(","))
    if name in ("l4.sport", "l4.dport"):
        low, _, high = value.partition("-")
        return int(low) <= here <= int(high or low)
    if name == "ip.proto":
        return bool(here == types.SCALARS["proto"].encode(value)[0])
    if name == "eth.type" and value in _ETHERTYPES:
        return bool(here == _ETHERTYPES[value])
    return bool(here == int(value))
