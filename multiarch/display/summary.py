"""The result of each platform, and the table of them at the end of a run."""

from __future__ import annotations

from itertools import accumulate, groupby, islice
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.buildkit.schedule import is_emulated
from multiarch.display.vertices import built_for
from multiarch.formatting import columns, duration, size
from multiarch.image.suitability import Findings

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

    from multiarch.buildkit.solve import Solve
    from multiarch.buildkit.status import Vertex
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.platform import Leg, Platform

# characters of a digest in the table; of a shorter one little more than "sha256:" would be left
_LEAST_DIGEST = 8
_SHORT_DIGEST = 20  # characters; enough to tell images apart: Docker shows twelve of the digits


class Summary(Struct, frozen=True):
    """The result of a platform: a row of the table, and of a report's ``platforms``, which has the same field names.

    :ivar target: the name of its target; empty where the project has none.
    :ivar digest: digest of its image; empty when there is none, as *size* is 0.
    :ivar size: bytes of its image, compressed.
    :ivar seconds: from the start of its first vertex to the end of its last.
    :ivar steps: number of its instructions.
    :ivar cached: number of its instructions that BuildKit did not run.
    :ivar emulated: whether its programs ran under an emulator.
    :ivar builder: the name of the builder elsewhere that built it; empty where the local one did.
    :ivar lost: the names of builders that were lost while they built it.
    :ivar unchecked: number of the gates' notes on what its image starts.
    :ivar foreign: programs in its image that are for another platform on purpose.
    :ivar taken: whether it was not built, but taken from its staging tag.
    """

    platform: Platform
    digest: str
    size: int
    seconds: float
    steps: int
    cached: int
    emulated: bool
    unchecked: int = 0
    foreign: tuple[str, ...] = ()
    target: str = ""
    builder: str = ""
    lost: tuple[str, ...] = ()
    taken: bool = False

    @property
    def built(self) -> str:
        """How and where it was built: ``natively on arm-2; arm-1 was lost``."""
        if self.taken:
            return "taken from the staging tag"
        how = "emulated" if self.emulated else "natively"
        place = f" on {self.builder}" if self.builder else ""
        return "; ".join([f"{how}{place}", *(f"{name} was lost" for name in self.lost)])


def summarise(
    matrix: Sequence[MatrixEntry],
    solves: Sequence[Solve],
    images: Mapping[Leg, tuple[str, int]],
    machine: str,
    findings: Mapping[Leg, Findings] | None = None,
    taken: Container[Leg] = (),
) -> tuple[Summary, ...]:
    """Return the result of each platform of the matrix, in its order.

    :param solves: all attempts; the time spans them all, the instructions are those of the last.
    :param images: digest and size of the image of each leg, where there is one.
    :param findings: what the gates found of the programs of each image, where they were passed.
    :param taken: legs that were not built.
    :param machine: what the local builder's kernel calls itself (``uname -m``).
    """
    of_leg: dict[Leg, list[Solve]] = {}
    for solve in solves:
        for leg in solve.legs:
            of_leg.setdefault(leg, []).append(solve)
    rows = []
    for entry in matrix:
        platform, own = entry.platform, of_leg.get(entry.leg, [])
        attempts = [
            [vertex for vertex in solve.vertices if built_for(vertex, solve.legs) == str(platform)] for solve in own
        ]
        seconds = _seconds(vertex for vertices in attempts for vertex in vertices)
        instructions = [vertex for vertex in attempts[-1] if vertex.number] if attempts else []
        cached = sum(vertex.cached for vertex in instructions)
        digest, bytes_ = images.get(entry.leg, ("", 0))
        found = (findings or {}).get(entry.leg, Findings())
        builder = own[-1].builder if own else None
        is_elsewhere = builder is not None and builder.name
        emulated = builder.emulates(platform) if builder and is_elsewhere else is_emulated(entry, machine)
        counts = len(instructions), cached, emulated, len(found.notes)
        lost = tuple(dict.fromkeys(solve.builder.name for solve in own if solve.is_lost and solve.builder))
        place = builder.name if builder else ""
        where = entry.target, place, lost, entry.leg in taken
        rows.append(Summary(platform, digest, bytes_, seconds, *counts, found.foreign, *where))
    return tuple(rows)


