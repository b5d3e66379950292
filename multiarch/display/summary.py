"""What became of each platform, as the vertices of the solves tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.buildkit.schedule import is_emulated
from multiarch.display.progress import Summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.buildkit.solve import Solve
    from multiarch.buildkit.status import Vertex
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.platform import Platform


def summarise(
    matrix: Sequence[MatrixEntry],
    solves: Sequence[Solve],
    images: Mapping[Platform, tuple[str, int]],
    machine: str,
) -> tuple[Summary, ...]:
    """Return what became of each platform of the matrix, in its order.

    :param solves: every attempt; the time spans them all, the instructions are those of the last.
    :param images: digest and size of what came out, as far as anything did.
    :param machine: what the local builder's kernel calls itself (``uname -m``).
    """
    rows = []
    for entry in matrix:
        platform = entry.platform
        attempts = [
            [vertex for vertex in solve.vertices if built_for(vertex, solve.platforms) == str(platform)]
            for solve in solves
            if platform in solve.platforms
        ]
        ended = [(s.started, s.completed) for vertices in attempts for s in vertices if s.started and s.completed]
        seconds = max(end for _, end in ended) - min(start for start, _ in ended) if ended else 0.0
        instructions = [vertex for vertex in attempts[-1] if vertex.number] if attempts else []
        cached = sum(vertex.cached for vertex in instructions)
        digest, size = images.get(platform, ("", 0))
        rows.append(Summary(platform, digest, size, seconds, len(instructions), cached, is_emulated(entry, machine)))
    return tuple(rows)


def built_for(vertex: Vertex, platforms: Sequence[Platform]) -> str:
    """Return which platform of a solve's a vertex is for; empty when it is for all of them."""
    return vertex.target or runs_on(vertex, platforms)


def runs_on(vertex: Vertex, platforms: Sequence[Platform]) -> str:
    """Return which platform's programs a vertex of a solve runs; empty where nobody says."""
    return vertex.platform or (str(platforms[0]) if len(platforms) == 1 else "")
