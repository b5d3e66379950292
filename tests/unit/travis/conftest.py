"""Repository at the small Travis."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.travis.executor import Travis
from tests.unit.travis.builds import commit, git

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def travis(tmp_path: Path) -> Travis:
    """A repository with one commit, at Travis."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("one\n")
    (source / "sub").mkdir()
    (source / "sub" / "file").write_text("two\n")
    git(source, "init", "--quiet", "--initial-branch=main")
    commit(source, "First")
    return Travis(source, path=os.environ["PATH"])
