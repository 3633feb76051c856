"""ebpfnf: network functions from microservices, compiled to XDP."""

__version__ = "0.1.0"
