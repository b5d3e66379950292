"""Digests of the directories that are sent to BuildKit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from multiarch.buildkit.sent_files import UnreadableFileError, digest_of_directory, digest_of_file, ignore_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A context with a few files."""
    place = tmp_path / "context"
    (place / "src" / "empty").mkdir(parents=True)
    (place / "src" / "a.py").write_text("a")
    (place / "run").write_text("#!/bin/sh\n")
    (place / "link").symlink_to("src/a.py")
    return place


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda place: (place / "run").write_text("#!/bin/bash\n"),
    "name": lambda place: (place / "run").rename(place / "ran"),
    "permission": lambda place: (place / "run").chmod(0o755),
    "new file": lambda place: (place / "src" / "b.py").touch(),
    "new directory": lambda place: (place / "src" / "empty" / "more").mkdir(),
    "link in the place of a file": lambda place: (place / "link").rename(place / "run"),
    "extended attribute": lambda place: os.setxattr(place / "run", "user.multiarch", b"1"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_change_of_what_is_sent_is_another_digest(context: Path, change: Callable[[Path], object]) -> None:
    """Whatever git would say of it."""
    before = digest_of_directory(context)
    change(context)
    assert before != digest_of_directory(context)


def test_times_and_places_do_not_count(context: Path) -> None:
    """A directory that was renamed, or cloned later, is the same."""
    before = digest_of_directory(context)
    os.utime(context / "run", (1, 1))
    moved = context.rename(context.with_name("moved"))
    assert before == digest_of_directory(moved)


def test_what_is_left_out_does_not_count(context: Path) -> None:
    """But the case of names does, and exceptions are sent."""
    ignored = context / ".dockerignore"
    ignored.write_text("*.LOG\nsrc\n!src/a.py\n")
    before = digest_of_directory(context, ignored)
    (context / "src" / "b.py").write_text("b")
    assert before == digest_of_directory(context, ignored)
    (context / "a.log").write_text("a")
    with_log = digest_of_directory(context, ignored)
    (context / "src" / "a.py").write_text("b")
    assert 3 == len({before, with_log, digest_of_directory(context, ignored)})


def test_git_is_told_and_does_not_count(context: Path) -> None:
    """Unless it is left out: then it is not sent."""
    plain, _ = digest_of_directory(context)
    (context / ".git").mkdir()
    (context / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert (plain, True) == digest_of_directory(context)


def test_ignore_file_of_the_dockerfile_goes_first(context: Path) -> None:
    """As for docker build."""
    dockerfile = context / "Dockerfile"
    assert None is ignore_file(context, dockerfile)
    (context / ".dockerignore").touch()
    assert context / ".dockerignore" == ignore_file(context, dockerfile)
    (context / "Dockerfile.dockerignore").touch()
    assert context / "Dockerfile.dockerignore" == ignore_file(context, dockerfile)


def test_pipe_is_not_waited_for(context: Path) -> None:
    """Nor is a directory read as a file."""
    os.mkfifo(context / "pipe")
    for place, read in ((context, digest_of_directory), (context / "pipe", digest_of_file), (context, digest_of_file)):
        with pytest.raises(UnreadableFileError):
            read(place)
