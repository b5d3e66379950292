"""``log``: the last releases of the project's tags, by the registry and by the record of this machine."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import asdict

from multiarch.concurrency import each
from multiarch.config.checkout import REVISION
from multiarch.formatting import duration
from multiarch.publish.staged import read_platforms
from multiarch.registry.client import stop_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.config.project import Project
    from multiarch.display.history import Release
    from multiarch.image.reference import ImageReference
    from multiarch.run import Run

_VERSION = 1  # of the data; it counts up when a reader of the former one would misread it
_SHORT = 12  # characters of a commit, enough to find it
# What a registry says is shown where it has the form of its kind: a line has the parts that it seems to have.
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_PLATFORM = re.compile(r"[a-z0-9._-]{1,64}(?:/[a-z0-9._-]{1,64}){0,2}(?::[0-9a-f]{64})?")
_MALFORMED = "?"


class TagNow(Struct, frozen=True):
    """What a tag points to, by the registry.

    :ivar digest: empty where there is no such tag.
    :ivar commit: by its annotation; empty without one.
    """

    reference: str
    digest: str
    commit: str
    platforms: tuple[str, ...]


class Log(Struct, frozen=True):
    """The step with its options. :ivar as_json: whether the result is one line of JSON."""

    as_json: bool = False

    def run(self, run: Run) -> tuple[str, ...]:
        """Return lines: for each tag, what it points to now, and its last releases from this machine, the newest first.

        With ``--json`` it is one line, a JSON object.

        :raises MultiarchError: a registry does not answer, or a tag is no image.
        """
        from multiarch.display.history import MOST, read

        references = [one for target in run.project.asked_for for one in target.settings.publish.references]
        run.registries  # noqa: B018 (made once, before several threads want them)
        tags = each(lambda one: _now(run, one), references, on_failure=lambda: stop_all(run.registries.values()))
        known = read()
        histories = {tag: [one for one in reversed(known) if tag.reference in one.tags] for tag in tags}
        if self.as_json:
            rows = [
                {**asdict(tag), "releases": [_row(one) for one in releases[:MOST]]}
                for tag, releases in histories.items()
            ]
            return (json.dumps({"version": _VERSION, "tags": rows}),)
        return tuple(line for tag, releases in histories.items() for line in _lines(tag, releases))

    def commands(self, project: Project) -> list[list[str]]:
        """Return commands that show as much."""
        from multiarch.display.history import MOST, record_file

        references = [one for target in project.asked_for for one in target.settings.publish.references]
        inspect = [["docker", "buildx", "imagetools", "inspect", str(one)] for one in references]
        return [*inspect, ["tail", "-n", str(MOST), str(record_file())]]


def _now(run: Run, reference: ImageReference) -> TagNow:
    registry = run.registries[reference.registry]
    manifest = registry.manifest(reference.repository, reference.tag)
    if manifest is None:
        return TagNow(str(reference), "", "", ())
    platforms = read_platforms(manifest, reference.repository, registry)
    commit = manifest.annotations.get(REVISION, "")
    return TagNow(str(reference), manifest.digest, commit, tuple(map(str, platforms)))


def _lines(tag: TagNow, releases: Sequence[Release]) -> list[str]:
    """Return the line of a tag, and those of its last releases. :param releases: all of them, the newest first."""
    from multiarch.display.history import MOST

    commit = f", commit {tag.commit[:_SHORT]}" if _COMMIT.fullmatch(tag.commit) else ""
    platforms = ", ".join(one if _PLATFORM.fullmatch(one) else _MALFORMED for one in tag.platforms)
    now = f"@{tag.digest}{commit}: {platforms}" if tag.digest else ": nothing is there"
    foreign = bool(tag.digest) and tag.digest not in [one.digest for one in releases]
    lines = [f"{tag.reference}{now}{'; not released from here' if foreign else ''}"]
    return lines + [f"  {_line(one, is_now=one.digest == tag.digest)}" for one in releases[:MOST]]


def _line(one: Release, *, is_now: bool) -> str:
    when = datetime.fromtimestamp(one.when, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    # Of a platform that was not built then there is no time.
    times = ", ".join(f"{name} {duration(s)}" if s else name for name, s in one.platforms.items())
    commit = f"commit {one.commit[:_SHORT]}" if one.commit else "no commit"
    return f"{when} {one.digest} {commit} in {duration(one.seconds)}: {times}{' (now)' if is_now else ''}"


def _row(one: Release) -> dict[str, object]:
    return {
        "when": one.when,
        "seconds": one.seconds,
        "digest": one.digest,
        "commit": one.commit,
        "platforms": one.platforms,
    }
