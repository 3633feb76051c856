"""The shape of the three kinds of files. What their values mean is checked where they are read."""
# ruff: noqa: RUF012 -- pydantic copies a default for each value

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from ebpfnf import names
from ebpfnf.spec.shape import Shape


def _named(fits: Callable[[str], object], wanted: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not fits(text):
            raise ValueError(wanted)
        return text

    return check


def _pattern(rule: re.Pattern[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": "^" + rule.pattern.replace(r"\Z", "$")})


def _one_line(text: str) -> str:
    if not text.strip() or "\n" in text or "\r" in text:
        raise ValueError("one line of text")
    return text


def _exit(*words: str) -> BeforeValidator:
    """One of `words`, `out: <port>` as text, or {out: <port>}; the result is a word or `out:<port>`."""

    def check(value: Any) -> str:
        if isinstance(value, Mapping) and list(value) == ["out"]:
            value = f"out:{value['out']}"
        text = re.sub(r"\Aout: ?", "out:", value) if isinstance(value, str) else ""
        if text not in words and not (text.startswith("out:") and names.is_kebab(text[4:])):
            raise ValueError(", ".join(words) + " or {out: <port>}")
        return text

    return BeforeValidator(check)


def _exit_schema(*words: str) -> WithJsonSchema:
    port = {"type": "string", "pattern": "^" + names.KEBAB.pattern.replace(r"\Z", "$")}
    out = {"type": "object", "properties": {"out": port}, "required": ["out"], "additionalProperties": False}
    return WithJsonSchema({"anyOf": [{"enum": list(words)}, {"type": "string", "pattern": "^out: ?" + str(port["pattern"])[1:]}, out]})


Snake = Annotated[str, AfterValidator(_named(names.is_snake, names.SNAKE_WANTED)), _pattern(names.SNAKE)]
Kebab = Annotated[str, AfterValidator(_named(names.is_kebab, names.KEBAB_WANTED)), _pattern(names.KEBAB)]
Interface = Annotated[str, AfterValidator(_named(names.INTERFACE.match, names.INTERFACE_WANTED)), _pattern(names.INTERFACE)]
Line = Annotated[str, AfterValidator(_one_line)]
Text = Annotated[str, Field(min_length=1)]
Otherwise = Annotated[str, _exit("pass", "drop"), _exit_schema("pass", "drop")]
Then = Annotated[str, _exit("route", "pass", "reflect", "drop"), _exit_schema("route", "pass", "reflect", "drop")]
OneOrMany = {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}]}


class PortShape(Shape):
    """A port of chain.yaml."""

    interface: Interface
    otherwise: Otherwise = "pass"
    fragments: Literal["drop", "pass"] = "drop"
    on_fault: Literal["drop", "pass"] = "drop"


class InstanceShape(Shape):
    """An instance of a VNF: `vnf:` and the VNF's parameters. `lossy: true`: it may miss packets."""

    model_config = ConfigDict(extra="allow")

    vnf: Kebab
    lossy: bool = False

    @model_validator(mode="before")
    @classmethod
    def _a_template(cls, given: Any) -> Any:
        if isinstance(given, dict) and "mnf" in given and "vnf" not in given:
            raise ValueError("vnf: <template>; an mNF stands in a template, if only by itself: vnfs/<template>.yaml")
        return given


# What holds itself, which pydantic's schemas can't say: a path with classes, a condition.
_PATH = {
    "type": "array",
    "items": {
        "anyOf": [
            {"type": "string", "pattern": "^" + names.KEBAB.pattern.replace(r"\Z", "$")},
            {
                "type": "object",
                "properties": {
                    "classes": {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": {
                            "type": "object",
                            "properties": {"match": {"type": "object"}, "path": {"$ref": "#/$defs/Path"}},
                            "required": ["match", "path"],
                            "additionalProperties": False,
                        },
                    }
                },
                "required": ["classes"],
                "additionalProperties": False,
            },
        ]
    },
}
_WHEN = {
    "type": "object",
    "minProperties": 1,
    "properties": {
        "not": {"$ref": "#/$defs/When"},
        **{word: {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/When"}} for word in ("any", "all")},
    },
}
_LINK = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"link": {"type": "string"}, "when": {"$ref": "#/$defs/When"}},
            "required": ["link", "when"],
            "additionalProperties": False,
        },
    ]
}


class ChainShape(Shape):
    """A chain: what it takes, which instances, and what then."""

    on: Kebab
    direction: Literal["forward", "reverse"] = "forward"
    match: dict[str, Any]
    path: list[Any]  # spec/path.py
    then: Then


class ImageShape(Shape):
    """What a machine boots: a kernel, or a disk."""

    kernel: Text | None = None
    initrd: Text | None = None
    arguments: Line | None = None
    disk: Text | None = None
    format: Literal["raw", "qcow2"] = "raw"
    memory: int = 128
    vcpus: int = 1
    ready: Line | None = None


class FunctionShape(Shape):
    """A network function that is not made of mNFs: what stands behind these ports."""

    attached: list[Kebab]
    on_failure: Literal["bypass", "drop"] = "drop"
    macs: list[str] = []
    image: ImageShape | None = None


