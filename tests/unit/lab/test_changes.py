"""What the lab changes elsewhere, and takes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab import changes
from lab.changes import Changes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of the test's own."""
    monkeypatch.setattr(changes, "FILE", tmp_path / "changes")


def test_directory_that_was_made_is_removed_with_those_above_it(tmp_path: Path) -> None:
    """As far as they are empty: what somebody else has put there stays."""
    (tmp_path / "there").mkdir()
    for name in ("there/a/b", "there/c/d"):
        Changes().directory(tmp_path / name)
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "there/c/somebody").touch()
    Changes().undo()
    assert ["c", "c/somebody"] == sorted(
        str(path.relative_to(tmp_path / "there")) for path in tmp_path.glob("there/**/*")
    )


def test_directory_that_was_there_before_stays(tmp_path: Path) -> None:
    """It is the machine's own, empty or not."""
    (tmp_path / "there").mkdir()
    Changes().directory(tmp_path / "there")
    Changes().undo()
    assert (tmp_path / "there").is_dir()
