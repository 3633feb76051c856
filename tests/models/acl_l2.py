"""acl_l2: the first rule that fits, else the default."""

from __future__ import annotations

from tests.models.base import NEXT, Verdict, drop


class Model:
    """The model of acl_l2."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        rule = state["rules"].match(packet)
        return NEXT if (rule["action"] if rule else cfg["default"]) == "allow" else drop("l2_deny")
