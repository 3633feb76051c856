"""GRO and tx checksum offload of an interface, by the ioctl that the ethtool package uses: it need not be installed."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_SET = {"tx_checksum": 0x17, "gro": 0x2C}  # ETHTOOL_STXCSUM, ETHTOOL_SGRO


def set_offload(interface: str, feature: str, on: bool) -> None:
    """Turns `gro` or `tx_checksum` on or off, in the calling thread's network namespace; OSError where the driver refuses."""
    value = ctypes.create_string_buffer(struct.pack("=II", _SET[feature], on), 8)
    request = struct.pack("=16sQ16x", interface.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)
