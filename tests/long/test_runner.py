"""Protects: the long runner counts truly, goes on where it ended, survives failures, and the same seed makes the same case."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.long.__main__ import main, run
from tests.long.campaign import Campaign
from tests.long.record import Row, append, next_seed
from tests.long.registry import CAMPAIGNS


def test_failures_are_counted_with_their_seeds_and_do_not_end_the_run() -> None:
    seen = []

    @contextmanager
    def start():
        def case(seed: int) -> int:
            seen.append(seed)
            if seed == 12:
                raise ValueError("odd | thing\nmore")
            if len(seen) == 5:
                raise KeyboardInterrupt
            return 3

        yield case

    row, interrupted = run(Campaign("x", "", start), 10, 60, lambda text: None)
    assert interrupted and seen == [10, 11, 12, 13, 14]
    assert row == Row("x", 10, 4, 9, ((12, "ValueError: odd | thing"),))
    assert str(row) == "| x | 10 to 13 | 4 | 9 | 1 (12: ValueError: odd / thing) |"


def test_the_record_tells_where_to_go_on(tmp_path: Path) -> None:
    file = tmp_path / "long-runs.md"
    assert next_seed("x", file) == 1
    for row in (Row("x", 1, 10, 10, ()), Row("y", 1, 99, 1, ()), Row("x", 5, 2, 2, ()), Row("x", 500, 0, 0, ())):
        append(row, file)
    assert next_seed("x", file) == 11 and next_seed("y", file) == 100
    assert file.read_text().startswith("# Long runs") and "500" not in file.read_text()


def test_campaign_names_are_unique_and_unknown_ones_refused() -> None:
    assert len({campaign.name for campaign in CAMPAIGNS}) == len(CAMPAIGNS)
    with pytest.raises(SystemExit):
        main(["--minutes", "0.001", "no-such-thing"])
