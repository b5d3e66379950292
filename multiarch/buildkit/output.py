"""The output of one vertex: its first and its last lines, cut to lengths that fit into memory.

A build may write without end, and redraw one line a hundred thousand times. Each byte is looked at once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST_LINE = 1 << 20  # bytes of a line; a compiler's command may have some 100 kB
MOST_LINES = 10_000  # lines at the beginning, and as many at the end; all are in the log of the CI
MOST_TEXT = 2 << 20  # characters of the lines at the beginning, and as many at the end


class Output:
    """Takes output in pieces of any size; keeps its first and its last lines.

    :param lines: those that there are already.
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._line = _Line()
        self._first: list[str] = []
        self._first_size = 0
        self._is_first_full = False
        self._last: deque[str] = deque()
        self._last_size = 0
        self._dropped = 0
        for line in lines:
            self._keep(line)

    @property
    def latest(self) -> str:
        """The last whole line; empty before there is one."""
        kept = self._last or self._first
        return kept[-1] if kept else ""

    @property
    def lines(self) -> list[str]:
        """The kept lines, the unfinished one too; where lines were dropped, a line says how many."""
        note = [f"… ({self._dropped} lines left out)"] if self._dropped else []
        unfinished = self._line.text()
        return [*self._first, *note, *self._last.copy(), *([unfinished] if unfinished else [])]

    def add(self, data: bytes) -> Iterator[str]:
        """Take more output; yield the lines that are whole now."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._line.add(end)
            text = self._line.text()
            self._line = _Line()
            self._keep(text)
            yield text
        self._line.add(rest)

    def _keep(self, line: str) -> None:
        """Keep a line: the first ones as far as there is room, then the last ones, in place of those between."""
        size = len(line)
        fits = len(self._first) < MOST_LINES and self._first_size + size <= MOST_TEXT
        if fits and not self._is_first_full:
            self._first.append(line)
            self._first_size += size
            return
        self._is_first_full = True
        self._last.append(line)
        self._last_size += size
        while len(self._last) > MOST_LINES or self._last_size > MOST_TEXT:
            self._last_size -= len(self._last.popleft())
            self._dropped += 1


class _Line:
    """A line that grows. Of a line that is overwritten in place, as by progress bars, its last state."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._dropped = 0
        self._returned = False  # the last byte was a carriage return: what comes next overwrites

    def add(self, piece: bytes) -> None:
        """Take more of the line, in which there is no line break."""
        shown = piece.rstrip(b"\r")
        if shown:
            _, returned, state = shown.rpartition(b"\r")
            if returned or self._returned:
                self._kept, self._dropped = bytearray(), 0
            room = LONGEST_LINE - len(self._kept)
            self._kept += state[:room]
            self._dropped += max(len(state) - room, 0)
            self._returned = False
        self._returned = self._returned or len(shown) < len(piece)

    def text(self) -> str:
        """Return the line as text."""
        text = bytes(self._kept).decode(errors="replace")
        return f"{text}… ({self._dropped} bytes left out)" if self._dropped else text
