"""The result of each platform, and the table of them at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from multiarch.buildkit.schedule import is_emulated
from multiarch.display.vertices import built_for
from multiarch.formatting import columns, duration, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.buildkit.solve import Solve
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.platform import Leg, Platform


@dataclass(frozen=True)
class Summary:
    """The result of a platform: a row of the table, and of a report's ``platforms``, which has the same field names.

    :ivar target: the name of its target; empty where the project has none.
    :ivar digest: digest of its image; empty when there is none, as *size* is 0.
    :ivar size: bytes of its image, compressed.
    :ivar seconds: from the start of its first vertex to the end of its last.
    :ivar steps: number of its instructions.
    :ivar cached: number of its instructions that BuildKit did not run.
    :ivar emulated: whether its programs ran under an emulator.
    """

    platform: Platform
    digest: str
    size: int
    seconds: float
    steps: int
    cached: int
    emulated: bool
    target: str = ""


def summarise(
    matrix: Sequence[MatrixEntry],
    solves: Sequence[Solve],
    images: Mapping[Leg, tuple[str, int]],
    machine: str,
) -> tuple[Summary, ...]:
    """Return the result of each platform of the matrix, in its order.

    :param solves: all attempts; the time spans them all, the instructions are those of the last.
    :param images: digest and size of the image of each leg, where there is one.
    :param machine: what the local builder's kernel calls itself (``uname -m``).
    """
    rows = []
    for entry in matrix:
        platform = entry.platform
        attempts = [
            [vertex for vertex in solve.vertices if built_for(vertex, solve.legs) == str(platform)]
            for solve in solves
            if entry.leg in solve.legs
        ]
        times = [(v.started, v.completed) for vertices in attempts for v in vertices if v.started and v.completed]
        seconds = max(end for _, end in times) - min(start for start, _ in times) if times else 0.0
        instructions = [vertex for vertex in attempts[-1] if vertex.number] if attempts else []
        cached = sum(vertex.cached for vertex in instructions)
        digest, bytes_ = images.get(entry.leg, ("", 0))
        emulated = is_emulated(entry, machine)
        rows.append(Summary(platform, digest, bytes_, seconds, len(instructions), cached, emulated, entry.target))
    return tuple(rows)


def summary_lines(rows: Sequence[Summary]) -> list[str]:
    """Return the table as lines, its head first."""
    head = ("TARGET",) if any(row.target for row in rows) else ()
    cells = [(*head, "PLATFORM", "DIGEST", "SIZE", "TIME", "CACHED", "BUILT")]
    cells += [
        (
            *((row.target,) if head else ()),
            str(row.platform),
            row.digest,
            size(row.size) if row.size != 0 else "",
            duration(row.seconds),
            f"{row.cached} of {row.steps}",
            "emulated" if row.emulated else "natively",
        )
        for row in rows
    ]
    return columns(cells)
