"""Which tests can run here, and which side by side. With CI=true and root a skip for want of a right is a failure: nothing is left
untested silently."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

ROOT_MARKERS = {"kernel", "lab", "faults", "fleet", "vm"}
# Hosts, links and machines under load: never two of them at a time.
ALONE = tuple(f"tests/{folder}/" for folder in ("docs", "fleet", "faults", "lab", "vm"))


def missing() -> str:
    """What the machine lacks for tests that touch the kernel, or an empty string."""
    if os.geteuid() != 0:
        return "root (run ./test through sudo)"
    if not os.path.isdir("/sys/fs/bpf"):
        return "bpffs at /sys/fs/bpf"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that needs the kernel is skipped where it can't run, and says what is missing. Those that run one after the other come first:
    another process does the rest meanwhile."""
    for item in items:
        markers = {mark.name for mark in item.iter_markers()}
        what = missing() if ROOT_MARKERS & markers else ""
        if "fleet" in markers and not os.path.exists("/usr/sbin/sshd"):
            what = what or "sshd (apt-get install openssh-server)"
        if what:
            item.add_marker(pytest.mark.skip(reason=f"missing: {what}"))
    items.sort(key=lambda item: not item.nodeid.startswith(ALONE))


class OneAlone(LoadScopeScheduling):
    """A file's tests stay together, and so do all that must not run side by side."""

    def _split_scope(self, nodeid: str) -> str:
        return "alone" if nodeid.startswith(ALONE) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneAlone:
    """What stands first begins first: not what has the most tests, which says little of its time."""
    config.option.loadscopereorder = False
    return OneAlone(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI as root a skipped test has failed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true" and os.geteuid() == 0:
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr}"
    return report
