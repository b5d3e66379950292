"""What a report keeps of output that is larger than anyone reads."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# characters of a line, lines of a vertex, and characters of a vertex
_LONGEST_LINE = 4_000
_MOST_LINES = 5_000
_MOST_CHARACTERS = 1_000_000


def shortened(text: str, longest: int) -> str:
    """Return a text, with a note in place of what is longer than *longest* characters."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest} more characters)"


def bounded_log(lines: Sequence[str], room: int = _MOST_CHARACTERS) -> tuple[str, ...]:
    """Return the lines of an output; of a large one its beginning and its end, which says what failed, and a note.

    :param room: characters; at most a million are kept.
    """
    room = min(room, _MOST_CHARACTERS)
    if len(lines) <= _MOST_LINES and sum(map(len, lines)) <= room and max(map(len, lines), default=0) <= _LONGEST_LINE:
        return tuple(lines)
    head = _within(islice(lines, _MOST_LINES // 2), room // 2)
    tail = _within(islice(reversed(lines), min(_MOST_LINES // 2, len(lines) - len(head))), room // 2)
    left_out = len(lines) - len(head) - len(tail)
    note = [f"… ({left_out} more lines)"] if left_out else []
    return (*head, *note, *reversed(tail))


def _within(lines: Iterable[str], room: int) -> list[str]:
    """Return the first of the lines that have room, the first one always, in part."""
    kept: list[str] = []
    for line in lines:
        text = shortened(line, min(room, _LONGEST_LINE) if not kept else _LONGEST_LINE)
        room -= len(text)
        if room < 0 and kept:
            break
        kept.append(text)
    return kept
