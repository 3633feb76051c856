"""http_classify: the first line tells; what follows on the connection is the same."""

from __future__ import annotations

import re

from tests.models.base import HTTP_NONE, HTTP_REQUEST, HTTP_RESPONSE, NEXT, Verdict
from tests.models.parse import HAVE_TCP

_REQUEST = re.compile(rb"(?:GET|PUT|POST|HEAD|TRACE|PATCH|DELETE|OPTIONS|CONNECT) ")


class Model:
    """The model of http_classify."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        m["http"] = HTTP_NONE
        flow, port = packet.flow, cfg["port"]
        if not packet.have & HAVE_TCP or port not in (flow.sport, flow.dport):
            return NEXT
        client, side = (flow, HTTP_REQUEST) if flow.dport == port else (flow.reverse(), HTTP_RESPONSE)
        head = HTTP_RESPONSE if packet.payload.startswith(b"HTTP/1.") else HTTP_REQUEST if _REQUEST.match(packet.payload) else HTTP_NONE
        if head != HTTP_NONE:
            state["flows"].touch(client, 1)
        elif state["flows"].lookup(client):
            head = side
        m["http"] = head
        return NEXT
