"""Rows on a terminal: one for each platform, redrawn in place, and kept when all is over; other lines scroll above."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from multiarch.display.progress import Progress
from multiarch.display.summary import summary_lines
from multiarch.display.vertices import owners, transferred
from multiarch.formatting import duration, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multiarch.buildkit.status import Vertex
    from multiarch.display.summary import Summary
    from multiarch.image.platform import Platform

_PER_SECOND = 8
# The last columns stay free, so that the "^C" that a terminal echoes there moves nothing.
_FREE = 3
# From this width on there is room for whole words.
_WIDE = 80
_STYLES = {
    "waiting": "dim",
    "building": "cyan",
    "pushing": "magenta",
    "retrying": "yellow",
    "done": "green",
    "failed": "bold red",
    "stopped": "yellow",
}
# With less room there would be nothing to read.
_LEAST_SAID = 12
_LEAST_DIGEST = 8
_OVER = ("done", "failed", "stopped")


class LiveProgress(Progress):
    """Shows the same as `Progress`, as rows; of what the vertices write only the last line, where it fits."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream, heartbeat=0)
        self._console = Console(
            file=self._writer.stream,
            force_terminal=True,
            force_interactive=True,
            markup=False,
            highlight=False,
            emoji=False,
        )
        self._live: Live | None = None
        # Never held while something is drawn: the thread that draws takes it too.
        self._state = threading.Lock()
        self._rows: dict[Platform, _Row] = {}

    # What the vertices tell.

    def retrying(self, text: str, platforms: Sequence[Platform]) -> None:
        """Count it, and tell why."""
        with self._state:
            for row in self._of(platforms):
                row.retry()
        super().retrying(text, platforms)

    def changed(self, vertex: Vertex, platforms: Sequence[Platform]) -> None:
        """Show a vertex that began; remember those that run."""
        with self._state:
            for row in self._of(owners(vertex, platforms)):
                row.changed(vertex)

    def said(self, vertex: Vertex, line: str, platforms: Sequence[Platform]) -> None:
        """Show it until the next: the row looks for it itself."""

    def done(self, platforms: Sequence[Platform]) -> None:
        """Stop the clock of its row."""
        with self._state:
            for row in self._of(platforms):
                row.end("done")

    def failed(self, platforms: Sequence[Platform], *, stopped: bool) -> None:
        """Tell those whose own vertex failed from those that were built together with them."""
        with self._state:
            rows = self._of(platforms)
            culprits = [row for row in rows if row.error] or rows
            for row in rows:
                row.end("stopped" if stopped or row not in culprits else "failed")

    # What the release tells.

    def begin(self, platforms: Mapping[Platform, bool]) -> None:
        """Draw the rows from now on."""
        self._writer.align(platforms)
        self._rows = {platform: _Row(str(platform), emulated) for platform, emulated in platforms.items()}
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=_PER_SECOND,
            redirect_stdout=False,
            # What others write there meanwhile, such as Python's warnings, scrolls above too.
            redirect_stderr=self._writer.stream is sys.stderr,
        )
        self._writer.redirect = self._print_above
        self._live.start(refresh=True)

    def end(self) -> None:
        """Draw the rows for the last time, and leave them."""
        with self._state:
            for row in self._rows.values():
                row.end("stopped")
        live, self._live, self._writer.redirect = self._live, None, None
        if live:
            live.stop()
        self._rows = {}
        self._writer.align(())

    def table(self, rows: Sequence[Summary]) -> None:
        """Cut the digests to what the other columns leave of the width."""
        width, _ = self._measure()
        excess = max(map(cell_len, summary_lines(rows))) - width
        if excess > 0:
            kept = max(len(row.digest) for row in rows) - excess
            rows = [replace(row, digest=_cut(row.digest, max(kept, _LEAST_DIGEST))) for row in rows]
        super().table(rows)

    def _print_above(self, text: str) -> None:
        """Print lines above the rows; none may move the cursor, which would break the drawing."""
        lines = [one_line(line) if "\x1b" in line else line for line in text.splitlines()]
        self._console.print(Text("\n".join(lines)), soft_wrap=True)

    def _of(self, platforms: Sequence[Platform]) -> list[_Row]:
        return [row for platform in platforms if (row := self._rows.get(platform))]

    def _measure(self) -> tuple[int, int]:
        """Return the size of the terminal that is written to, which need not be that of standard output."""
        try:
            columns, lines = os.get_terminal_size(self._writer.stream.fileno())
        except (OSError, ValueError):
            columns, lines = 0, 0
        return columns or 80, lines or 24

    def _draw(self) -> Group:
        self._console.size = width, _ = self._measure()
        with self._state:
            rows = list(self._rows.values())
            emulated = any(row.emulated for row in rows)
            lines = [row.draw(self._writer.width, width - _FREE, emulated=emulated) for row in rows]
        return Group(*lines)


