"""Error of a pipeline's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.errors import MultiarchError

if TYPE_CHECKING:
    from collections.abc import Iterable


class PipelineError(MultiarchError):
    """The file of a CI is not what it should be; its mistakes follow, a line each."""

    def __init__(self, problem: str, details: Iterable[str] = ()) -> None:
        super().__init__("\n".join([problem, *details]))
