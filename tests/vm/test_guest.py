"""Images as guests of qemu: they boot, serve, answer, and lose nothing; the same bytes in software and with KVM."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from ebpfnf.vm import build, qemu
from ebpfnf.vm.control import Operation, Status

from .frames import Connection, frame
from .guest import Guest

pytestmark = [pytest.mark.vm, pytest.mark.skipif(bool(qemu.missing()), reason=f"missing: {qemu.missing()}")]
PEERS = {"compress": {"peers": ["0.0.0.0/0"]}}


@pytest.fixture(params=["tcg", "best"])
def accelerator(request: pytest.FixtureRequest) -> str:
    return "tcg" if request.param == "tcg" else qemu.accelerator(build.image("compress").path).name


def test_the_accelerator_is_found_by_running_an_image() -> None:
    image = build.image("ids_match").path  # it refuses to be without rules: what it is asked comes before
    found = qemu.accelerator(image)
    assert found.name in ("tcg", "kvm") and found.why in found.words
    assert qemu.cycles(image, "tcg") is not None and qemu.cycles(image, "nothing") is None


@pytest.fixture
def packer(accelerator: str) -> Iterator[Guest]:
    with Guest("compress", PEERS, accelerator) as guest:
        yield guest


def test_packets_go_through_two_guests_and_come_back(packer: Guest) -> None:
    chance = random.Random(1)
    words = b"each packet is for itself and text repeats its own words".split()
    frames = [frame(b" ".join(chance.choices(words, k=chance.choice([0, 1, 20, 100, 230])))) for _ in range(400)]
    packed = packer.exchange(frames)
    assert len(packed) == len(frames)
    assert sum(map(len, packed)) < 0.8 * sum(map(len, frames))
    counters = packer.counters()
    assert counters["vm.received"] == counters["vm.sent"] == len(frames)
    packer.__exit__(None, None, None)
    with Guest("decompress") as unpacker:
        assert unpacker.exchange(packed) == frames


def test_the_stream_is_read_in_a_guest(accelerator: str) -> None:
    with Guest("sqli_stream+url_filter", {"url_filter": {"deny": ["/admin*"]}}, accelerator) as guest:
        good, bad, ugly = (Connection(1, f"192.0.2.9:{port}") for port in (2001, 2002, 2003))
        for client, request, passed in (
            (good, b"GET /item?q=O'Reilly HTTP/1.1\r\nHost: a\r\n\r\n", True),
            (bad, b"GET /item?id=1%2527+or+%25271%2527=%25271 HTTP/1.1\r\nHost: a\r\n\r\n", False),
            (ugly, b"GET /x/..%2fadmin HTTP/1.1\r\nHost: a\r\n\r\n", False),
        ):
            frames = [client.syn(), *client.cut(request, 10)]
            assert (guest.exchange(frames) == frames) is passed
        counters = guest.counters()
        assert counters["sqli_stream.sql_injection"] == counters["url_filter.url_denied"] == 1
        assert guest.reasons.index("sqli_stream.sql_injection") < guest.reasons.index("url_filter.url_denied")
        assert len(guest.reasons) == counters["vm.dropped"] == counters["vm.received"] - counters["vm.sent"]


def test_control_frames(accelerator: str) -> None:
    with Guest("compress", PEERS, accelerator) as guest:
        assert guest.ask(Operation.READY).status is Status.OK
        text = frame(b"a" * 500)
        assert len(guest.exchange([text])[0]) < 100
        assert guest.ask(Operation.CONFIG, "compress.smallest 2000\ncompress.algorithm deflate\n").status is Status.OK
        assert guest.exchange([text]) == [text]
        refused = guest.ask(Operation.CONFIG, "compress.smallest 90\ncompress.algorithm zip\n")
        assert (refused.status, refused.text) == (Status.REFUSED, "no such choice")
        assert guest.exchange([text]) == [text]  # nothing of it was set
        assert guest.ask(Operation.QUIT).status is Status.OK
        assert "ready" in guest.console()


def test_a_configuration_that_is_refused_ends_the_guest_with_words() -> None:
    with pytest.raises(AssertionError, match="configuration refused: a rule needs a sid"):
        Guest("ids_match", {"ids_match": {"rules": ['alert tcp any any -> any any (content:"x";)']}}).__enter__()


def test_any_frame_is_survived(accelerator: str) -> None:
    """Lengths from 14 to 1514, random bytes behind plausible headers; the guest still answers, and says what it got."""
    chance = random.Random(2)
    base = frame(bytes(1400))
    frames = []
    for _ in range(600):
        data = bytearray(base[: chance.choice([14, 15, 33, 34, 54, 60, 61, 100, 1454])])
        for _ in range(chance.randrange(8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        data[12] = 8 if data[12] == 0x88 else data[12]
        frames.append(bytes(data))
    with Guest("sqli_stream+url_filter", {"url_filter": {"deny": ["/a"]}}, accelerator) as guest:
        guest.exchange(frames)
        assert guest.counters()["vm.received"] == len(frames)
