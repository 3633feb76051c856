"""dnat_rewrite: connections stay with the backend that they began with."""

from __future__ import annotations

from dataclasses import replace

from tests.models.base import NEXT, REVERSE, Verdict, drop, to


class Model:
    """The model of dnat_rewrite."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        sessions, flow = state["sessions"], packet.flow
        session = sessions.lookup(flow)
        if m["dir"] == REVERSE:
            if session is None:
                return to("no_session")
            session["last_seen"] = packet.now
            packet.set("ip.src", session["addr"])
            packet.set("l4.sport", session["port"])
            return NEXT

        def fresh(entry) -> bool:  # type: ignore[no-untyped-def]
            return entry is not None and packet.now - entry["last_seen"] < cfg["idle"]

        if not fresh(session):
            if not m["backend"]:
                return NEXT
            if m["backend_ip"] == bytes(16):
                return drop("no_family")
            answers = replace(flow.reverse(), saddr=m["backend_ip"], sport=m["backend_port"])
            service = {"last_seen": packet.now, "addr": flow.daddr, "port": flow.dport}
            owner = sessions.lookup(answers)
            if fresh(owner) and (owner["addr"], owner["port"]) != (flow.daddr, flow.dport):
                return drop("reply_taken")
            session = {"last_seen": packet.now, "addr": m["backend_ip"], "port": m["backend_port"]}
            sessions.touch(answers, service)
            sessions.touch(flow, session)
        session["last_seen"] = packet.now
        packet.set("ip.dst", session["addr"])
        packet.set("l4.dport", session["port"])
        return NEXT
