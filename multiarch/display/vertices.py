"""Vertices as lines, rows and reports describe them: their platforms, short names and transferred bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.formatting import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.buildkit.status import Vertex
    from multiarch.image.platform import Leg


def single(legs: Sequence[Leg]) -> Leg | None:
    """Return the only leg; None where there is another number of them."""
    return legs[0] if len(legs) == 1 else None


def owners(vertex: Vertex, legs: Sequence[Leg]) -> tuple[Leg, ...]:
    """Return the legs of a solve that a vertex is for: one, or all of them."""
    name = vertex.target or vertex.platform
    return tuple(leg for leg in legs if str(leg.platform) == name) or tuple(legs)


def built_for(vertex: Vertex, legs: Sequence[Leg]) -> str:
    """Return the platform that a vertex is for, which need not be one of its solve; empty when it is for all."""
    return vertex.target or runs_on(vertex, legs)


def runs_on(vertex: Vertex, legs: Sequence[Leg]) -> str:
    """Return the platform whose programs a vertex of a solve runs; empty where it is unknown."""
    only = single(legs)
    return vertex.platform or (str(only.platform) if only else "")


def short_name(vertex: Vertex, legs: Sequence[Leg]) -> str:
    """Return a vertex's name without the platform that stands before its line."""
    if vertex.is_pushing:
        return "pushing"
    owner = single(owners(vertex, legs))
    if vertex.target or owner is None or vertex.platform != str(owner.platform):
        return vertex.name
    return vertex.name.replace(f"[{vertex.platform}] ", "", 1).replace(f"[{vertex.platform} ", "[", 1)


def transferred(vertex: Vertex) -> str:
    """Return the bytes that a vertex transferred, as text; empty when there are none."""
    current, total = vertex.transferred
    return f"{size(current)} of {size(total)}" if total else size(current) if current else ""
