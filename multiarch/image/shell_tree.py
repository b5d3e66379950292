"""The tree of a shell script's commands (POSIX.1-2024, XCU 2.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from multiarch.image.shell_words import Word


@dataclass(frozen=True)
class Simple:
    """A simple command.

    :ivar assignments: names and values before it; the value is None where it is not followed.
    """

    assignments: tuple[tuple[str, Word | None], ...]
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Chain:
    """Commands in a row, each with the operator before it: ``&&``, ``||`` or ``|``."""

    links: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Group:
    """Commands in braces or parentheses. *is_subshell*: whether what they set ends with them."""

    body: Sequence
    is_subshell: bool


@dataclass(frozen=True)
class Branches:
    """Commands of which some run: *head* in any case, then of the *bodies* one, or none."""

    head: Sequence
    bodies: tuple[Sequence, ...]


@dataclass(frozen=True)
class Loop:
    """Commands that run as often as *condition* says; None of a loop over words."""

    condition: Sequence | None
    body: Sequence


@dataclass(frozen=True)
class Function:
    """The definition of a function."""

    name: str
    body: Node


Node: TypeAlias = "Simple | Chain | Group | Branches | Loop | Function"
Sequence: TypeAlias = "tuple[Node, ...]"
