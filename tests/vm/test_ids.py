"""ids_match against a plain search for contents, and the errors of its rules."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from ebpfnf.errors import SpecError
from ebpfnf.vm.native import Native

from .frames import frame


def rule(options: str, sid: int = 1, head: str = "alert tcp any any -> any any") -> str:
    return f"{head} ({options} sid:{sid};)"


def matched(rules: list[str], frames: list[bytes]) -> list[int]:
    """How often each rule matched, in order."""
    with Native("ids_match", {"ids_match": {"rules": rules}}) as native:
        native.frames(frames)
        counters = native.counters()
    return [counters[name] for name in counters if name.startswith("ids_match.sid_")]


@pytest.mark.parametrize(
    ("options", "payload", "holds"),
    [
        ('content:"abc";', b"xxabcxx", True),
        ('content:"abc";', b"xxABCxx", False),
        ('content:"abc"; nocase;', b"xxABCxx", True),
        ('content:"a|62 63|d";', b"abcd", True),
        (r'content:"a\"b\;c\\";', b'a"b;c\\', True),
        ('content:"abc"; offset:2;', b"abcabc", True),
        ('content:"abc"; offset:4;', b"abcabc", False),
        ('content:"abc"; depth:3;', b"abc", True),
        ('content:"abc"; depth:4;', b"xxabc", False),
        ('content:"abc"; offset:2; depth:3;', b"xxabc", True),
        ('content:"ab"; content:"cd";', b"cdab", True),
        ('content:"ab"; content:"cd"; distance:0;', b"cdab", False),
        ('content:"ab"; content:"cd"; distance:1; within:2;', b"abxcd", True),
        ('content:"ab"; content:"cd"; distance:1; within:2;', b"abxxcd", False),
        ('content:"ab"; content:"cd"; within:4;', b"abxxcd", True),
        ('content:"ab"; content:"cd"; within:3;', b"abxxcd", False),
        ('content:"ab"; content:"cd"; within:2;', b"abxxabcd", True),
        ('content:"ab"; content:!"cd";', b"ab", True),
        ('content:"ab"; content:!"cd";', b"abcd", False),
        ('content:"ab"; content:!"cd"; within:2;', b"abxcd", True),
        ('content:"abcd"; content:"cd"; distance:-2;', b"abcd", True),
        ('msg:"a; b"; content:"abc"; fast_pattern; rev:2; classtype:x; reference:url,example.org/a;', b"abc", True),
    ],
)
def test_contents(options: str, payload: bytes, holds: bool) -> None:
    assert matched([rule(options)], [frame(payload)]) == [holds]


@pytest.mark.parametrize(
    ("head", "holds"),
    [
        ("alert tcp any any -> any 80", True),
        ("alert tcp any any -> any 81", False),
        ("alert tcp any 4000 -> any any", True),
        ("alert tcp any 1:3999 -> any any", False),
        ("alert tcp any 4000: -> any :80", True),
        ("alert udp any any -> any any", False),
        ("alert ip any any -> any any", True),
    ],
)
def test_heads(head: str, holds: bool) -> None:
    assert matched([rule('content:"abc";', head=head)], [frame(b"abc")]) == [holds]


def test_a_rule_may_drop() -> None:
    rules = [rule('content:"bad";', 7, "drop ip any any -> any any"), rule('content:"odd";', 8)]
    with Native("ids_match", {"ids_match": {"rules": rules}}) as native:
        packets = [frame(b"good"), frame(b"a bad one"), frame(b"an odd one"), frame(b"a bad one", "udp")]
        assert native.frames(packets) == [packets[0], None, packets[2], None]
        counters = native.counters()
        assert (counters["ids_match.rule"], counters["ids_match.alerts"]) == (2, 1)
        assert (counters["ids_match.sid_7"], counters["ids_match.sid_8"]) == (2, 1)


@dataclass(frozen=True)
class Content:
    """A content as the reference sees it."""

    text: bytes
    negated: bool
    nocase: bool
    relative: bool
    offset: int
    depth: int
    distance: int
    within: int

    def written(self) -> str:
        words = f'content:{"!" if self.negated else ""}"|{self.text.hex(" ")}|";' + (" nocase;" if self.nocase else "")
        if self.relative:
            return words + f" distance:{self.distance};" + (f" within:{self.within};" if self.within else "")
        return words + (f" offset:{self.offset};" if self.offset else "") + (f" depth:{self.depth};" if self.depth else "")

    def places(self, payload: bytes, before: int) -> list[int]:
        """Where it ends."""
        first = max(0, before + self.distance) if self.relative else self.offset
        last = before + self.distance + self.within if self.within else len(payload)
        if not self.relative:
            last = self.offset + self.depth if self.depth else len(payload)
        same = (lambda a: a.lower()) if self.nocase else (lambda a: a)
        size = len(self.text)
        return [at + size for at in range(first, min(last, len(payload)) - size + 1) if same(payload[at : at + size]) == same(self.text)]


def holds(contents: list[Content], payload: bytes, before: int = 0) -> bool:
    if not contents:
        return True
    ends = contents[0].places(payload, before)
    if contents[0].negated:
        return not ends and holds(contents[1:], payload, before)
    return any(holds(contents[1:], payload, end) for end in ends)


def random_content(chance: random.Random, first: bool) -> Content:
    text = bytes(chance.choices(b"abAB", k=chance.randrange(1, 5)))
    relative = not first and chance.random() < 0.5
    return Content(
        text,
        negated=not first and chance.random() < 0.2,
        nocase=chance.random() < 0.4,
        relative=relative,
        offset=0 if relative else chance.choice([0, 0, 1, 5]),
        depth=0 if relative else chance.choice([0, 0, len(text) + chance.randrange(20)]),
        distance=chance.randrange(-3, 6) if relative else 0,
        within=chance.choice([0, len(text) + chance.randrange(8)]) if relative else 0,
    )


def test_many_rules_at_once_match_as_one_by_one() -> None:
    chance = random.Random(1)
    for _ in range(6):
        rules = [[random_content(chance, first=i == 0) for i in range(chance.randrange(1, 5))] for _ in range(60)]
        payloads = [bytes(chance.choices(b"abABxc", k=chance.randrange(0, 60))) for _ in range(80)]
        texts = [rule(" ".join(c.written() for c in contents), sid) for sid, contents in enumerate(rules, 1)]
        found = matched(texts, [frame(payload) for payload in payloads])
        assert found == [sum(holds(contents, payload) for payload in payloads) for contents in rules]


def test_a_packet_made_to_be_slow_is_given_up_and_counted() -> None:
    options = 'content:"a"; ' + 'content:"a"; distance:0; ' * 6 + 'content:"b"; distance:0;'
    with Native("ids_match", {"ids_match": {"rules": [rule(options)]}}) as native:
        native.frame(frame(b"a" * 1400))
        assert native.counters()["ids_match.too_costly"] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('pass tcp any any -> any any (content:"x"; sid:1;)', "begins with alert or drop"),
        ('alert icmp any any -> any any (content:"x"; sid:1;)', "tcp, udp or ip"),
        ('alert tcp 10.0.0.0/8 any -> any any (content:"x"; sid:1;)', "the source is 'any'"),
        ('alert tcp any any <> any any (content:"x"; sid:1;)', "direction"),
        ('alert tcp any any -> any 70000 (content:"x"; sid:1;)', "the destination"),
        ("alert tcp any any -> any any content", "in brackets"),
        (rule('content:"";'), "is empty"),
        (rule('content:"|4|";'), "pairs of hex digits"),
        (rule('content:!"x";'), "not negated"),
        (rule('pcre:"/x/"; content:"x";'), "not known"),
        (rule('content:"xyz"; depth:2;'), "depth is less"),
        (rule('content:"x"; within:x;'), "within"),
        (rule('content:"x"'), "ends with ';'"),
        ('alert tcp any any -> any any (content:"x";)', "needs a sid"),
    ],
)
def test_a_rule_that_is_wrong_is_refused(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Native("ids_match", {"ids_match": {"rules": [text]}})


def test_any_text_as_a_rule_is_survived() -> None:
    chance = random.Random(2)
    base = rule('msg:"x"; content:"a|62|c"; nocase; offset:1; depth:9; content:!"d"; distance:-1; within:5;')
    for _ in range(60):
        text = list(base)
        for _ in range(chance.randrange(1, 4)):
            text[chance.randrange(len(text))] = chance.choice('"|;:!()\\ 0a-')
        try:
            matched(["".join(text).strip() or "x"], [frame(b"abc")])
        except SpecError:
            continue
