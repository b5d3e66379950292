"""The record of the releases that were made on this machine: one line of JSON for each target of each release.

It lies in the user's state directory. Others may have written to it, and several runs write to it at the same time: a
line is written at once, and one that is not as it should be is passed over.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec

from multiarch.display.reported import ReportedTrend
from multiarch.errors import MultiarchError
from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference
from multiarch.paths import open_file, replacing, state_directory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from multiarch.config.project import Project

MOST = 20  # releases that are shown
_LARGEST = 1 << 20  # bytes of the record; half of it is kept then. A release of three platforms takes 400
_LONGEST = 16 << 10  # bytes of a line: some thirty platforms and tags
_LATEST = 253402300799  # seconds; the last of the year 9999
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{7,64}|")  # or none


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release of one target.

    :ivar when: seconds since the epoch, when its tags had moved.
    :ivar seconds: how long the release took, with all of its targets.
    :ivar tags: its tags, in full.
    :ivar digest: of its index.
    :ivar commit: what it was built from; empty where that is not known.
    :ivar platforms: seconds from the start of the first vertex of each to the end of its last; 0 for one that was not
        built then.
    :ivar target: its name; empty where the project has none.
    """

    when: float
    seconds: float
    tags: tuple[str, ...]
    digest: str
    commit: str
    platforms: dict[str, float]
    target: str = ""


def record_file() -> Path:
    """Return the path of the record."""
    return state_directory() / "releases.jsonl"


def append(releases: Iterable[Release]) -> None:
    """Add releases to the record. :raises OSError: it cannot be written, or is no file."""
    lines = [msgspec.json.encode(release) + b"\n" for release in releases]
    path = record_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = open_file(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            lines.insert(0, b"\n")  # behind one that a full disk has cut in two
        # At once and at the end (open(2), O_APPEND): lines of two runs do not mix.
        os.write(descriptor, b"".join(line for line in lines if len(line) <= _LONGEST))
        is_full = os.fstat(descriptor).st_size > _LARGEST
    finally:
        os.close(descriptor)
    if is_full:
        kept = _tail(path, _LARGEST // 2)
        with replacing(path, mode=0o600) as file:
            file.write(kept)


def read() -> list[Release]:
    """Return the releases that the record has, the oldest first; none where there is no record that can be read."""
    try:
        lines = _tail(record_file(), 2 * _LARGEST).splitlines()
    except (OSError, MultiarchError):  # a user without a home has none
        return []
    return [release for line in lines if (release := _release(line))]


def trends_of(project: Project) -> tuple[ReportedTrend, ...]:
    """Return how long each platform took in the last releases of the tags that a project publishes.

    One that was built once has no trend.
    """
    releases = read()
    trends = []
    for entry in project.matrix:
        tags = set(map(str, project.target(entry.target).settings.publish.references))
        times = [
            release.platforms.get(str(entry.platform), 0.0)
            for release in releases
            if release.target == entry.target and not tags.isdisjoint(release.tags)
        ]
        if len(last := [seconds for seconds in times if seconds > 0][-MOST:]) > 1:
            trends.append(ReportedTrend(str(entry.leg), tuple(last)))
    return tuple(trends)


def _release(line: bytes) -> Release | None:
    """Return the release of a line; None where it is none."""
    if len(line) > _LONGEST:
        return None
    try:
        release = msgspec.json.decode(line, type=Release)
        references = [ImageReference.parse(tag) for tag in release.tags]
        platforms = [str(Platform.parse(name)) for name in release.platforms]
    except (ValueError, RecursionError):  # of msgspec too
        return None
    times = [release.when, release.seconds, *release.platforms.values()]
    is_valid = (
        all(0 <= seconds <= _LATEST for seconds in times)
        and _DIGEST.fullmatch(release.digest)
        and COMMIT.fullmatch(release.commit)
        and [str(reference) for reference in references] == list(release.tags)
        and platforms == list(release.platforms)
        and release.target.isprintable()
    )
    return release if is_valid else None


def _tail(path: Path, most: int) -> bytes:
    """Return the last whole lines of a file. :raises OSError: it cannot be read, or is no file."""
    descriptor = open_file(path, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        file.seek(max(0, size - most))
        content = file.read(most)
    return content.partition(b"\n")[2] if size > most else content
