"""The page about several images shows the files of the examples, which the integration tests release."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from multiarch.config.project import load_project
from multiarch.pipelines.model import plan
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.pipelines.model import Pipeline

PAGE = (ROOT / "docs" / "several-images.md").read_text()
EXAMPLES = sorted((ROOT / "examples").iterdir())


def test_page_shows_the_files() -> None:
    """Byte for byte."""
    shown = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert [
        (ROOT / "examples" / name / "invoke.yaml").read_text() for name in ("app-and-worker", "versions-and-flavours")
    ] == shown


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_valid(example: Path) -> None:
    """With every Dockerfile where it is looked for."""
    block = YAML(typ="safe").load(example / "invoke.yaml")["multiarch"]
    project = load_project(block, {}, {}, directory=example)
    places = {example / entry.context.place for entry in project.matrix}
    assert [] == [place for place in places if not (place / "Dockerfile").is_file()]


def pipeline(name: str) -> Pipeline:
    """Return the jobs of an example on GitHub."""
    directory = ROOT / "examples" / name
    block = YAML(typ="safe").load(directory / "invoke.yaml")["multiarch"]
    return plan(load_project({**block, "install": "make"}, {}, {}, directory=directory), "github", program="invoke")


def test_page_names_the_jobs_of_the_examples() -> None:
    """And one of their commands, as it stands in the file."""
    pair, grid = pipeline("app-and-worker"), pipeline("versions-and-flavours")
    said = "these are `app+worker linux/amd64`, `app linux/arm64` and `manifest`"
    assert (["app+worker linux/amd64", "app linux/arm64"], True) == ([b.name for b in pair.builds], said in PAGE)
    assert (8, "tool-1.27-bookworm linux/amd64") == (len(grid.builds), grid.builds[0].name)
    assert f"    {pair.build(pair.builds[0].flags)}\n" in PAGE
