"""Vertices as lines, rows and reports describe them: their platforms, short names and transferred bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.formatting import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.buildkit.status import Vertex
    from multiarch.image.platform import Platform


def single(platforms: Sequence[Platform]) -> str:
    """Return the name of the only platform; empty where there is another number of them."""
    return str(platforms[0]) if len(platforms) == 1 else ""


def owners(vertex: Vertex, platforms: Sequence[Platform]) -> tuple[Platform, ...]:
    """Return the platforms of a solve that a vertex is for: one, or all of them."""
    name = vertex.target or vertex.platform
    return tuple(platform for platform in platforms if str(platform) == name) or tuple(platforms)


def built_for(vertex: Vertex, platforms: Sequence[Platform]) -> str:
    """Return the platform that a vertex is for, which need not be one of its solve; empty when it is for all."""
    return vertex.target or runs_on(vertex, platforms)


def runs_on(vertex: Vertex, platforms: Sequence[Platform]) -> str:
    """Return the platform whose programs a vertex of a solve runs; empty where it is unknown."""
    return vertex.platform or single(platforms)


def short_name(vertex: Vertex, platforms: Sequence[Platform]) -> str:
    """Return a vertex's name without the platform that stands before its line."""
    if vertex.is_pushing:
        return "pushing"
    if vertex.target or vertex.platform != single(owners(vertex, platforms)):
        return vertex.name
    return vertex.name.replace(f"[{vertex.platform}] ", "", 1).replace(f"[{vertex.platform} ", "[", 1)


def transferred(vertex: Vertex) -> str:
    """Return the bytes that a vertex transferred, as text; empty when there are none."""
    current, total = vertex.transferred
    return f"{size(current)} of {size(total)}" if total else size(current) if current else ""
