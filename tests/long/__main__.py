"""The runner: shares the time among the campaigns, counts, records."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable

from tests.long.campaign import Campaign
from tests.long.record import Row, append, next_seed
from tests.long.registry import CAMPAIGNS


def run(campaign: Campaign, first: int, seconds: float, show: Callable[[str], None]) -> tuple[Row, bool]:
    """Cases from seed `first` on until the time is over; whether it was interrupted. A failure does not end the run."""
    cases = checks = 0
    failures: list[tuple[int, str]] = []
    interrupted = False
    until, shown = time.monotonic() + seconds, 0.0
    try:
        with campaign.start() as case:
            while time.monotonic() < until:
                seed = first + cases
                try:
                    checks += case(seed)
                except Exception as error:
                    failures.append((seed, f"{type(error).__name__}: {error}".splitlines()[0][:120]))
                cases += 1
                if time.monotonic() - shown > 1:
                    shown = time.monotonic()
                    show(f"{campaign.name}: {cases} cases, {checks} checks, {len(failures)} failures, {until - shown:.0f} s left")
    except KeyboardInterrupt:
        interrupted = True
    return Row(campaign.name, first, cases, checks, tuple(failures)), interrupted


def main(argv: list[str] | None = None) -> int:
    """0: no failure. 1: at least one. 130: interrupted; what was done is recorded."""
    parser = argparse.ArgumentParser(prog="./test --long")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=None, help="the first case (default: go on where the record ends)")
    parser.add_argument("names", nargs="*", choices=[[], *(c.name for c in CAMPAIGNS)], metavar="NAME", help="default: all that can run")
    options = parser.parse_args(argv)
    chosen = [c for c in CAMPAIGNS if (not options.names or c.name in options.names) and (os.geteuid() == 0 or not c.root)]
    if not chosen:
        parser.error("no campaign can run here (they need root)")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tty = sys.stdout.isatty()
    code = 0
    for campaign in chosen:
        first = next_seed(campaign.name) if options.seed is None else options.seed
        print(f"{campaign.name}: {campaign.what}; from seed {first}")
        row, interrupted = run(
            campaign, first, options.minutes * 60 / len(chosen), lambda text: print(f"\r{text}\033[K", end="", flush=True) if tty else None
        )
        append(row)
        print(f"{chr(13) if tty else ''}{row}")
        code = max(code, int(bool(row.failures)))
        if interrupted:
            return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
