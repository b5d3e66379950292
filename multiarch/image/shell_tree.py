"""The tree of a shell script's commands (POSIX.1-2024, XCU 2.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from multiarch.image.shell_words import Word


class Simple(Struct, frozen=True):
    """A simple command.

    :ivar assignments: names and values before it; the value is None where it is not followed.
    """

    assignments: tuple[tuple[str, Word | None], ...]
    words: tuple[Word, ...]


class Chain(Struct, frozen=True):
    """Commands in a row, each with the operator before it: ``&&``, ``||`` or ``|``."""

    links: tuple[tuple[str, Node], ...]


class Group(Struct, frozen=True):
    """Commands in braces or parentheses. *is_subshell*: whether what they set ends with them."""

    body: Sequence
    is_subshell: bool


class Branches(Struct, frozen=True):
    """Commands of which some run: *head* in any case, then of the *bodies* one, or none."""

    head: Sequence
    bodies: tuple[Sequence, ...]


class Loop(Struct, frozen=True):
    """Commands that run as often as *condition* says; None of a loop over words."""

    condition: Sequence | None
    body: Sequence


class Function(Struct, frozen=True):
    """The definition of a function."""

    name: str
    body: Node


Node: TypeAlias = "Simple | Chain | Group | Branches | Loop | Function"
Sequence: TypeAlias = "tuple[Node, ...]"
