"""The build of images: small, the same bytes each time, and errors that say what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import spec
from ebpfnf.errors import SpecError, SpecErrors
from ebpfnf.vm import build, manifest

LIBRARIES = {"compress", "decompress"}


@pytest.mark.parametrize("name", [*build.names(), "sqli_stream+url_filter"])
def test_images_are_small(name: str) -> None:
    size = build.image(name).path.stat().st_size
    assert size <= (200 if name in LIBRARIES else 64) * 1024


def test_the_same_sources_make_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build.image("url_filter").digest
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "somewhere" / "else"))
    assert build.image("url_filter").digest == first


def test_what_works_on_a_stream_brings_what_makes_it() -> None:
    assert [mnf.name for mnf in build.mnfs("url_filter")] == ["tcp_reasm", "url_filter"]
    assert [mnf.name for mnf in build.mnfs("sqli_stream+url_filter")] == ["tcp_reasm", "sqli_stream", "url_filter"]


def test_names_that_make_no_image() -> None:
    with pytest.raises(SpecError, match="did you mean 'url_filter'"):
        build.mnfs("url_filtre")
    with pytest.raises(SpecError, match="twice"):
        build.mnfs("compress+compress")


@pytest.mark.parametrize("name", build.names())
def test_a_folder_is_whole(name: str) -> None:
    """A manifest, a README that names every parameter and reason, and cases."""
    folder = build.SOURCES / name
    mnf = manifest.read(folder)
    readme = (folder / "README.md").read_text()
    assert not [param.name for param in mnf.params if f"`{param.name}`" not in readme]
    assert not [reason for reason in mnf.reasons if f"`{reason}`" not in readme]
    assert (folder / "cases.yaml").is_file()


@pytest.mark.parametrize("name", build.names())
def test_reasons_are_numbered_alike_by_the_chain_and_by_the_guest(name: str) -> None:
    assert list(spec.load_mnf(build.SOURCES / name).reasons) == [reason for mnf in build.mnfs(name) for reason in mnf.reasons]


def test_a_manifest_is_checked(tmp_path: Path) -> None:
    folder = tmp_path / "thing"
    folder.mkdir()
    text = "mnf: thing\nsummary: A thing.\nruns_in: unikernel\nverdicts: [NEXT]\nparams:\n  x: {type: ip}\n"
    (folder / "mnf.yaml").write_text(text)
    with pytest.raises(SpecErrors, match=r"mnf.yaml:6:6: parameter 'x' \(wanted a type: u8"):
        manifest.read(folder)


def test_only_ascii_from_yaml_reaches_c() -> None:
    """Texts of people (summaries, docs, reasons in words) are not pasted; names have a checked form."""
    from ebpfnf.vm import generated

    for name in build.names():
        mnf = manifest.read(build.SOURCES / name)
        made = generated.header(mnf) + generated.source(mnf)
        assert made.isascii()
        assert mnf.summary not in made
        assert not any(text in made for text in [*mnf.reasons.values(), *mnf.counters.values()])
