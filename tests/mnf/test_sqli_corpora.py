"""sqli_check against what attackers send to everybody and what people write: the program that would run, on whole requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from ebpfnf import packets, pipeline, spec
from ebpfnf.agent.private import PrivateCopy

pytestmark = pytest.mark.kernel
DATA = Path(__file__).parent.parent / "data"
CHAIN = """
ebpfnf: 1
deployment: waf
ports: {a: {interface: eth0}}
vnfs: {waf: {vnf: application-firewall}}
chains: {in: {on: a, match: {}, path: [waf], then: pass}}
"""
HEADERS = (
    "Host: shop.example\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Cookie: sid=5f3a; lang=en\r\n\r\n"
)
ENCODINGS = {
    "plain": str,
    "form": quote_plus,
    "percent": lambda text: quote(text, safe=""),
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
}


def lines(name: str) -> list[str]:
    return [line for line in (DATA / name).read_text().splitlines() if line.strip()]


def query(value: str) -> str:
    return f"GET /item?id={value}&page=2 HTTP/1.1\r\n{HEADERS}"


def form(value: str) -> str:
    return f"POST /login HTTP/1.1\r\nHost: shop.example\r\n\r\nuser={value}&pass=x"


@pytest.fixture(scope="module")
def firewall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateCopy]:
    file = tmp_path_factory.mktemp("waf") / "chain.yaml"
    file.write_text(CHAIN)
    with PrivateCopy(pipeline.build(spec.load(file))) as copy:
        yield copy


def dropped(firewall: PrivateCopy, request: str) -> bool:
    payload = "".join(f"\\x{byte:02x}" for byte in request.encode())
    frame = packets.build(f"tcp 192.0.2.9:4000 > 198.51.100.7:80 flags PA payload '{payload}'")
    return firewall.run(frame, "a", 10**9).counter.name == "waf.sql_injection"


@pytest.mark.parametrize(("encoding", "share"), [("plain", 0.97), ("form", 0.97), ("percent", 0.97), ("twice", 0.95)])
@pytest.mark.parametrize("request_with", [query, form])
def test_attacks_are_dropped(firewall: PrivateCopy, request_with, encoding: str, share: float) -> None:
    attacks = lines("sqli_attacks.txt")
    missed = [text for text in attacks if not dropped(firewall, request_with(ENCODINGS[encoding](text)))]
    assert len(attacks) >= 150
    assert len(missed) <= (1 - share) * len(attacks), missed


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("request_with", [query, form])
def test_what_people_write_is_not(firewall: PrivateCopy, request_with, encoding: str) -> None:
    texts = lines("sqli_benign.txt")
    assert len(texts) >= 300
    assert [text for text in texts if dropped(firewall, request_with(ENCODINGS[encoding](text)))] == []
