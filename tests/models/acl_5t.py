"""acl_5t: the first rule that fits decides and gives a class, else the default."""

from __future__ import annotations

from tests.models.base import NEXT, Verdict, drop


class Model:
    """The model of acl_5t."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        rule = state["rules"].match(packet)
        if (rule["action"] if rule else cfg["default"]) == "deny":
            return drop("acl_deny")
        if rule:
            m["class"] = rule["class"]
        return NEXT
