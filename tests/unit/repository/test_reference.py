"""docs/reference/: what is written from the code is what the code is now."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from ruamel.yaml import YAML

from docs import error_reference, settings_reference
from docs.error_examples import INTERNAL, ROOMS, examples
from multiarch.config.project import load_project
from multiarch.config.schema import Block
from tests.unit.project import ROOT

# What some settings need beside them, to be taken.
BESIDE: dict[str, dict[str, Any]] = {
    "source": {"frontend": "gateway.v0"},
    "frontend": {"source": "docker/dockerfile:1"},
    "cache_image": {"cache": "registry"},
    "compression_level": {"compression": "zstd"},
    "targets": {"image": "docker.io/someone/{target}"},
    "groups": {"targets": {"app": {}}},
    "only_changed": {"attestations": ["provenance"]},
}
BLOCK = {"image": "docker.io/someone/app", "platforms": ["linux/amd64", "linux/arm64"]}


def test_settings_are_up_to_date() -> None:
    """They are what ``./invokew reference`` writes."""
    assert settings_reference.text() == settings_reference.FILE.read_text()


def test_errors_are_up_to_date() -> None:
    """They are what ``./invokew reference`` writes."""
    assert error_reference.text() == error_reference.FILE.read_text()


@pytest.mark.parametrize("name", [field.name for field in msgspec.structs.fields(Block)])
def test_every_setting_has_an_example_that_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the loader, as it is written on the page."""
    monkeypatch.chdir(ROOT)
    written = YAML(typ="safe").load(f"{name}: {settings_reference.EXAMPLES[name]}")
    environ = {"BUILD_NUMBER": "7", "API_TOKEN": "secret"}
    project = load_project({**BLOCK, **BESIDE.get(name, {}), **written}, environ, {})
    assert (True, True) == (len(project.matrix) > 0, f"\n## {name}\n" in settings_reference.FILE.read_text())


def test_every_error_is_on_the_page() -> None:
    """Each class that is raised has its words there; one that is new does not pass unseen."""
    names = {kind.__name__ for kind in error_reference.classes()}
    assert names == set(examples()) | INTERNAL
    modules = {kind.__module__ for kind in error_reference.classes() if kind.__name__ not in INTERNAL}
    assert modules == {module for room in ROOMS.values() for module in room}
    page = error_reference.FILE.read_text()
    assert [] == [name for name, error in examples().items() if str(error).splitlines()[0] not in page]


def test_errors_of_settings_are_read_from_the_code() -> None:
    """Some of different kinds: a constant, a text with a value in it, and one that is put together before."""
    page = error_reference.FILE.read_text()
    rows = (
        "| `--to` | `only goes with --rollback` |",
        "| `multiarch.builders.….address` | `… needs a host and a port: tcp://HOST:1234` |",
        "| `--rollback` | `does not go with …; do one after the other` |",
    )
    assert [] == [row for row in rows if row not in page]
    assert page.count("| `multiarch.") > 30
