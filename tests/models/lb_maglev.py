"""lb_maglev: a backend for what goes to a service address."""

from __future__ import annotations

from tests.models.base import NEXT, Verdict, drop, to


class Model:
    """The model of lb_maglev."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        if packet.flow.dport != cfg["port"] or state["vips"].lookup(packet.flow.daddr) is None:
            return to("not_ours")
        backend = state["backends"].pick(m["hash"])
        if backend is None:
            return drop("no_backend")
        m["backend"], m["backend_port"] = backend["index"], backend["port"]
        m["backend_ip"] = backend["v4" if packet.v4 else "v6"]
        return NEXT
