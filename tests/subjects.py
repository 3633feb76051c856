"""What the differential tests compare: small deployments, one or more for each mNF, written as an operator writes them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ebpfnf import spec
from ebpfnf.model import Deployment
from tests.generators import Frames

EXAMPLE = Path(__file__).parent.parent / "examples" / "dc-edge" / "chain.yaml"
_BOTH = """
chains:
  there: {on: a, match: {}, path: [x], then: "out: b"}
  back: {on: b, direction: reverse, match: {}, path: [x], then: reflect}
  rest: {on: a, match: {eth.type: [arp, 35020, 33024]}, path: [x], then: pass}
"""
TESTBED = """
testbed:
  a: {addresses: [192.0.2.1/24, "2001:db8::1/64"], neighbours: {192.0.2.9: "02:00:00:00:00:09", "2001:db8::9": "02:00:00:00:00:19"}}
  b:
    addresses: [10.1.0.1/24, "2001:db8:1::1/64"]
    neighbours: {10.1.0.11: "02:00:00:00:00:11", 10.1.0.254: "02:00:00:00:00:fe", "2001:db8:1::11": "02:00:00:00:00:11"}
    routes: [{to: 198.51.100.0/24, via: 10.1.0.254}]
"""
_FIREWALL = """
vnfs:
  x:
    vnf: edge-firewall
    l2:
      - deny: {eth.src: "02:00:00:00:00:bd"}
      - allow: {vlan.id: [0, 100], eth.type: [ip, arp]}
      - deny: {eth.dst: "ff:ff:ff:ff:ff:ff", vlan.id: 5}
    rules:
      - deny: {ip.src: [203.0.113.0/24, "2001:db8:bad::/48"], ip.proto: [tcp, udp]}
      - {allow: {ip.dst: [198.51.100.0/25, "2001:db8::/64"], l4.dport: ["0-79", 80]}, class: 7}
      - {allow: {tcp.flags: "syn,!ack", ip.version: 6}, class: 9}
      - deny: {tcp.flags: "fin,rst"}
      - {allow: {ip.dscp: [46, 63], l4.sport: "50-4000"}, class: 11}
      - allow: {ip.proto: [icmp, icmpv6, "132"]}
      - deny: {ip.src: 0.0.0.0/0}
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """A deployment, and the frames that say most about it."""

    name: str
    text: str  # vnfs, chains and testbed of a deployment with ports a and b; empty: the example dc-edge
    ports: str = ""  # more about port a
    frames: Callable[[random.Random], Frames] = Frames
    template: str = ""  # the mNF that stands alone in the template `alone`
    vnfs: Mapping[str, str] = field(default_factory=dict)  # other templates beside: name -> text
    unreached: frozenset[str] = frozenset()  # reasons and outcomes that these frames can't come to

    def deployment(self, folder: Path) -> Deployment:
        """The deployment, read from files in `folder`."""
        if not self.text:
            return spec.load(EXAMPLE)
        head = f"ebpfnf: 1\ndeployment: subject\nports:\n  a: {{interface: eth0{self.ports}}}\n  b: {{interface: eth1}}\n"
        alone = {"alone": f"vnf: alone\nsummary: one mNF\nmnfs: {{it: {self.template}}}\n"} if self.template else {}
        for name, text in {**self.vnfs, **alone}.items():
            (folder / "vnfs").mkdir(exist_ok=True)
            (folder / "vnfs" / f"{name}.yaml").write_text(text)
        file = folder / "chain.yaml"
        file.write_text(head + self.text)
        return spec.load(file)


_SQL = """
' " = < ( ) , ; @ # * - -- / /* */ /*!5 | || & && %26%26 ! . ? %0a + %2b % %2 %25 %2527 %27 1 2 a a.b 0x7e %c3 : { _
or and not union all select from where null like is in sleep if ascii concat benchmark information_schema drop table
insert into values update set exec order by http/
"""


def _sql(r: random.Random) -> str:
    """What looks a little like SQL, and comes apart in every way that a tokeniser knows."""
    parts = _SQL.split()
    return "".join(r.choice(parts) + r.choice(("", "+", " ", "\n", "/**/")) for _ in range(r.randint(1, 25)))


