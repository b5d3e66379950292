"""Rows on a terminal: one for each platform, redrawn in place and left at the end; other lines scroll above them."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO, cast

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from multiarch.display.progress import Progress
from multiarch.display.rows import FREE_COLUMNS, Row, RowState, cut
from multiarch.display.summary import summary_lines
from multiarch.display.vertices import owners

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.buildkit.status import Vertex
    from multiarch.display.summary import Summary
    from multiarch.image.platform import Leg

# drawings a second; more is work for the terminal and nothing for the eye
_REFRESHES = 8
# characters of a digest in the table; of a shorter one little more than "sha256:" would be left
_LEAST_DIGEST = 8
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
        self._rows = {leg: Row(str(leg), emulated) for leg, emulated in legs.items()}
        self._live = Live(
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
        """Write the table of results, its digests cut to the room that the other columns leave."""
        width, _ = self._terminal_size()
        excess = max(map(cell_len, summary_lines(rows))) - width
        if excess > 0:
            room = max(len(row.digest) for row in rows) - excess
            rows = [replace(row, digest=cut(row.digest, max(room, _LEAST_DIGEST))) for row in rows]
        super().table(rows)

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
        self._console.size = width, _ = self._terminal_size()
        with self._state:
            rows = list(self._rows.values())
            emulated = any(row.emulated for row in rows)
            lines = [row.draw(self._writer.width, width - FREE_COLUMNS, emulated=emulated) for row in rows]
        return Group(*lines)
