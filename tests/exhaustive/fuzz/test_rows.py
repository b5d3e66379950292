"""Rows of any run on a terminal of any size, which may change at any time."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import termios
import time
from typing import Any

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from multiarch.buildkit.output import Output
from multiarch.buildkit.status import Vertex
from multiarch.display.fold import draw_rows
from multiarch.display.live import LiveProgress
from multiarch.display.rows import Row, RowState
from tests.exhaustive.fuzz.limits import fuzz
from tests.exhaustive.fuzz.test_shown import TEXTS, is_shown_clean
from tests.unit.legs import leg

NAMES = st.sampled_from(["", "app", "golang-1.27-bookworm", "golang-1.26-alpine3.24", "a" * 100])
LEGS = st.builds(leg, st.sampled_from(["amd64", "arm64", "armhf", "ppc64le", "s390x"]), NAMES)
VERTICES = st.builds(
    Vertex,
    name=TEXTS,
    instruction=TEXTS,
    number=st.integers(0, 9),
    total=st.just(9),
    started=st.none() | st.floats(0, 2e9),
    completed=st.none() | st.floats(0, 2e9),
    error=st.sampled_from(["", "exit code: 2", "context canceled"]),
    log=st.lists(TEXTS, max_size=2).map(Output),
    doing=st.sampled_from(["", "pushing layers"]),
    transfers=st.dictionaries(st.sampled_from("ab"), st.tuples(st.integers(0, 2**62), st.integers(0, 2**62))),
)
EVENTS = st.one_of(
    st.tuples(st.just("changed"), VERTICES),
    st.tuples(st.just("retry"), st.none()),
    st.tuples(st.just("end"), st.sampled_from(list(RowState))),
)


@settings(fuzz, max_examples=max(fuzz.max_examples // 4, 200))
@given(
    st.lists(st.tuples(LEGS, st.booleans()), max_size=12),
    st.lists(st.tuples(st.integers(0, 99), EVENTS), max_size=12),
    st.lists(st.tuples(st.integers(-5, 200), st.none() | st.integers(1, 15)), min_size=1, max_size=4),
)
def test_rows_stay_within_their_window(
    legs: list[tuple[Any, bool]], events: list[tuple[int, tuple[str, Any]]], sizes: list[tuple[int, int | None]]
) -> None:
    """Whatever happens in whatever order: so many lines at most, each clean and no wider than there is room."""
    rows = [Row(one, emulated) for one, emulated in legs]
    for index, (event, argument) in events:
        if rows:
            row = rows[index % len(rows)]
            getattr(row, event)(*([argument] if argument is not None else []))
    for width, height in sizes:
        lines = draw_rows(rows, width, height)
        assert len(lines) <= max(height or len(rows), 0)
        for line in lines:
            assert "\n" == line.end, ascii(line.plain)
            assert is_shown_clean(line.plain)
            assert line.cell_len <= max(width, 1)


class Terminal(io.StringIO):
    """A stream whose descriptor is a terminal, of which it keeps the screen."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.outside, self.inside = pty.openpty()
        self.columns = self.lines = 0
        self.screen = pyte.Screen(1, 1)
        self.stream = pyte.Stream(self.screen)

    def fileno(self) -> int:
        """Return the descriptor of the terminal."""
        return self.inside

    def resize(self, columns: int, lines: int) -> None:
        """Give the window another size."""
        self.columns, self.lines = columns, lines
        fcntl.ioctl(self.inside, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def write(self, text: str) -> int:
        """Keep what is written."""
        self.stream.feed(text)
        return super().write(text)

    def close(self) -> None:
        """Close the terminal."""
        super().close()
        os.close(self.inside)
        os.close(self.outside)


@pytest.mark.parametrize(
    "sizes",
    [[(100, 30), (60, 10), (20, 3), (1, 1), (120, 40)], [(1, 2), (200, 60), (80, 5)]],
    ids=["smaller", "larger"],
)
def test_rows_follow_the_size_of_the_window(sizes: list[tuple[int, int]]) -> None:
    """The drawing after a change fits into the new window, and is whole."""
    terminal = Terminal()
    terminal.resize(*sizes[0])
    progress = LiveProgress(terminal)
    legs = [leg(platform, target) for target in ("app", "worker") for platform in ("amd64", "arm64", "armhf", "s390x")]
    progress.begin(dict.fromkeys(legs, True))
    for one in legs[:6]:
        progress.changed(Vertex(name="a", instruction="RUN 字" * 40, number=1, total=2, started=time.time()), [one])
    for columns, lines in sizes:
        terminal.resize(columns, lines)
        start = terminal.tell()
        deadline = time.monotonic() + 10
        while terminal.getvalue()[start:].count("\x1b[?2026l") < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        *_, last, _ = terminal.getvalue()[start:].split("\x1b[?2026l")
        shown = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", last.rpartition("\x1b[2K")[2]).split("\n")
        expected = 8 if lines > 8 else max(lines - 1, 1)
        assert (expected, True) == (len(shown), max(map(cell_len, shown)) <= max(columns - 3, 1)), shown
    progress.end()
    terminal.close()
