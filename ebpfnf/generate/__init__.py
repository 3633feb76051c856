"""From a graph and its segmentation to C: data layouts, counters, and one Jinja2 rendering.

No text of an operator reaches the C: what is interpolated are integers and identifiers made by names.py; everything else is data in maps.
"""

from ebpfnf.generate.program import generate
from ebpfnf.generate.segment import segment

__all__ = ["generate", "segment"]
