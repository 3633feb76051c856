"""What a lab is made of, as values; DEMO is the edge of examples/dc-edge with a branch office, LINE what a load passes through."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Port:
    """An interface of a host. Addresses carry their prefix length.

    gro: whether frames that XDP redirects to the cable's other end are taken here; a veth without GRO or XDP loses them
    tx_checksum: whether checksums are left to a NIC that a veth hasn't got; XDP would see them unfinished
    """

    name: str
    mac: str
    addresses: tuple[str, ...] = ()
    gro: bool = False
    tx_checksum: bool = True


@dataclass(frozen=True, slots=True)
class Host:
    """A namespace: its ports, its routes (destination, gateway), and whether it forwards, bridges or serves."""

    name: str
    ports: tuple[Port, ...]
    routes: tuple[tuple[str, str], ...] = ()
    forwards: bool = False
    bridges: bool = False
    serves: int = 0  # TCP port of its web server


@dataclass(frozen=True, slots=True)
class Cable:
    """A veth pair between `host:port` and `host:port`."""

    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Topology:
    """Hosts and the cables between them. Whoever shares a subnet knows the others' MACs from the start."""

    name: str
    hosts: tuple[Host, ...]
    cables: tuple[Cable, ...]

    def host(self, name: str) -> Host:
        """The host of that name; KeyError."""
        return {host.name: host for host in self.hosts}[name]


DENIED_V4, DENIED_V6 = "203.0.113.5", "2001:db8:bad::5"  # addresses of the client that the edge's rules refuse


def _web(name: str, number: int) -> Host:
    port = Port("eth0", f"02:00:00:01:00:{number}", (f"10.1.0.{number}/24", f"2001:db8:1::{number}/64"), tx_checksum=False)
    return Host(name, (port,), routes=(("0.0.0.0/0", "10.1.0.1"), ("::/0", "2001:db8:1::1")), serves=8080)


DEMO = Topology(
    name="edge",
    hosts=(
        Host(
            "client",
            (
                Port(
                    "eth0",
                    "02:00:00:00:09:01",
                    ("192.0.2.9/24", "2001:db8:ffff::9/64", f"{DENIED_V4}/32", f"{DENIED_V6}/128"),
                    gro=True,
                    tx_checksum=False,
                ),
            ),
            routes=(("198.51.100.0/24", "192.0.2.1"), ("2001:db8::/64", "2001:db8:ffff::1")),
        ),
        Host(
            "dut",
            (
                Port("eth0", "02:00:00:00:02:01", ("192.0.2.1/24", "2001:db8:ffff::1/64")),
                Port("eth1", "02:00:00:00:02:02", ("10.1.0.1/24", "2001:db8:1::1/64")),
                Port("eth2", "02:00:00:00:02:03", ("10.8.0.1/24", "2001:db8:8::1/64"), gro=True),
            ),
            routes=(("10.9.0.0/24", "10.8.0.2"), ("2001:db8:9::/64", "2001:db8:8::2")),
            forwards=True,
        ),
        Host(
            "branch",
            (
                Port("eth0", "02:00:00:00:08:01", ("10.9.0.1/24", "2001:db8:9::1/64"), gro=True),
                Port("eth1", "02:00:00:00:08:02", ("10.8.0.2/24", "2001:db8:8::2/64"), gro=True),
            ),
            routes=(("198.51.100.0/24", "10.8.0.1"), ("2001:db8::/64", "2001:db8:8::1")),
            forwards=True,
        ),
        Host(
            "office",
            (Port("eth0", "02:00:00:00:09:02", ("10.9.0.9/24", "2001:db8:9::9/64"), gro=True, tx_checksum=False),),
            routes=(("198.51.100.0/24", "10.9.0.1"), ("2001:db8::/64", "2001:db8:9::1")),
        ),
        Host(
            "switch",
            (Port("dut", "02:00:00:00:04:01", gro=True), Port("web1", "02:00:00:00:04:02"), Port("web2", "02:00:00:00:04:03")),
            bridges=True,
        ),
        _web("web1", 11),
        _web("web2", 12),
    ),
    cables=(
        Cable("client:eth0", "dut:eth0"),
        Cable("office:eth0", "branch:eth0"),
        Cable("branch:eth1", "dut:eth2"),
        Cable("switch:dut", "dut:eth1"),
        Cable("switch:web1", "web1:eth0"),
        Cable("switch:web2", "web2:eth0"),
    ),
)

LINE = Topology(
    name="line",
    hosts=(
        Host("client", (Port("eth0", "02:00:00:00:09:01", ("192.0.2.9/24",), gro=True, tx_checksum=False),)),
        Host(
            "dut",
            (Port("eth0", "02:00:00:00:02:01", ("192.0.2.1/24",)), Port("eth1", "02:00:00:00:02:02", ("10.1.0.1/24",))),
            forwards=True,
        ),
        Host("sink", (Port("eth0", "02:00:00:01:00:11", ("10.1.0.11/24",), gro=True),)),
    ),
    cables=(Cable("client:eth0", "dut:eth0"), Cable("sink:eth0", "dut:eth1")),
)

TOPOLOGIES = {topology.name: topology for topology in (DEMO, LINE)}