def _seconds(vertices: Iterable[Vertex]) -> float:
    """Return the seconds from the first start to the last end of vertices that have ended."""
    times = [(vertex.started, vertex.completed) for vertex in vertices if vertex.started and vertex.completed]
    return max(end for _, end in times) - min(start for start, _ in times) if times else 0.0


class _Column(Struct, frozen=True):
    """A column of the table.

    :ivar cell: its text for a row.
    """

    head: str
    cell: Callable[[Summary], str]


_TARGET = _Column("TARGET", lambda row: row.target)
_PLATFORM = _Column("PLATFORM", lambda row: str(row.platform))
_INDENTED = _Column("  PLATFORM", lambda row: f"  {row.platform}")
_RESULTS = (
    _Column("SIZE", lambda row: size(row.size) if row.size != 0 else ""),
    _Column("TIME", lambda row: "" if row.taken else duration(row.seconds)),
    _Column("CACHED", lambda row: "" if row.taken else f"{row.cached} of {row.steps}"),
    _Column("BUILT", lambda row: row.built),
)
_HOW = ("TIME", "CACHED", "BUILT")
# Most images have nothing to be shown in this column.
_FINDINGS = _Column(
    "NOT CHECKED", lambda row: ", ".join([str(row.unchecked), *(f"foreign {path}" for path in row.foreign)])
)


def summary_lines(rows: Sequence[Summary], width: int | None = None) -> list[str]:
    """Return the table as lines, its head first; each target is named once.

    :param width: columns that there is room for, to which digests are cut; None where there is room for all.
    """
    results = _results(rows)
    if not any(row.target for row in rows):
        return columns(_cells(rows, (_PLATFORM,), results, width, _LEAST_DIGEST))
    of_targets = [tuple(members) for _, members in groupby(rows, key=lambda row: row.target)]
    beside = _cells(rows, (_TARGET, _PLATFORM), results, width, _SHORT_DIGEST)
    firsts = set(accumulate(map(len, of_targets), initial=1))
    lines = columns([line if index in (0, *firsts) else ("", *line[1:]) for index, line in enumerate(beside)])
    if width is None or max(map(len, lines)) <= width:
        return lines
    # Where names and figures have no room on one line, each name has one of its own.
    head, *lines = columns(_cells(rows, (_INDENTED,), results, width, _LEAST_DIGEST))
    rest = iter(lines)
    return [head, *(line for members in of_targets for line in (members[0].target, *islice(rest, len(members))))]


def summary_cells(rows: Sequence[Summary], unbuilt: Container[Summary] = ()) -> list[tuple[str, ...]]:
    """Return the table as cells, its head first.

    :param unbuilt: rows of images that were there already: nothing is said of how they were built.
    """
    names = (_TARGET, _PLATFORM) if any(row.target for row in rows) else (_PLATFORM,)
    head, *lines = _cells(rows, names, _results(rows), None, _LEAST_DIGEST)
    shown = [
        tuple("" if row in unbuilt and name in _HOW else cell for name, cell in zip(head, cells, strict=True))
        for row, cells in zip(rows, lines, strict=True)
    ]
    return [head, *shown]


def _results(rows: Sequence[Summary]) -> tuple[_Column, ...]:
    return (*_RESULTS, _FINDINGS) if any(row.unchecked or row.foreign for row in rows) else _RESULTS


def _cells(
    rows: Sequence[Summary], names: Sequence[_Column], results: Sequence[_Column], width: int | None, least: int
) -> list[tuple[str, ...]]:
    """Return the cells of the table, its head first.

    :param width: as in `summary_lines`.
    :param least: characters of a digest that are shown in any case.
    """
    longest = max((len(row.digest) for row in rows), default=0)

    def cells(characters: int) -> list[tuple[str, ...]]:
        digest = _Column("DIGEST", lambda row: _shortened(row.digest, characters))
        every = (*names, digest, *results)
        return [tuple(one.head for one in every), *(tuple(one.cell(row) for one in every) for row in rows)]

    excess = max(map(len, columns(cells(longest)))) - width if width is not None else 0
    return cells(longest) if excess <= 0 else cells(max(longest - excess, least))


def _shortened(digest: str, length: int) -> str:
    """Return a digest of at most *length* characters, with an ellipsis where it is longer."""
    return digest if len(digest) <= length else f"{digest[: length - 1]}…"
