"""One program that an image starts, or why it is not known which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.image.marks import NO_MARKS, Marks

if TYPE_CHECKING:
    from multiarch.image.elf import Elf

# Characters of a path in a note or an error.
_LONGEST_SHOWN = 200


class Program(Struct, frozen=True):
    """A program that an image starts.

    :ivar elf: None when no binary program was found; *note* or *fault* says why then.
    :ivar note: what was not followed.
    :ivar fault: why it starts nowhere, whatever the platform.
    :ivar marks: what else the program says of the machines that it is for.
    :ivar is_certain: whether the image starts it in any case, not only under a condition of a script.
    :ivar is_unread: whether a layer was not read, so that it may be found another time.
    """

    path: str
    elf: Elf | None = None
    note: str = ""
    fault: str = ""
    marks: Marks = NO_MARKS
    is_certain: bool = True
    is_unread: bool = False


def shown(text: str, longest: int = _LONGEST_SHOWN) -> str:
    """Return a path or words of a script for a note or an error: not too long, and in one line."""
    characters = [c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:longest]]
    return "".join(characters) + ("…" if len(text) > longest else "")
