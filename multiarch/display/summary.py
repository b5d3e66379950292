"""The result of each platform, and the table of them at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from multiarch.buildkit.schedule import is_emulated
from multiarch.display.vertices import built_for
from multiarch.formatting import columns, duration, size
from multiarch.image.suitability import Findings

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
    :ivar builder: the name of the builder elsewhere that built it; empty where the local one did.
    :ivar lost: the names of builders that were lost while they built it.
    :ivar unchecked: number of the gates' notes on what its image starts.
    :ivar foreign: programs in its image that are for another platform on purpose.
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

    @property
    def built(self) -> str:
        """How and where it was built: ``natively on arm-2; arm-1 was lost``."""
        how = "emulated" if self.emulated else "natively"
        place = f" on {self.builder}" if self.builder else ""
        return "; ".join([f"{how}{place}", *(f"{name} was lost" for name in self.lost)])


def summarise(
    matrix: Sequence[MatrixEntry],
    solves: Sequence[Solve],
    images: Mapping[Leg, tuple[str, int]],
    machine: str,
    findings: Mapping[Leg, Findings] | None = None,
) -> tuple[Summary, ...]:
    """Return the result of each platform of the matrix, in its order.

    :param solves: all attempts; the time spans them all, the instructions are those of the last.
    :param images: digest and size of the image of each leg, where there is one.
    :param findings: what the gates found of the programs of each image, where they were passed.
    :param machine: what the local builder's kernel calls itself (``uname -m``).
    """
    rows = []
    for entry in matrix:
        platform = entry.platform
        own = [solve for solve in solves if entry.leg in solve.legs]
        attempts = [
            [vertex for vertex in solve.vertices if built_for(vertex, solve.legs) == str(platform)] for solve in own
        ]
        times = [(v.started, v.completed) for vertices in attempts for v in vertices if v.started and v.completed]
        seconds = max(end for _, end in times) - min(start for start, _ in times) if times else 0.0
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
        rows.append(Summary(platform, digest, bytes_, seconds, *counts, found.foreign, entry.target, place, lost))
    return tuple(rows)


def summary_lines(rows: Sequence[Summary]) -> list[str]:
    """Return the table as lines, its head first."""
    head = ["TARGET"] if any(row.target for row in rows) else []
    # Most images have nothing to be shown in this column.
    has_findings = any(row.unchecked or row.foreign for row in rows)
    last = ["NOT CHECKED"] if has_findings else []
    cells = [(*head, "PLATFORM", "DIGEST", "SIZE", "TIME", "CACHED", "BUILT", *last)]
    cells += [
        (
            *((row.target,) if head else ()),
            str(row.platform),
            row.digest,
            size(row.size) if row.size != 0 else "",
            duration(row.seconds),
            f"{row.cached} of {row.steps}",
            row.built,
            *([", ".join([str(row.unchecked), *(f"foreign {path}" for path in row.foreign)])] if has_findings else []),
        )
        for row in rows
    ]
    return columns(cells)
