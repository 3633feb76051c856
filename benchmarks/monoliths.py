"""The example's chain, one graph of mNFs, against its four VNFs as strong monoliths that call each other."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

from benchmarks import baselines, chains
from benchmarks.frames import Mix
from benchmarks.measure import ROUNDS, Figure, figure, ratio
from benchmarks.memory import Memory
from ebpfnf import pipeline, spec
from ebpfnf.model import Bundle
from ebpfnf.packets import build

_PARTS = ("edge", "monitor", "waf", "lb")
_FRAME = 256  # bytes: a short request
_ATTACK = "GET /item?id=1%27%20OR%201%3D1-- HTTP/1.1\\r\\nHost: shop\\r\\n\\r\\n"
_PROBES = (
    "tcp {client}:16384 > {vip}:80 flags S",
    "tcp {client}:16384 > {vip}:80 flags PA payload 'GET /index.html HTTP/1.1\\r\\nHost: shop\\r\\n\\r\\n'",
    "tcp {client}:16384 > {vip}:80 flags PA payload 'POST / HTTP/1.1\\r\\n\\r\\n'",
    f"tcp {{client}}:16384 > {{vip}}:80 flags PA payload '{_ATTACK}'",
    "tcp {client}:16384 > {vip}:80 flags A",  # behind the attack, of its flow
    "tcp {client}:16384 > {vip}:80 flags PA payload 'garbage that is no request at all'",
    "tcp {denied}:16384 > {vip}:80 flags S",
    "tcp {client}:16384 > {vip}:22 flags S",
    "udp {client}:16384 > {vip}:80 payload 'x'",
    "tcp {client}:16384 > {vip}:80 flags S eth 02:00:00:00:00:bd > 02:00:00:00:00:01",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Probes(Mix):
    """Packets of every fate: what goes through, what each VNF refuses."""

    def frames(self) -> list[bytes]:
        """Each flow sends one of them."""
        names = {"client": "10.9.0.0", "vip": "198.51.100.7", "denied": "203.0.113.0"}
        if self.family == 6:
            names = {"client": "[2001:db8:9::]", "vip": "[2001:db8::7]", "denied": "[2001:db8:bad::]"}
        made = [build(_PROBES[k % len(_PROBES)].format(**names)) for k in range(64)]
        return [frame.ljust(_FRAME, b"\0") for frame in made]  # as of a wire that pads


@lru_cache
def edge(tables: str) -> Bundle:
    """The example without its router, which is the kernel's work on either side."""
    whole = spec.load(chains.DC_EDGE)
    paths = tuple(dataclasses.replace(c, then=f"out:{'lan' if c.on == 'wan' else 'wan'}") for c in whole.chains)
    return pipeline.build(dataclasses.replace(whole, name=f"edge-{tables}", chains=paths, expect=(), tables=tables))


def run(rounds: int = ROUNDS) -> list[Figure]:
    """HTTP's share 0, 10, 50, 100 %, on kernel maps and on direct tables."""
    kernel, direct = edge("kernel"), edge("auto")
    bundles = {"fused, kernel": kernel, "fused, direct": direct, "own kernel": kernel, "own direct": direct}
    arms = {
        "monoliths, kernel": ("kernel", ()),
        "monoliths, kernel, again": ("kernel", ()),
        "sessions first, kernel": ("kernel", ("SESSIONS_FIRST",)),
        "monoliths, direct": ("direct", ("DIRECT",)),
        "sessions first, direct": ("direct", ("DIRECT", "SESSIONS_FIRST")),
    }
    made = {
        name: (baselines.compiled("monoliths.c", _PARTS, bundles[f"own {tables}"], *defines), f"own {tables}")
        for name, (tables, defines) in arms.items()
    }
    names = ["fused, kernel", "fused, direct", *made]
    found: list[Figure] = []
    with Memory(bundles, made) as rig:
        for family in (4, 6):
            rig.verify(Probes(family=family, flows=640), names)
        for words, mix in {
            **{f"{share} % HTTP": Mix(size=_FRAME, http=share) for share in (0, 10, 50, 100)},
            "50 % HTTP, IPv6": Mix(size=_FRAME, http=50, family=6),
        }.items():
            rig.verify(mix, names)
            samples = rig.compare(names, rounds)
            found += [figure(f"{name}, {words}", times, "ns") for name, times in samples.items()]
            for over, under, goal in (
                ("monoliths, kernel, again", "monoliths, kernel", None),
                ("fused, kernel", "monoliths, kernel", 0.85),
                ("fused, direct", "monoliths, direct", 0.6),
                ("fused, direct", "monoliths, kernel", 0.3),
                ("fused, kernel", "sessions first, kernel", None),
                ("fused, direct", "sessions first, direct", None),
            ):
                found.append(ratio(f"{over} / {under}, {words}", samples[over], samples[under], goal if words == "50 % HTTP" else None))
    return found
