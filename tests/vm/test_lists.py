"""Lines of text in chain.yaml: they reach the guest as they are, and what it refuses is an error at the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.errors import EbpfnfError, SpecErrors
from ebpfnf.model import Stage
from ebpfnf.vm import guest

SHELL = 'drop tcp any any -> any 80 (msg:"sh"; content:"/bin/sh"; sid:1;)'
CHAIN = """\
ebpfnf: 1
deployment: lists
ports: {{a: {{interface: eth0}}}}
vnfs:
  urls: {{vnf: url-filter, port: 8080, deny: ["/admin*", {url}]}}
  ids:
    vnf: intrusion-detection
    rules:
      - '{rule}'
      - '{second}'
chains:
  in: {{on: a, match: {{}}, path: [urls, ids], then: pass}}
"""


def stages(folder: Path, **words: str) -> dict[str, Stage]:
    file = folder / "chain.yaml"
    file.write_text(CHAIN.format(**{"url": "/x", "rule": SHELL, "second": SHELL.replace("sid:1", "sid:2"), **words}))
    return {stage.id: stage for stage in pipeline.expand(spec.load(file)).stages}


def test_lines_reach_the_guest(tmp_path: Path) -> None:
    found = stages(tmp_path, url='"*.example.org/a b%20"')
    urls = guest.machine(found["urls.urls"], 0).config.splitlines()
    assert [line for line in urls if ".deny" in line] == ["url_filter.deny /admin*", "url_filter.deny *.example.org/a b%20"]
    assert "tcp_reasm.port 8080" in urls, "what brings the streams is told by the same stage"
    assert f"ids_match.rules {SHELL}" in guest.machine(found["ids.match"], 1).config.splitlines()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"url": "7"}, "chain.yaml:5:57: deny '7' (wanted a line of text, at most 4096 bytes)"),
        ({"rule": SHELL.replace("sid:1;", "")}, 'chain.yaml:9:9: rules \'drop tcp any any -> any 80 (msg:"sh"; content:"/bin/sh"; )\': '),
        ({"second": SHELL.replace("drop", "reject")}, "chain.yaml:10:9: rules 'reject tcp"),
    ],
)
def test_a_wrong_line_is_an_error_at_its_place(tmp_path: Path, words: dict[str, str], error: str) -> None:
    with pytest.raises(EbpfnfError) as caught:
        found = stages(tmp_path, **words)
        for number, stage in enumerate(found.values()):
            guest.machine(stage, number)
    what = caught.value.errors[0] if isinstance(caught.value, SpecErrors) else caught.value
    assert error in str(what)


def test_text_is_for_vms(tmp_path: Path) -> None:
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "mnf.c").write_text("MNF(struct pkt *pkt)\n{\n\treturn NEXT;\n}\n")
    (tmp_path / "gate" / "mnf.yaml").write_text('mnf: gate\nsummary: s\nverdicts: [NEXT]\nparams:\n  deny: {type: "list[text]"}\n')
    with pytest.raises(SpecErrors, match=r"mnf.yaml:5:16: type 'list\[text\]' of an mNF in XDP \(an mNF in a VM can read text\)"):
        spec.load_mnf(tmp_path / "gate")
