"""The records of a report, which are the fields of its JSON format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

if TYPE_CHECKING:
    from multiarch.display.advice import Advice
    from multiarch.display.summary import Summary

# version of the JSON format; its fields do not change while it stays
VERSION = 1


class ReportedVertex(Struct, frozen=True):
    """A vertex as BuildKit described it last (`multiarch.buildkit.status.Vertex`).

    :ivar platform: the platform that it runs on; empty where that is unknown.
    :ivar target: the platform that it is for; empty when it is for all platforms of its solve.
    :ivar started: seconds since the epoch; None when it never began.
    :ivar completed: seconds since the epoch; None when it did not end.
    :ivar emulated: whether it ran programs of another architecture than the builder's.
    """

    platform: str
    target: str
    name: str
    instruction: str
    number: int
    total: int
    started: float | None
    completed: float | None
    cached: bool
    emulated: bool
    error: str
    log: tuple[str, ...]


class ReportedBase(Struct, frozen=True):
    """What a platform of a solve is built on.

    :ivar platform: that of the image that is built.
    :ivar context: what the Dockerfile calls the base.
    :ivar target: the base's name in the project.
    :ivar base_platform: that of the base's image; a base of one platform serves all.
    """

    platform: str
    context: str
    target: str
    base_platform: str


class ReportedSolve(Struct, frozen=True):
    """An attempt at a solve.

    :ivar platforms: each behind the name of its target, if it has one.
    :ivar retries: number of earlier attempts for the same platforms.
    :ivar steps: its vertices; the name is that of the JSON format.
    :ivar target: the name of its target; empty where the project has none.
    :ivar built_on: one for each platform and each base; the platforms waited for them.
    :ivar builder: the name of the builder elsewhere; empty where it ran on the local one.
    """

    platforms: tuple[str, ...]
    retries: int
    steps: tuple[ReportedVertex, ...]
    target: str = ""
    built_on: tuple[ReportedBase, ...] = ()
    builder: str = ""


class ReportedTarget(Struct, frozen=True):
    """A target of the project.

    :ivar images: its repositories.
    :ivar tags: those that move, as the report's; none for one that is only built for others.
    """

    name: str
    images: tuple[str, ...]
    tags: tuple[str, ...]


class ReportedTrend(Struct, frozen=True):
    """How long a platform took in the last releases from this machine, this run included where it was one.

    :ivar platform: behind the name of its target, if it has one.
    :ivar seconds: the last one at the end; from the start of its first vertex to the end of its last.
    """

    platform: str
    seconds: tuple[float, ...]


class Report(Struct, frozen=True):
    """A run of ``release`` or ``build-arch``.

    :ivar started: seconds since the epoch.
    :ivar finished: seconds since the epoch.
    :ivar outcome: ``published``, ``built``, or the text of the error.
    :ivar images: those of all targets together, as *tags* are.
    :ivar targets: none where the project is one image.
    :ivar trends: none where nothing is known of former releases.
    """

    task: str
    images: tuple[str, ...]
    tags: tuple[str, ...]
    started: float
    finished: float
    succeeded: bool
    outcome: str
    platforms: tuple[Summary, ...]
    advice: tuple[Advice, ...]
    solves: tuple[ReportedSolve, ...]
    targets: tuple[ReportedTarget, ...] = ()
    trends: tuple[ReportedTrend, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Return the report as plain data, for JSON."""
        rows = [{**to_builtins(row), "platform": str(row.platform)} for row in self.platforms]
        return {"version": VERSION, **to_builtins(self), "platforms": rows}
