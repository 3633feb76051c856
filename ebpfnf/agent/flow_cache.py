"""The flow cache of a generation forgets what it knows when a table changes.

Each CPU's part begins with the generation of tables that its entries are made under. While it is odd, programs neither find entries nor
make any. It becomes odd before a table changes and even after that, so a change that has returned is in force for known flows too, and
who is killed between leaves a cache that knows nothing until the next change: slower, never wrong.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager

from ebpfnf.agent.manifest import Manifest
from ebpfnf.kernel import probe
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Pins
from ebpfnf.kernel.syscall import cpu_slots

MAP = "flow_cache"


@contextmanager
def forgotten(at: Pins, found: Manifest) -> Iterator[None]:
    """Around a change of a table of this generation. For who holds the deployment's lock."""
    if MAP not in found.pins:
        yield
        return
    with Map.open(at.generation(found.generation).table(found.pins[MAP])) as cache, paused(cache):
        yield


@contextmanager
def paused(cache: Map) -> Iterator[None]:
    """The same for a flow cache in hand."""
    size = cache.value_size // cpu_slots()
    words = [cache.memory(start, start + 8).cast("Q") for start in range(0, cache.value_size, size)]
    for word in words:
        word[0] |= 1
    try:
        yield
    finally:
        if platform.machine() != "x86_64":
            probe.grace()  # there a packet may have read the table before the generation, though it asked the other way round
        for word in words:
            word[0] = (word[0] | 1) + 1
