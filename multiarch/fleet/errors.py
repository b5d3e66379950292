"""Errors of builders elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.errors import MultiarchError, listed, unbroken, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LONGEST_CAUSE = 300  # characters of a program's words in one line


class BuilderFaultError(MultiarchError):
    """A builder that cannot be used.

    :ivar brief: what is wrong with it, behind its name: ``does not answer``.
    :ivar lasts: whether it stays as it is until somebody corrects it; else the builder may be back in a moment.
    """

    def __init__(self, subject: object, problem: str, brief: str, *, lasts: bool = True, colon: bool = True) -> None:
        super().__init__(unbroken(f"{subject}{':' if colon else ''} {problem}"))
        self.brief = brief
        self.lasts = lasts
        self.cause = f"{subject} {brief}"


class NoBuilderLeftError(MultiarchError):
    """None of the builders of a platform can be used.

    :param faults: the fault of each, by its name.
    """

    def __init__(self, platforms: Iterable[object], faults: Mapping[str, BuilderFaultError]) -> None:
        each = listed(f"{name} {fault.brief}" for name, fault in faults.items())
        self.cause = f"no builder is left: {each}"
        self.transient = not all(fault.lasts for fault in faults.values())
        super().__init__(f"{listed(platforms)}: {self.cause}; nothing was published")


def cut(words: str) -> str:
    """Return a program's words as one short line without secrets."""
    line = without_secrets(unbroken(words))
    return line if len(line) <= LONGEST_CAUSE else f"{line[: LONGEST_CAUSE - 1]}…"
