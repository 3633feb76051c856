"""Every value that flows from chain.yaml to the host, frozen. Standard library only: it travels with the agent.

Deployment ─ graph ─▶ Graph ─ segment ─▶ Segments ─ generate ─▶ Source ─ compile ─▶ Bundle ─▶ agent
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ebpfnf.model.ports import Function, Image, Port
from ebpfnf.model.program import (
    BESIDE,
    COPIES,
    COPY_BYTES,
    VM_INSTANCES,
    Bundle,
    ConstLayout,
    Counter,
    MapSpec,
    Program,
    Scope,
    SlotLayout,
    Source,
    Table,
    Vm,
)

if TYPE_CHECKING:
    from ebpfnf.model.files import (
        Chain,
        ChainPath,
        Deployment,
        Expectation,
        Fields,
        HeaderField,
        Instance,
        MetadataField,
        Mnf,
        ParamSpec,
        Parting,
        Reference,
        TableSpec,
        Testbed,
        TestbedPort,
        TrafficClass,
        Vnf,
        VnfLink,
        VnfNode,
        VnfUse,
        When,
    )
    from ebpfnf.model.graph import (
        DROPPED,
        EXIT,
        PASSED,
        Graph,
        Link,
        Position,
        Remembered,
        Segments,
        Stage,
    )
else:  # what a host never sees is imported where it is used: making 28 classes is a tenth of an agent's start

    def __getattr__(name: str) -> Any:
        for part in ("files", "graph"):
            if name in __all__ and hasattr(module := importlib.import_module(f"{__name__}.{part}"), name):
                return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "BESIDE",
    "COPIES",
    "COPY_BYTES",
    "DROPPED",
    "EXIT",
    "PASSED",
    "VM_INSTANCES",
    "Bundle",
    "Chain",
    "ChainPath",
    "ConstLayout",
    "Counter",
    "Deployment",
    "Expectation",
    "Fields",
    "Function",
    "Graph",
    "HeaderField",
    "Image",
    "Instance",
    "Link",
    "MapSpec",
    "MetadataField",
    "Mnf",
    "ParamSpec",
    "Parting",
    "Port",
    "Position",
    "Program",
    "Reference",
    "Remembered",
    "Scope",
    "Segments",
    "SlotLayout",
    "Source",
    "Stage",
    "Table",
    "TableSpec",
    "Testbed",
    "TestbedPort",
    "TrafficClass",
    "Vm",
    "Vnf",
    "VnfLink",
    "VnfNode",
    "VnfUse",
    "When",
]