class ExpectShape(Shape):
    """A packet and what becomes of it."""

    on: Kebab
    packet: Line
    verdict: Literal["PASS", "DROP", "TX", "REDIRECT"]
    chain: Kebab | None = None
    reason: Text | None = None
    port: Kebab | None = None
    by: Text | None = None


class RouteShape(Shape):
    """A route of the testbed."""

    to: str
    via: str


class TestbedShape(Shape):
    """What surrounds a port in tests and in the lab."""

    __test__ = False

    addresses: list[str] = []
    routes: list[RouteShape] = []
    neighbours: dict[str, str] = {}


class PlaceShape(Shape):
    """Where it runs: `FILE[:GROUP]`, an inventory beside this file and a group or host in it."""

    hosts: Text


class ChainFile(Shape):
    """chain.yaml: a deployment."""

    ebpfnf: Literal[1]
    deployment: Kebab
    ports: Annotated[dict[Kebab, PortShape], Field(min_length=1)]
    vnfs: dict[Kebab, InstanceShape] = {}
    functions: dict[Kebab, FunctionShape] = {}
    chains: dict[Kebab, ChainShape] = {}
    expect: list[ExpectShape] = []
    granularity: Literal["auto", "mnf", "vnf", "chain"] = "chain"
    optimise: bool = True
    tables: Literal["auto", "kernel", "direct"] = "auto"
    flow_cache: Annotated[int, Field(ge=0, le=1 << 16)] = 0
    testbed: dict[Kebab, TestbedShape] = {}
    place: PlaceShape | None = None


class ParamShape(Shape):
    """A parameter of a VNF or mNF."""

    type: str
    default: Any = None
    doc: str = ""


class NodeShape(Shape):
    """An mNF in a template, or another template: `mnf:` or `vnf:`, and its parameters."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"oneOf": [{"required": ["mnf"]}, {"required": ["vnf"]}]})

    mnf: Snake | None = None
    vnf: Kebab | None = None
    when: Any = None  # spec/when.py


class VnfFile(Shape):
    """vnf.yaml: a template."""

    vnf: Kebab
    summary: Line
    params: dict[Snake, ParamShape] = {}
    mnfs: Annotated[dict[Snake, NodeShape], Field(min_length=1)]
    links: list[Any] | None = None  # spec/links.py
    entry: Annotated[Any, WithJsonSchema(OneOrMany)] = None


class OutcomeShape(Shape):
    """An outcome of TO(): what happens where no link takes it; "" demands a link."""

    default: Literal["NEXT", "DROP", "PASS", ""]


class TableShape(Shape):
    """A table that an mNF owns."""

    table: Literal["exact", "prefix", "acl", "connections", "counter", "histogram", "consistent_hash", "automaton"]
    key: Annotated[Any, WithJsonSchema({"anyOf": [*OneOrMany["anyOf"], {"type": "array", "items": {"type": "string"}}]})] = None
    value: Annotated[Any, WithJsonSchema(OneOrMany)] = None
    size: int | None = None
    filled_by: Literal["operator", "packets"] | None = None
    entries: Snake | None = None
    scope: Literal["cpu", "host"] | None = None
    when_full: Literal["evict", "refuse"] | None = None
    keep: bool = False
    buckets: list[int] | None = None


class ReadsWhenShape(Shape):
    """What is read in one direction only."""

    forward: list[str] = []
    reverse: list[str] = []


class MnfFile(Shape):
    """mnf.yaml: a manifest."""

    mnf: Snake
    summary: Line
    reads: list[str] = []
    reads_when: ReadsWhenShape = ReadsWhenShape()
    writes: list[str] = []
    writes_always: list[str] = []
    verdicts: Annotated[list[Literal["NEXT", "DROP", "PASS", "TX", "REDIRECT"]], Field(min_length=1)]
    outcomes: dict[Snake, OutcomeShape] = {}
    params: dict[Snake, ParamShape] = {}
    state: dict[Snake, TableShape] = {}
    reasons: dict[Snake, Line] = {}
    metadata: dict[Snake, str] = {}
    scratch: dict[Snake, str] = {}
    runs_in: Literal["xdp", "unikernel"] = "xdp"
    counters: dict[Snake, Line] = {}  # these two of unikernels only: vm/manifest.py reads them
    image: Any = None


def schema() -> dict[str, Any]:
    """JSON Schemas of the three files, by file name, for editors."""
    models = (("chain.yaml", ChainFile), ("vnf.yaml", VnfFile), ("mnf.yaml", MnfFile))
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    found = {name: {**head, **model.model_json_schema()} for name, model in models}
    chain, vnf = found["chain.yaml"], found["vnf.yaml"]
    chain["$defs"]["Path"], vnf["$defs"]["When"] = _PATH, _WHEN
    chain["$defs"]["ChainShape"]["properties"]["path"] = {"$ref": "#/$defs/Path"}
    vnf["$defs"]["NodeShape"]["properties"]["when"] = {"$ref": "#/$defs/When"}
    vnf["properties"]["links"] = {"type": "array", "items": _LINK}
    return found
