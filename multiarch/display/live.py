"""Rows on a terminal, one for each platform of each target: redrawn in place and left at the end, below other lines."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, TextIO, cast

from rich.cells import cell_len
from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment
from rich.text import Text

from multiarch.display.fold import draw_rows
from multiarch.display.progress import Progress
from multiarch.display.rows import FREE_COLUMNS, Row, RowState
from multiarch.display.summary import summary_lines
from multiarch.display.vertices import owners

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import ConsoleRenderable

    from multiarch.buildkit.status import Vertex
    from multiarch.display.summary import Summary
    from multiarch.image.platform import Leg

# drawings a second; more is work for the terminal and nothing for the eye
_REFRESHES = 8
# Between these a terminal shows nothing of what it is told, and then all of it; one that does not know them goes on.
# Source: "Synchronized Output" (contour-terminal/vt-extensions), DEC private mode 2026
_BEGIN_UPDATE, _END_UPDATE = "\x1b[?2026h", "\x1b[?2026l"
# columns and lines of a terminal that does not say its size, as of the VT100
_DEFAULT_SIZE = 80, 24


class LiveProgress(Progress):
    """Turns the events of a run into rows; of the vertices' output they show the last line, where it fits."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream, heartbeat=0)
        self._console = Console(
            file=cast("TextIO", self._writer.outlet),  # of a stream it has what rich calls
            force_terminal=True,
            force_interactive=True,
            markup=False,
            highlight=False,
            emoji=False,
        )
        self._live: Live | None = None
        # Guards the rows. Not held while rich draws or prints: its thread takes this lock to draw.
        self._state = threading.Lock()
        self._rows: dict[Leg, Row] = {}

    # Events of a solve.

    def retrying(self, text: str, legs: Sequence[Leg]) -> None:
        """Count a retry, and write its line."""
        with self._state:
            for row in self._rows_of(legs):
                row.retry()
        super().retrying(text, legs)

    def changed(self, vertex: Vertex, legs: Sequence[Leg]) -> None:
        """Show a vertex that began, or another one when it ended."""
        with self._state:
            for row in self._rows_of(owners(vertex, legs)):
                row.changed(vertex)

    def said(self, vertex: Vertex, line: str, legs: Sequence[Leg]) -> None:
        """Do nothing: a row reads the last line of its vertex itself."""

    def done(self, legs: Sequence[Leg]) -> None:
        """Stop the clocks of these legs."""
        with self._state:
            for row in self._rows_of(legs):
                row.end(RowState.DONE)

    def failed(self, legs: Sequence[Leg], *, stopped: bool) -> None:
        """Mark rows as failed whose own vertex failed, or all where none did; the others, or all, as *stopped*."""
        with self._state:
            rows = self._rows_of(legs)
            failed_rows = [] if stopped else [row for row in rows if row.has_failed] or rows
            for row in rows:
                row.end(RowState.FAILED if row in failed_rows else RowState.STOPPED)

    # Events of a release.

    def begin(self, legs: Mapping[Leg, bool]) -> None:
        """Draw a row for each of *legs* from now on; a value is whether its platform is emulated."""
        self._writer.align(legs)
        self._rows = {leg: Row(leg, emulated) for leg, emulated in legs.items()}
        self._live = _Rows(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=_REFRESHES,
            redirect_stdout=False,
            # What other code writes there, such as Python's warnings, scrolls above the rows too.
            redirect_stderr=self._writer.outlet.is_for(sys.stderr),
        )
        self._writer.redirect = self._print_above
        self._live.start(refresh=True)

    def end(self) -> None:
        """Draw the rows for the last time, and leave them."""
        with self._state:
            for row in self._rows.values():
                row.end(RowState.STOPPED)
        live, self._live, self._writer.redirect = self._live, None, None
        if live:
            live.stop()
        self._rows = {}
        self._writer.align(())

    def table(self, rows: Sequence[Summary]) -> None:
        """Write the table of results, as wide as the terminal is."""
        width, _ = self._terminal_size()
        lines = summary_lines(rows, width)
        # A letter may take two columns, such as in the path of a program.
        wider = max(cell_len(line) - len(line) for line in lines)
        for line in summary_lines(rows, width - wider) if wider > 0 else lines:
            self._writer.lines(line)

    def _print_above(self, text: str) -> None:
        """Print lines above the rows."""
        self._console.print(Text(text.removesuffix("\n")), soft_wrap=True)

    def _rows_of(self, legs: Sequence[Leg]) -> list[Row]:
        return [row for leg in legs if (row := self._rows.get(leg))]

    def _terminal_size(self) -> tuple[int, int]:
        """Return columns and lines of the terminal behind the stream, which need not be that of standard output."""
        try:
            columns, lines = os.get_terminal_size(self._writer.outlet.fileno())
        except (OSError, ValueError):
            columns, lines = 0, 0
        return columns or _DEFAULT_SIZE[0], lines or _DEFAULT_SIZE[1]

    def _draw(self) -> Group:
        self._console.size = width, height = self._terminal_size()
        with self._state:
            # A line is left for what scrolls above them. The last drawing stays, and may be as high as it likes.
            lines = draw_rows(
                tuple(self._rows.values()), width - FREE_COLUMNS, max(height - 1, 1) if self._live else None
            )
        return Group(*map(self._encodable, lines))

    def _encodable(self, line: Text) -> Text:
        """Return a row of letters that the terminal's encoding has, which is not wider for it."""
        encoding = self._writer.outlet.encoding
        try:
            line.plain.encode(encoding)
        except UnicodeError:
            line.plain = line.plain.replace("…", ".").encode(encoding, "replace").decode(encoding)
        return line


class _Rows(Live):
    """Rows that are erased and drawn again in one update of the terminal, so that they do not flicker."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Put the marks of one update around what is written."""
        return [_mark(_BEGIN_UPDATE), *super().process_renderables(renderables), _mark(_END_UPDATE)]


def _mark(code: str) -> Control:
    """Return what writes a code that moves no cursor."""
    control = Control(ControlType.BELL)  # of rich's kinds of codes the one that has no place on the screen either
    control.segment = Segment(code, None, control.segment.control)
    return control
