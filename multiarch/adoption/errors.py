"""Error of an adoption."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.errors import MultiarchError

if TYPE_CHECKING:
    from collections.abc import Iterable


class AdoptionError(MultiarchError):
    """The files of a project cannot be adopted, or are not as they would be; the lines that differ follow."""

    def __init__(self, problem: str, details: Iterable[str] = ()) -> None:
        super().__init__("\n".join([problem, *details]))
