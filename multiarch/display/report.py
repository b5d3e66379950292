"""The report of a run, as a page to look at (``--report FILE.html``) or as data (``FILE.json``).

It is made from the vertices of all solves, so it can be written however the run ended.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from multiarch.buildkit.schedule import is_emulated
from multiarch.display.advice import advice_on
from multiarch.display.bounded_log import bounded_log, shortened
from multiarch.display.reported import Report, ReportedBase, ReportedSolve, ReportedTarget, ReportedVertex
from multiarch.display.vertices import built_for, runs_on
from multiarch.errors import ConfigurationError
from multiarch.formatting import clean
from multiarch.image.platform import Platform
from multiarch.paths import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multiarch.buildkit.solve import Solve
    from multiarch.buildkit.status import Vertex
    from multiarch.config.project import Project, Target
    from multiarch.config.settings import MatrixEntry
    from multiarch.display.summary import Summary
    from multiarch.image.platform import Leg

_SUFFIXES = (".html", ".json")
# characters of a name or an error
_LONGEST_TEXT = 20_000
# characters of the output of all vertices; a page of more takes a browser long to open
_ALL_OUTPUT = 32_000_000


def report_of(
    project: Project,
    solves: Sequence[Solve],
    platforms: Sequence[Summary],
    machine: str,
    *,
    task: str,
    started: float,
    finished: float,
    error: str = "",
) -> Report:
    """Return the report of a run that is over.

    :param machine: what the local builder's kernel calls itself (``uname -m``).
    :param started: seconds since the epoch.
    :param finished: seconds since the epoch.
    :param error: why it failed; empty when it succeeded.
    """
    # Each vertex has its share, so that none hides what others wrote.
    room = _ALL_OUTPUT // max(sum(bool(vertex.output) for s in solves for vertex in s.vertices), 1)
    reported = tuple(_solves(solves, project, machine, room))
    is_release = task == "release"
    targets = [_target(target, is_release=is_release) for target in project]
    own = [one for one, target in zip(targets, project, strict=True) if target.is_asked_for]
    return Report(
        task=task,
        images=tuple(dict.fromkeys(image for target in own for image in target.images)),
        tags=tuple(dict.fromkeys(tag for target in own for tag in target.tags)),
        started=started,
        finished=finished,
        succeeded=not error,
        outcome=shortened(error, _LONGEST_TEXT) or ("published" if is_release else "built"),
        platforms=tuple(platforms),
        advice=advice_on(reported, finished - started),
        solves=reported,
        targets=tuple(target for target in targets if target.name),
    )


def check_name(file: str) -> Path:
    """Return the path of a report. :raises ConfigurationError: its suffix is neither a page's nor data's."""
    path = Path(file)
    if path.suffix not in _SUFFIXES:
        raise ConfigurationError("--report", f"{file!r} ends with none of {', '.join(_SUFFIXES)}")
    return path


def check_writable(path: Path) -> None:
    """Check that a report can be written, and make its directory. :raises ConfigurationError: it cannot."""
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
    with replacing(path) as file:
        file.write(text.encode())


def page(data: dict[str, Any]) -> str:
    """Return the page that shows the data, all its texts clean."""
    from importlib.resources import files

    # Only "</" ends a script element, and "<!--" may hide that (HTML, "Restrictions for contents of script elements").
    embedded = json.dumps(_clean(data), separators=(",", ":")).replace("<", "\\u003c")
    template = files("multiarch.display").joinpath("report.html").read_text(encoding="utf-8")
    return template.replace("{{report}}", embedded)


def _clean(value: Any) -> Any:
    """Return a value of JSON in which each line of each text is clean."""
    if isinstance(value, str):
        return value if value.isprintable() else "\n".join(clean(line, len(line)) for line in value.split("\n"))
    if isinstance(value, dict):
        return {key: _clean(member) for key, member in value.items()}
    return [_clean(member) for member in value] if isinstance(value, list | tuple) else value


def _target(target: Target, *, is_release: bool) -> ReportedTarget:
    """Return a target with what is published of it: by a release its tags, else its staging tags."""
    publish = target.settings.publish
    images = tuple(dict.fromkeys(map(str, publish.images if is_release else publish.images[:1])))
    tags = publish.tags if is_release else [entry.staging.tag for entry in target.settings.matrix]
    return ReportedTarget(target.name, images, tuple(dict.fromkeys(tags)) if target.is_asked_for else ())


def _solves(solves: Sequence[Solve], project: Project, machine: str, room: int) -> Iterator[ReportedSolve]:
    """Yield the attempts. *room* is that of the output of each vertex, in characters."""
    entries = {entry.leg: entry for entry in project.matrix}
    attempts: Counter[tuple[Leg, ...]] = Counter()
    for solve in solves:
        target = project.target(solve.legs[0].target)
        yield ReportedSolve(
            platforms=tuple(map(str, solve.legs)),
            retries=attempts[solve.legs],
            steps=tuple(_vertex(vertex, solve, entries[solve.legs[0]], machine, room) for vertex in solve.vertices),
            target=target.name,
            built_on=tuple(
                ReportedBase(str(leg.platform), context, name, str(target.base_platform(base, leg.platform)))
                for context, name in target.bases.items()
                for base in (project.target(name),)
                for leg in solve.legs
            ),
            builder=solve.builder.name if solve.builder else "",
        )
        attempts[solve.legs] += 1


def _vertex(vertex: Vertex, solve: Solve, entry: MatrixEntry, machine: str, room: int) -> ReportedVertex:
    platform = runs_on(vertex, solve.legs)
    # BuildKit restarts shared vertices; `completed` may be older than `started`.
    is_over = vertex.started is not None and vertex.completed is not None and vertex.completed >= vertex.started
    return ReportedVertex(
        platform=platform,
        target=built_for(vertex, solve.legs),
        name=shortened(vertex.name, _LONGEST_TEXT),
        instruction=shortened(vertex.instruction, _LONGEST_TEXT),
        number=vertex.number,
        total=vertex.total,
        started=vertex.started,
        completed=vertex.completed if is_over else None,
        cached=vertex.cached,
        emulated=vertex.instruction.startswith("RUN ") and _runs_emulated(platform, solve, entry, machine),
        error=shortened(vertex.error, _LONGEST_TEXT),
        log=bounded_log(vertex.output, room),
    )


def _runs_emulated(platform: str, solve: Solve, entry: MatrixEntry, machine: str) -> bool:
    """Return whether the builder of a solve emulates the programs of *platform*."""
    try:
        if solve.builder is not None and solve.builder.name:
            return solve.builder.emulates(Platform.parse(platform))
        return is_emulated(replace(entry, platform=Platform.parse(platform)), machine)
    except ValueError:  # it is unknown on which platform they run
        return False
