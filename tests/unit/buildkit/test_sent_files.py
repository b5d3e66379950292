"""Digests of the directories that are sent to BuildKit."""

from __future__ import annotations

import errno
import os
import threading
import time
from typing import TYPE_CHECKING, NoReturn

import pytest

from multiarch.buildkit import sent_files
from multiarch.buildkit.sent_files import (
    SentFiles,
    UnreadableFileError,
    digest_of_directory,
    digest_of_file,
    ignore_file,
)

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


def aged(path: Path, text: str, seconds: float = 60.0) -> None:
    """Write a file that was last written to a while ago, as far as its own times tell."""
    path.write_text(text)
    os.utime(path, (time.time() - seconds,) * 2)


def test_file_is_read_again_only_where_its_status_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read before and after a build is read once; one that was written to meanwhile is noticed."""
    read: list[str] = []

    def digest_of_file(path: Path) -> str:
        read.append(path.name)
        return path.read_text()

    monkeypatch.setattr(sent_files, "digest_of_file", digest_of_file)
    monkeypatch.setattr(sent_files, "_SETTLED", 0)
    aged(tmp_path / "a", "1")
    aged(tmp_path / "b", "1")
    before = SentFiles()
    first = before.directory(tmp_path, None)
    assert (["a", "b"], first) == (read, before.directory(tmp_path, None))
    assert (first, ["a", "b"]) == (SentFiles(before).directory(tmp_path, None), read)
    aged(tmp_path / "b", "2")
    assert first != SentFiles(before).directory(tmp_path, None)
    assert ["a", "b", "b"] == read


def test_file_that_was_just_written_is_read_each_time(tmp_path: Path) -> None:
    """Its times are too coarse to tell a write that follows at once."""
    path = tmp_path / "a"
    path.write_text("1")
    status = path.stat()
    before = SentFiles()
    first = before.file(path)
    path.write_text("2")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert first != SentFiles(before).file(path)


def test_what_was_read_of_a_file_just_written_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next time it may have been written to once more, with the same times."""
    read: list[str] = []

    def digest_of_file(path: Path) -> str:
        read.append(path.name)
        return "digest"

    monkeypatch.setattr(sent_files, "digest_of_file", digest_of_file)
    (tmp_path / "a").write_text("1")
    before = SentFiles()
    before.file(tmp_path / "a")
    monkeypatch.setattr(sent_files, "_SETTLED", 0)
    for _ in range(2):
        SentFiles(before).file(tmp_path / "a")
    assert ["a", "a"] == read


def test_bounds_hold_for_what_is_read_later_too(tmp_path: Path) -> None:
    """A build may have filled the directory meanwhile."""
    before = SentFiles(most_names=2, most_bytes=2)
    before.directory(tmp_path, None)
    (tmp_path / "a").write_bytes(b"123")
    with pytest.raises(UnreadableFileError, match="more is sent than is read"):
        SentFiles(before).directory(tmp_path, None)


def test_no_more_names_are_listed_than_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory may have millions of them, all left out."""
    for number in range(50):
        (tmp_path / str(number)).touch()
    seen: list[str] = []

    def fsencode(name: str) -> bytes:
        seen.append(name)
        return name.encode()

    monkeypatch.setattr(os, "fsencode", fsencode)
    with pytest.raises(UnreadableFileError, match="more is sent than is read"):
        SentFiles(most_names=9).directory(tmp_path, None)
    assert 10 == len(seen)


def test_file_system_without_extended_attributes_has_none(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read as one whose files have none; any other error is one."""
    plain = digest_of_directory(context)

    def refuse(number: int) -> None:
        def listxattr(*_: object, **__: object) -> NoReturn:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "listxattr", listxattr)

    refuse(errno.ENOTSUP)
    assert plain == digest_of_directory(context)
    refuse(errno.EIO)
    with pytest.raises(UnreadableFileError, match="Input/output error"):
        digest_of_directory(context)


def test_no_more_is_read_than_wanted(tmp_path: Path) -> None:
    """Of names, also of what is not sent, and of bytes."""
    (tmp_path / "a").write_bytes(b"12")
    (tmp_path / "b").write_bytes(b"3")
    assert 64 == len(SentFiles(most_names=2, most_bytes=3).directory(tmp_path, None)[0])
    for sent in (SentFiles(most_names=1), SentFiles(most_bytes=2)):
        with pytest.raises(UnreadableFileError) as raised:
            sent.directory(tmp_path, None)
        assert "more is sent than is read where nobody asks for it" == str(raised.value)


def test_reading_ends_when_the_run_is_stopped(tmp_path: Path) -> None:
    """A directory of gigabytes is not waited for."""
    (tmp_path / "a").touch()
    stopped = threading.Event()
    before = SentFiles(stopped=stopped)
    before.directory(tmp_path, None)
    stopped.set()
    with pytest.raises(UnreadableFileError, match="stopped"):
        SentFiles(before).directory(tmp_path, None)
