"""From templates to the graph of mNFs, and what must hold for it."""

from ebpfnf.graph.check import check
from ebpfnf.graph.expand import expand

__all__ = ["check", "expand"]