class _Row:
    """A platform: its state and the vertices that run."""

    def __init__(self, name: str, emulated: bool) -> None:
        self.name = name
        self.emulated = emulated
        self.retries = 0
        self._state = "waiting"
        self._began: float | None = None
        self._took: float | None = None
        self._running: dict[int, Vertex] = {}
        self._vertex: Vertex | None = None

    @property
    def error(self) -> bool:
        """Whether the vertex that is shown failed, and not only because another did."""
        return bool(self._vertex and self._vertex.error and "context canceled" not in self._vertex.error)

    @property
    def state(self) -> str:
        """In one word."""
        pushing = self._state == "building" and self._vertex is not None and self._vertex.is_pushing
        return "pushing" if pushing else self._state

    def changed(self, vertex: Vertex) -> None:
        """Show a vertex that runs, rather one of the Dockerfile than one of BuildKit's own, rather a new one."""
        if self._state in _OVER:
            return
        self._began = self._began or time.monotonic()
        self._state = "building"
        if vertex.is_running:
            self._running[id(vertex)] = vertex
        else:
            self._running.pop(id(vertex), None)
        if vertex.error and not self.error:
            self._vertex = vertex
        elif self._running and not self.error:
            self._vertex = max(self._running.values(), key=lambda each: (not each.is_internal, each.started or 0))

    def retry(self) -> None:
        """Begin anew."""
        self.retries += 1
        self._state, self._vertex = "retrying", None
        self._running.clear()

    def end(self, state: str) -> None:
        """Stay as it is; what is over stays over."""
        if self._state not in _OVER:
            self._state = state
            self._took = time.monotonic() - self._began if self._began else None
            self._vertex = self._vertex if state == "failed" else None

    def draw(self, name_width: int, width: int, *, emulated: bool) -> Text:
        """Return the row, no wider than that.

        :param emulated: whether any row is, so that the others leave room for the word.
        """
        word = "emulated" if width > _WIDE - _FREE - 1 else "emu"
        line = Text(f"{self.name:<{name_width}}  ", no_wrap=True, overflow="ellipsis", end="")
        if emulated:
            line.append(f"{word if self.emulated else '':<{len(word)}}  ", "dim")
        line.append(f"{self.state:<8}  ", _STYLES[self.state])
        right = "  ".join(self._right(short=width < _WIDE - _FREE))
        room = max(width - line.cell_len - cell_len(right) - 2, 0)
        vertex, said = _title(self._vertex), self._said()
        left = room - cell_len(vertex)
        if said and left >= _LEAST_SAID:
            line.append(vertex)
            line.append(set_cell_size(_cut(f"  {said}", left), left), "dim")
        else:
            line.append(set_cell_size(_cut(vertex, room), room))
        line.append(f"  {right}")
        line.truncate(width, overflow="ellipsis")
        line.end = "\n"
        return line

    def _said(self) -> str:
        """Return the last line of the vertex's output."""
        return one_line(self._vertex.log[-1]) if self._vertex and self._vertex.log else ""

    def _right(self, *, short: bool) -> Iterator[str]:
        """Yield what stands at the end of the line: bytes, retries, time."""
        moved = transferred(self._vertex) if self._vertex and self._vertex.is_running else ""
        if moved:
            yield moved.partition(" of ")[0] if short else moved
        if self.retries:
            yield f"{self.retries} {'retry' if self.retries == 1 else 'retries'}"
        if self._took is not None:
            yield f"{duration(self._took):>6}"
        elif self._began is not None:
            # Tenths would only flicker.
            gone = time.monotonic() - self._began
            yield f"{f'{gone:.0f}s' if gone < 100 else duration(gone):>6}"


def _title(vertex: Vertex | None) -> str:
    """Return what a vertex is at: its number and instruction, or what BuildKit says of its own work."""
    if vertex is None:
        return ""
    if vertex.number:
        return one_line(f"{vertex.number}/{vertex.total} {vertex.instruction}")
    return one_line(vertex.instruction if vertex.is_internal else vertex.doing or vertex.instruction)


def _cut(text: str, width: int) -> str:
    """Return text with an ellipsis where it is too wide."""
    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)) + "…" * (width > 0)
