"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from multiarch.paths import make_temporary_directory, replacing
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD, NEW = b"what was there", b"what comes"


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """A umask that is known, and gives others less than a file would have."""
    former = os.umask(0o027)
    yield
    os.umask(former)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is to be replaced, alone in its directory."""
    path = tmp_path / "directory" / "file"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


def names(path: Path) -> list[str]:
    """Return what is in the directory of a file."""
    return [entry.name for entry in path.parent.iterdir()]


def test_a_file_is_replaced_when_it_is_whole(path: Path) -> None:
    """A reader has the old one until then, and nothing but the new one is left."""
    with replacing(path) as file:
        file.write(NEW)
        assert OLD == path.read_bytes()
    assert (NEW, ["file"]) == (path.read_bytes(), names(path))


def test_a_file_that_is_not_there_is_made(path: Path) -> None:
    """It is there at the end, and not before."""
    path.unlink()
    with replacing(path) as file:
        assert not path.exists()
        file.write(NEW)
    assert NEW == path.read_bytes()


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()], ids=repr)
def test_a_failure_leaves_the_old_file(path: Path, error: BaseException) -> None:
    """And nothing beside it."""

    def write() -> None:
        with replacing(path) as file:
            file.write(NEW)
            raise error

    with pytest.raises(type(error)):
        write()
    assert (OLD, ["file"]) == (path.read_bytes(), names(path))


def test_a_file_that_cannot_take_the_place_is_removed(path: Path) -> None:
    """Where a directory has the name."""
    path.unlink()
    (path / "full").mkdir(parents=True)

    def write() -> None:
        with replacing(path) as file:
            file.write(NEW)

    with pytest.raises(OSError, match="directory"):
        write()
    assert ["file"] == names(path)


def test_a_directory_that_is_not_there_is_an_error(path: Path) -> None:
    """It names what could not be written, and is not made."""
    missing = path.parent / "missing" / "file"

    def write() -> None:
        with replacing(missing):
            pass

    with pytest.raises(FileNotFoundError):
        write()
    assert not missing.parent.exists()


@pytest.mark.parametrize(("mode", "expected"), [(None, 0o640), (0o755, 0o755), (0o600, 0o600)])
def test_permissions(path: Path, mode: int | None, expected: int) -> None:
    """They are set from the first byte on, so that nobody reads a private file meanwhile."""
    with replacing(path, mode=mode) as file:
        assert expected == stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    assert expected == stat.S_IMODE(path.stat().st_mode)


def test_a_link_is_replaced_and_not_followed(path: Path, tmp_path: Path) -> None:
    """What it leads to stays as it is."""
    target = tmp_path / "target"
    target.write_bytes(OLD)
    path.unlink()
    path.symlink_to(target)
    with replacing(path) as file:
        file.write(NEW)
    assert (OLD, NEW, False) == (target.read_bytes(), path.read_bytes(), path.is_symlink())


def test_many_write_the_same_file(path: Path) -> None:
    """Each has a file of its own meanwhile; the last to end wins."""
    with replacing(path) as one, replacing(path) as other:
        one.write(b"one")
        other.write(b"other")
        assert 3 == len(names(path))
    assert (b"one", ["file"]) == (path.read_bytes(), names(path))


HOLDING = """
from multiarch.paths import make_temporary_directory
directory = make_temporary_directory()
print(directory.name, flush=True)
input()
"""


def holding(place: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that has a temporary directory; return the directory too."""
    environ = {"TMPDIR": str(place), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", HOLDING]
    process = subprocess.Popen(words, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_temporary_directory_of_a_killed_run_is_removed_by_the_next(tmp_path: Path) -> None:
    """That of a run that goes on stays, and so does what a person has called alike; at its end a run removes its own.

    Images that are not pushed wait in them: after some kills a disk would be full.
    """
    persons = tmp_path / "multiarch-mine"
    persons.mkdir()
    (tmp_path / "multiarch-run-link").symlink_to(persons)
    killed, left = holding(tmp_path)
    (left / "index.json").write_text("{}")
    living, kept = holding(tmp_path)
    killed.kill()
    killed.communicate()
    assert [True, True] == [left.is_dir(), kept.is_dir()]

    following, own = holding(tmp_path)
    assert [False, True, True] == [left.exists(), kept.is_dir(), own.is_dir()]

    for process in (living, following):
        process.communicate("\n", timeout=20)
    assert ["multiarch-mine", "multiarch-run-link"] == sorted(os.listdir(tmp_path))


def test_directory_that_another_run_swept_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two somebody else may take it for one of a killed run."""
    made: list[str] = []

    class Swept(tempfile.TemporaryDirectory[str]):
        def __init__(self, prefix: str, *, ignore_cleanup_errors: bool) -> None:
            super().__init__(prefix=prefix, dir=str(tmp_path), ignore_cleanup_errors=ignore_cleanup_errors)
            if not made:
                os.rmdir(self.name)
            made.append(self.name)

    monkeypatch.setattr(tempfile, "TemporaryDirectory", Swept)
    with make_temporary_directory() as directory:
        assert made[1:] == [directory] == [str(path) for path in tmp_path.iterdir()]
