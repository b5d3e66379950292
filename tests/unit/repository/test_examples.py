"""The page about several images shows the files of the examples, which the integration tests release."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from multiarch.config.project import load_project
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from pathlib import Path

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
