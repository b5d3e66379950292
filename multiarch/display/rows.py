"""The row of a platform on a terminal."""

from __future__ import annotations

import time
from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from multiarch.display.vertices import transferred
from multiarch.formatting import duration, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multiarch.buildkit.status import Vertex
    from multiarch.image.platform import Leg

# columns; left free at the end of a row, so that the "^C" that a terminal echoes there moves nothing
FREE_COLUMNS = 3
# columns of a terminal; from here on there is room for whole words
_WIDE = 80
# columns; in less room the beginning of a vertex's output says nothing
_LEAST_OUTPUT = 12
# columns of a target's name, at least; of a longer name the end is shown, in which the targets of a matrix differ
_LEAST_TARGET = 8
# seconds without a vertex after which a platform is shown as waiting, such as for others that are built with it
_PAUSE = 1.0


class RowState(Enum):
    """What happens to a platform, in the word that its row shows."""

    WAITING = "waiting"
    BUILDING = "building"
    PUSHING = "pushing"
    RETRYING = "retrying"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to the platform."""
        return self in (RowState.DONE, RowState.FAILED, RowState.STOPPED)

    @property
    def is_running(self) -> bool:
        """Whether something happens to the platform now."""
        return self in (RowState.BUILDING, RowState.PUSHING, RowState.RETRYING)


# characters of a text of which a row shows the beginning; wider than terminals are, and cleaned at each drawing
_LONGEST = 1_000
# Styles of rich.
_STYLES = {
    RowState.WAITING: "dim",
    RowState.BUILDING: "cyan",
    RowState.PUSHING: "magenta",
    RowState.RETRYING: "yellow",
    RowState.DONE: "green",
    RowState.FAILED: "bold red",
    RowState.STOPPED: "yellow",
}


class Layout(Struct, frozen=True):
    """The columns that the rows of a run have in common, in cells; 0 for one that no row needs.

    :ivar width: of a whole row.
    """

    width: int
    target: int
    platform: int
    emulated: int

    @classmethod
    def of(cls, rows: Iterable[Row], width: int) -> Layout:
        """Return the layout of *rows*, at most *width* columns wide."""
        rows = tuple(rows)
        longest = max((len(row.leg.target) for row in rows), default=0)
        target = min(longest, max(width // 4, _LEAST_TARGET))
        platform = max((len(str(row.leg.platform)) for row in rows), default=0)
        word = len("emulated" if cls(width, target, platform, 0).is_wide else "emu")
        return cls(width, target, platform, word if any(row.emulated for row in rows) else 0)

    @property
    def is_wide(self) -> bool:
        """Whether there is room for whole words."""
        return self.width - self.target > _WIDE - FREE_COLUMNS - 1


class Row:
    """A platform of a target: its state, its retries and the vertices that run for it."""

    def __init__(self, leg: Leg, emulated: bool) -> None:
        self.leg = leg
        self.emulated = emulated
        self.retries = 0
        self._state = RowState.WAITING
        self._started: float | None = None
        self._seconds: float | None = None
        self._running: dict[int, Vertex] = {}
        self._shown: Vertex | None = None
        self._idle_since = 0.0

    @property
    def has_failed(self) -> bool:
        """Whether the vertex that is shown failed by itself, not because another one did."""
        return bool(self._shown and self._shown.error and "context canceled" not in self._shown.error)

    @property
    def state(self) -> RowState:
        """What happens to the platform."""
        vertex = self._vertex
        if self._is_waiting:
            return RowState.WAITING
        is_pushing = self._state is RowState.BUILDING and vertex is not None and vertex.is_pushing
        return RowState.PUSHING if is_pushing else self._state

    @property
    def _is_waiting(self) -> bool:
        """Whether the platform has been without a vertex for a while, and none has failed."""
        is_idle = self._state is RowState.BUILDING and not self._running and not self.has_failed
        return is_idle and time.monotonic() - self._idle_since > _PAUSE

    @property
    def _vertex(self) -> Vertex | None:
        """The vertex to show: a failed one, else one that runs, of the Dockerfile if any is, begun last.

        It is chosen when it is looked at, some times a second: thousands may begin between two drawings.
        """
        if self._running and not self.has_failed:
            self._shown = max(self._running.values(), key=lambda each: (not each.is_internal, each.started or 0))
        return self._shown

    def changed(self, vertex: Vertex) -> None:
        """Take a vertex that began or ended."""
        if self._state.is_final:
            return
        self._started = self._started or time.monotonic()
        self._state = RowState.BUILDING
        if vertex.is_running:
            self._running[id(vertex)] = vertex
        else:
            if len(self._running) == 1:
                self._shown = self._vertex
            self._running.pop(id(vertex), None)
            self._idle_since = time.monotonic()
        if vertex.error and not self.has_failed:
            self._shown = vertex

    def retry(self) -> None:
        """Count a retry, and show no vertex until one begins."""
        self.retries += 1
        self._state, self._shown = RowState.RETRYING, None
        self._running.clear()

    def end(self, state: RowState) -> None:
        """Stop the clock in a final state; the first one stays."""
        if not self._state.is_final:
            self._state = state
            self._seconds = time.monotonic() - self._started if self._started else None
            self._shown = self._shown if state is RowState.FAILED else None
            self._running.clear()

    def draw(self, layout: Layout, *, names_target: bool = True) -> Text:
        """Return the row, at most as wide as its layout.

        :param names_target: whether the row begins with its target, which the row above it may do as well.
        """
        state = self.state
        vertex = None if state is RowState.WAITING else self._vertex
        line = Text(no_wrap=True, end="")
        if layout.target:
            name = self.leg.target if names_target else ""
            line.append(f"{_cut_front(name, layout.target):<{layout.target}}  ", "bold")
        line.append(f"{self.leg.platform!s:<{layout.platform}}  ")
        if layout.emulated:
            word = "emulated"[: layout.emulated] if self.emulated else ""
            line.append(f"{word:<{layout.emulated}}  ", "dim")
        line.append(f"{state.value:<8}  ", _STYLES[state])
        figures = "  ".join(self._figures(vertex, short=not layout.is_wide))
        room = max(layout.width - line.cell_len - cell_len(figures) - 2, 0)
        _append_work(line, _title(vertex), _last_output(vertex), room)
        line.append(f"  {figures}")
        line.truncate(max(layout.width, 1), overflow="ellipsis")
        line.end = "\n"
        return line

    def _figures(self, vertex: Vertex | None, *, short: bool) -> Iterator[str]:
        """Yield what stands at the end of the row: bytes, retries, time."""
        bytes_ = transferred(vertex) if vertex and vertex.is_running else ""
        if bytes_:
            yield bytes_.partition(" of ")[0] if short else bytes_
        if self.retries:
            yield f"{self.retries} {'retry' if self.retries == 1 else 'retries'}"
        if self._seconds is not None:
            yield f"{duration(self._seconds):>6}"
        elif self._started is not None:
            # Tenths would only flicker.
            elapsed = time.monotonic() - self._started
            yield f"{f'{elapsed:.0f}s' if elapsed < 100 else duration(elapsed):>6}"


def cut(text: str, width: int) -> str:
    """Return text of at most *width* columns, with an ellipsis where it is too wide."""
    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)) + "…" * (width > 0)


def _cut_front(name: str, width: int) -> str:
    """Return a name of at most *width* columns, with an ellipsis in place of its beginning where it is too long."""
    return name if len(name) <= width else f"…{name[len(name) - width + 1 :]}"


def _append_work(line: Text, title: str, output: str, room: int) -> None:
    """Append what a vertex does, and dimmed behind it what it wrote last; both share *room*, and fill it."""
    shared = cut(title, max(room - cell_len(output) - 2, room // 2))
    rest = room - cell_len(shared)
    if output and rest >= _LEAST_OUTPUT:
        line.append(shared)
        line.append(set_cell_size(cut(f"  {output}", rest), rest), "dim")
    else:
        line.append(set_cell_size(cut(title, room), room))


def _title(vertex: Vertex | None) -> str:
    """Return what a vertex does: its number and instruction, or what BuildKit says of its own work."""
    if vertex is None:
        return ""
    if vertex.number:
        return one_line(f"{vertex.number}/{vertex.total} {vertex.instruction[:_LONGEST]}")
    return one_line((vertex.instruction if vertex.is_internal else vertex.doing or vertex.instruction)[:_LONGEST])


def _last_output(vertex: Vertex | None) -> str:
    """Return the last line of the vertex's output."""
    return one_line(vertex.log.latest[:_LONGEST]) if vertex else ""
