"""The report of a run, as a page to look at (``--report FILE.html``) or as data (``FILE.json``).

It is made of what the solves told, so that it can be written however the run ended.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.buildkit.schedule import is_emulated
from multiarch.display.summary import built_for, runs_on
from multiarch.errors import ConfigurationError
from multiarch.image.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.buildkit.solve import Solve
    from multiarch.buildkit.status import Vertex
    from multiarch.config.settings import MatrixEntry, Settings
    from multiarch.display.progress import Summary

# Of the JSON: a reader may rely on the fields as long as it stays.
VERSION = 1
_SUFFIXES = (".html", ".json")
_ADVISED = 3
# What is as well done by programs of the builder's own architecture, as far as its name tells.
_COMPILES = re.compile(
    r"(?<![\w./-])(go (build|install|test|generate|mod)|cargo|rustc|c?make|ninja|meson|gcc|g\+\+|cc|c\+\+|clang(\+\+)?|"
    r"\./configure|npm|npx|yarn|pnpm|pip3?|poetry|uv|mvn|gradle|dotnet|bundle|composer|mix|cabal|stack|zig)(?![\w.-])"
)


@dataclass(frozen=True)
class ReportedVertex:
    """A vertex as BuildKit told of it (`multiarch.buildkit.status.Vertex`).

    :ivar platform: what it runs on, *target* what it is for; empty when it is for all platforms of its solve.
    :ivar started: seconds since the epoch, as *completed*; None when it did not come to that.
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


@dataclass(frozen=True)
class ReportedSolve:
    """One attempt. :ivar retries: how many went before it, of the same platforms."""

    platforms: tuple[str, ...]
    retries: int
    steps: tuple[ReportedVertex, ...]


@dataclass(frozen=True)
class Advice:
    """One of the slowest emulated vertices, and what can be done. :ivar share: of the whole run's time, 0 to 1."""

    platform: str
    name: str
    instruction: str
    seconds: float
    share: float
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """A run of ``release`` or ``build-arch``.

    :ivar started: seconds since the epoch, as *finished*.
    :ivar outcome: what was achieved, or the text of the error.
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

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        rows = [{**asdict(row), "platform": str(row.platform)} for row in self.platforms]
        return {"version": VERSION, **asdict(self), "platforms": rows}


def report_of(
    settings: Settings,
    solves: Sequence[Solve],
    platforms: Sequence[Summary],
    machine: str,
    *,
    task: str,
    started: float,
    finished: float,
    error: str = "",
) -> Report:
    """Make the report of a run that is over.

    :param machine: what the local builder's kernel calls itself (``uname -m``).
    :param error: why it failed; empty when it did not.
    """
    reported = tuple(_solve(solve, solves[:index], settings.matrix, machine) for index, solve in enumerate(solves))
    staged = [target.staging.tag for target in settings.matrix]
    is_release = task == "release"
    return Report(
        task=task,
        images=tuple(map(str, settings.publish.images if is_release else settings.publish.images[:1])),
        tags=settings.publish.tags if is_release else tuple(staged),
        started=started,
        finished=finished,
        succeeded=not error,
        outcome=error or ("published" if is_release else "built"),
        platforms=tuple(platforms),
        advice=_advice(reported, finished - started),
        solves=reported,
    )


def check_name(file: str) -> Path:
    """Return the path of a report. :raises ConfigurationError: it is to be neither a page nor data."""
    path = Path(file)
    if path.suffix not in _SUFFIXES:
        raise ConfigurationError("--report", f"{file!r} ends with none of {', '.join(_SUFFIXES)}")
    return path


def check_writable(path: Path) -> None:
    """See whether a report can be written, before there is one. :raises ConfigurationError: it cannot."""
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a directory")
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ConfigurationError("--report", f"cannot write to {path}: {error.strerror}") from None


def write(report: Report, path: Path) -> None:
    """Write the report, as its name wants it: all of it, or nothing. :raises OSError: it cannot be written."""
    data = report.as_data()
    text = page(data) if path.suffix == ".html" else json.dumps(data, indent=1) + "\n"
    whole = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        whole.write_text(text, encoding="utf-8")
        whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)


def page(data: dict[str, Any]) -> str:
    """Return the page around the data."""
    from importlib.resources import files

    # Nothing in a script element ends it but "</", and "<!--" may hide that: without "<" there is neither.
    embedded = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    template = files("multiarch.display").joinpath("report.html").read_text(encoding="utf-8")
    return template.replace("{{report}}", embedded)


def _solve(solve: Solve, before: Sequence[Solve], matrix: Sequence[MatrixEntry], machine: str) -> ReportedSolve:
    target = next(target for target in matrix if target.platform in solve.platforms)
    return ReportedSolve(
        platforms=tuple(map(str, solve.platforms)),
        retries=sum(earlier.platforms == solve.platforms for earlier in before),
        steps=tuple(_vertex(vertex, solve, target, machine) for vertex in solve.vertices),
    )


def _vertex(vertex: Vertex, solve: Solve, target: MatrixEntry, machine: str) -> ReportedVertex:
    platform = runs_on(vertex, solve.platforms)
    # What is shared by several parts of the graph may be begun again, and then was not ended since.
    is_over = vertex.started is not None and vertex.completed is not None and vertex.completed >= vertex.started
    return ReportedVertex(
        platform=platform,
        target=built_for(vertex, solve.platforms),
        name=vertex.name,
        instruction=vertex.instruction,
        number=vertex.number,
        total=vertex.total,
        started=vertex.started,
        completed=vertex.completed if is_over else None,
        cached=vertex.cached,
        emulated=vertex.instruction.startswith("RUN ") and _runs_emulated(platform, target, machine),
        error=vertex.error,
        log=tuple(vertex.output),
    )


def _runs_emulated(platform: str, target: MatrixEntry, machine: str) -> bool:
    """Tell whether the builder of a target has to emulate this platform."""
    try:
        return is_emulated(replace(target, platform=Platform.parse(platform)), machine)
    except ValueError:  # nobody said on which platform it runs
        return False


def _advice(solves: Sequence[ReportedSolve], total: float) -> tuple[Advice, ...]:
    """Return what to do about the slowest emulated vertices; of one that was retried, its slowest attempt counts."""
    slowest: dict[tuple[str, str], Advice] = {}
    for vertex in (vertex for solve in solves for vertex in solve.steps):
        if not vertex.emulated or vertex.cached or not vertex.started or not vertex.completed:
            continue
        seconds = vertex.completed - vertex.started
        known = slowest.get((vertex.target, vertex.name))
        if not known or known.seconds < seconds:
            share = min(seconds / total, 1.0) if total > 0 else 0.0
            texts = tuple(_texts(vertex))
            advice = Advice(vertex.platform, vertex.name, vertex.instruction, seconds, share, texts)
            slowest[vertex.target, vertex.name] = advice
    return tuple(sorted(slowest.values(), key=lambda advice: -advice.seconds)[:_ADVISED])


def _texts(vertex: ReportedVertex) -> list[str]:
    texts = []
    if _COMPILES.search(vertex.instruction):
        texts.append(
            "This looks like compiling: do it without an emulator, in a stage that begins with "
            "`FROM --platform=$BUILDPLATFORM`, cross-compile there for `$TARGETARCH` (declare it with ARG), "
            "and copy the result from that stage."
        )
    texts.append(
        f"Build {vertex.platform} on a machine of its own kind: give it a native builder, "
        "`builder: tcp://…` in the platform's entry under `platforms`."
    )
    return texts
