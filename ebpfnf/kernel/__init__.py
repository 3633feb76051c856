"""bpf(2) and what is built on it: maps, programs, links, pins, probes. Standard library only."""