def _web(r: random.Random) -> Frames:
    """Mostly TCP between clients, a service and its servers, with the payloads that such have."""
    queries = ("1%27+or+1%3D1--", "x' union select a,b from c--", "5", "it's", "'or''='", "%", 'a="b"+and+c="d"')
    requests = ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "GET"]
    requests += ["POST /f HTTP/1.1\r\nContent-Length: 9\r\n\r\nname=O'Re", "POST /f HTTP/1.1\r\n\r\nname=1' or 1=1--"]
    requests += [f"GET /i?id={query} HTTP/1.1\r\nHost: a\r\n\r\n" for query in (*queries, *(_sql(r) for _ in range(100)))]
    requests += ["DELETE /x HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n", "GET /" + "a" * 700, "x" * 300, "", "GETT / HTTP/1.1\r\n\r\n"]
    return Frames(
        r,
        v4=("192.0.2.9", "192.0.2.9", "203.0.113.5", "127.0.0.1", *("198.51.100.7",) * 3, "10.1.0.11", "10.1.0.12"),
        v6=("2001:db8:ffff::9", "2001:db8:bad::5", *("2001:db8::7",) * 3, "2001:db8:1::11", "2001:db8:1::12"),
        ports=(80, 80, 80, 8080, 8080, 4000, 4001),
        payloads=[text.encode() for text in requests],
        protocols=(6, 6, 6, 6, 17),
        broken=0.1,
        macs=("02:00:00:00:00:01",) * 20 + ("02:00:00:00:00:bd",),
    )


def _routed(r: random.Random) -> Frames:
    """Between hosts that have routes, seldom from or to others."""
    v4 = ("192.0.2.9", "10.1.0.11", "198.51.100.7") * 4
    v6 = ("2001:db8::9", "2001:db8:1::11") * 5
    return Frames(r, v4=(*v4, "127.0.0.1", "224.0.0.5", "10.1.0.99", "192.0.2.1"), v6=(*v6, "::1", "fe80::1", "2001:db8:1::1"), broken=0.1)


def _one(name: str, params: str = "") -> str:
    return f"vnfs:\n  x: {{vnf: {name}{params}}}\n" + _BOTH


_LB = ', vips: [198.51.100.7, "2001:db8::7"], port: 80'
_NO_LB = _LB + ", backends: []"
_LB += ', backends: [{v4: 10.1.0.11, v6: "2001:db8:1::11", port: 8080}, {v4: 10.1.0.12, port: 80}]'
_NO_ROUTE = frozenset({"no_route", "ttl_expired"})  # the testbed closes no route; route passes such packets to the kernel
_NO_SESSIONS = frozenset({"no_family", "reply_taken", "sessions_full"})
_CLASSIFIER = """
chains:
  tagged: {on: a, match: {vlan.id: [5, 100], ip.version: 4}, path: [], then: drop}
  sources: {on: a, match: {ip.src: [192.0.2.0/24, "2001:db8::/32"], ip.proto: [tcp, icmpv6]}, path: [], then: reflect}
  macs: {on: a, match: {eth.src: "02:00:00:00:00:bd", ip.dscp: 46}, path: [], then: "out: b"}
  types: {on: a, match: {eth.type: [arp, 34525], eth.src: "02:00:00:00:00:01"}, path: [], then: pass}
  ports: {on: a, match: {l4.sport: ["0-60", 8080], l4.dport: 80}, path: [], then: "out: b"}
  all: {on: b, match: {}, path: [], then: pass}
"""
_OPEN = _FIREWALL.replace("deny: {ip.src: 0.0.0.0/0}", "deny: {l4.dport: 53}") + "    default: allow\n"

SUBJECTS = (
    Subject("firewall", _FIREWALL + "    default: deny\n" + _BOTH),
    Subject("firewall-open", _OPEN + _BOTH, ", fragments: pass"),
    Subject("monitor", _one("monitor", ', subnets: [198.51.100.0/24, 198.51.100.7/32, "2001:db8::/64", "::/0", 0.0.0.0/0]')),
    Subject(
        "router",
        "chains: {r: {on: a, match: {}, path: [], then: route}, s: {on: b, match: {}, path: [], then: route}}\n" + TESTBED,
        frames=_routed,
        unreached=_NO_ROUTE,
    ),
    Subject("router-inside", _one("router") + TESTBED, frames=_routed, unreached=_NO_ROUTE),
    Subject("check_ip", _one("alone"), template="{mnf: check_ip}"),
    Subject("ttl_dec", _one("alone"), template="{mnf: ttl_dec}"),
    Subject("application-firewall", _one("application-firewall"), frames=_web, unreached=frozenset({"suspicious"})),
    Subject("application-firewall-strict", _one("application-firewall", ", on_unsure: drop"), frames=_web, unreached=frozenset({"unsure"})),
    Subject("load-balancer", _one("load-balancer", _LB), frames=_web, unreached=frozenset({"no_backend", "sessions_full"})),
    Subject("load-balancer-without", _one("load-balancer", _NO_LB), frames=_web, unreached=_NO_SESSIONS),
    Subject("classifier", _CLASSIFIER, ", otherwise: {out: b}"),
    Subject("classifier-drop", "chains: {none: {on: b, match: {ip.proto: esp}, path: [], then: pass}}\n", ", otherwise: drop"),
    Subject("dc-edge", "", frames=_web, unreached=_NO_ROUTE | {"no_backend", "no_family", "sessions_full", "suspicious"}),
)
