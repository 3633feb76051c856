"""Hosts and networks made of namespaces: for the demo, for tests and for learning.

with Lab("try") as lab:
    lab.run_in("client", ["ping", "-c1", "192.0.2.1"])
"""

from ebpfnf.lab.lab import HostStatus, Lab, labs
from ebpfnf.lab.topology import DEMO, Topology

__all__ = ["DEMO", "HostStatus", "Lab", "Topology", "labs"]
