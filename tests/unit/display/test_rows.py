"""The rows of many images, as they stand on a terminal."""

from __future__ import annotations

import io
import re
import time
from typing import TYPE_CHECKING

import pytest

from multiarch.buildkit.output import Output
from multiarch.buildkit.status import Vertex
from multiarch.display.fold import draw_rows
from multiarch.display.live import LiveProgress
from multiarch.display.rows import Row, RowState
from tests.unit.legs import leg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.image.platform import Leg

TARGETS = ["golang-1.27-bookworm", "golang-1.27-alpine3.24", "golang-1.26-bookworm", "golang-1.26-alpine3.24"]
PLATFORMS = ["amd64", "arm64", "armhf", "386", "ppc64le", "s390x"]
LEGS = [leg(platform, target) for target in TARGETS for platform in PLATFORMS]


def rows_of(legs: Sequence[Leg]) -> list[Row]:
    """Return rows that wait; all but those for amd64 and 386 are emulated."""
    return [Row(one, str(one.platform) not in ("linux/amd64", "linux/386")) for one in legs]


def work(row: Row, instruction: str = "RUN make -j4", output: str = "  CC main.o") -> None:
    """Let the third of nine instructions run in a row."""
    vertex = Vertex(name=instruction, instruction=instruction, number=3, total=9, started=time.time())
    vertex.log = Output([output] if output else [])
    row.changed(vertex)


def screen(rows: Sequence[Row], columns: int, height: int | None = None) -> list[str]:
    """Return the lines of a terminal of so many columns, of which three are left free."""
    return [line.plain.rstrip() for line in draw_rows(rows, columns - 3, height)]


def test_a_target_is_named_by_its_first_row() -> None:
    """The eye finds it there, and reads platforms below it; the last line of output stands behind the instruction."""
    rows = rows_of([leg("amd64", "base"), leg("arm64", "base"), leg("amd64", "app"), leg("arm64", "app")])
    work(rows[0])
    work(rows[1], "RUN apt-get update && apt-get install --yes build-essential", "Get:1 http://deb.debian.org stable")
    rows[2].end(RowState.STOPPED)
    assert [
        "base  linux/amd64            building  3/9 RUN make -j4  CC main.o                                0s",
        "      linux/arm64  emulated  building  3/9 RUN apt-get update &&…  Get:1 http://deb.debian.…      0s",
        "app   linux/amd64            stopped",
        "      linux/arm64  emulated  waiting",
    ] == screen(rows, 103)


def test_platform_that_is_built_waits_for_those_it_is_built_with() -> None:
    """Between two instructions its last one stays; after a second without any, the row says that nothing happens."""
    row = Row(leg("amd64", ""), emulated=False)
    vertex = Vertex(name="RUN make", instruction="RUN make", number=3, total=3, started=time.time())
    row.changed(vertex)
    vertex.completed = time.time()
    row.changed(vertex)
    assert "linux/amd64  building  3/3 RUN make" == screen([row], 60)[0].partition("   ")[0]
    time.sleep(1.1)
    assert "linux/amd64  waiting" == screen([row], 60)[0].partition("   ")[0]
    assert RowState.WAITING is row.state
    row.end(RowState.DONE)
    assert "linux/amd64  done" == screen([row], 60)[0].partition("   ")[0]


def test_more_rows_than_fit_are_those_that_run_and_a_line_of_the_others() -> None:
    """24 images on a terminal of 10 lines and 100 columns."""
    rows = rows_of(LEGS)
    for row in rows[:14]:
        row.end(RowState.DONE)
    for row in rows[14:17]:
        work(row)
    assert [
        "golang-1.26-bookworm    linux/arm/v7   emu  building  3/9 RUN make -j4  CC main.o              0s",
        "                        linux/386           building  3/9 RUN make -j4  CC main.o              0s",
        "                        linux/ppc64le  emu  building  3/9 RUN make -j4  CC main.o              0s",
        "14 done, 7 waiting",
    ] == screen(rows, 100, 10)


def test_more_running_rows_than_fit_are_counted() -> None:
    """Failed ones take what room is left."""
    rows = rows_of(LEGS)
    rows[0].end(RowState.FAILED)
    for row in rows[4:8]:
        work(row, output="")
    four = [
        "golang-1.27-bookworm    linux/ppc64le  emu  building  3/9 RUN make -j4                         0s",
        "                        linux/s390x    emu  building  3/9 RUN make -j4                         0s",
        "golang-1.27-alpine3.24  linux/amd64         building  3/9 RUN make -j4                         0s",
        "                        linux/arm64    emu  building  3/9 RUN make -j4                         0s",
    ]
    failed = "golang-1.27-bookworm    linux/amd64         failed"
    assert [failed, four[0].replace(TARGETS[0], " " * 20), *four[1:], "19 waiting"] == screen(rows, 100, 6)
    assert [*four, "1 failed, 19 waiting"] == screen(rows, 100, 5)
    assert [*four[:3], "1 building, 1 failed, 19 waiting"] == screen(rows, 100, 4)
    assert ["4 building, 1 failed, 19 waiting"] == screen(rows, 100, 1)
    assert (24, 24) == (len(screen(rows, 100, 24)), len(screen(rows, 100)))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (120, f"golang-1.27-alpine3.24  linux/arm64  emulated  building  3/9 RUN make -j4  CC main.o{' ' * 31}0s"),
        (80, "…ng-1.27-alpine3.24  linux/arm64  emu  building  3/9 RUN make -j4          0s"),
        (60, "…27-alpine3.24  linux/arm64  emu  building  3/9 …      0s"),
        (42, "…pine3.24  linux/arm64  emu  building …"),
        (20, "…ine3.24  linux/…"),
        (4, "…"),
        (1, "…"),
    ],
)
def test_long_names_of_targets_keep_their_end(columns: int, expected: str) -> None:
    """In it the targets of a matrix differ."""
    rows = rows_of([leg("arm64", TARGETS[1])])
    work(rows[0])
    assert [expected] == screen(rows, columns)


def test_letters_of_two_columns_move_nothing() -> None:
    """The figures at the end stay in their column, and no row is wider than there is room."""
    rows = rows_of([leg("amd64", "app"), leg("arm64", "app")])
    work(rows[0], "RUN 漢字漢字", "進捗" * 60)
    work(rows[1], "RUN 字" * 90, "進")
    assert [
        "app  linux/amd64       building  3/9 RUN 漢字漢字  進捗進捗進捗進捗 …      0s",
        "     linux/arm64  emu  building  3/9 RUN 字RUN 字RUN 字RUN 字RUN 字R…      0s",
    ] == screen(rows, 80)
    assert [77, 77] == [line.cell_len for line in draw_rows(rows, 77, None)]


def test_rows_have_letters_of_the_encoding_of_their_stream() -> None:
    """An ellipsis of three dots, or an escape, would be wider than the terminal."""

    class Latin(io.StringIO):
        encoding = "latin-1"

    stream = Latin()
    progress = LiveProgress(stream)
    progress.begin({leg("arm64", "a" * 99): True})
    progress.changed(Vertex(name="字" * 99, instruction="字" * 99, started=time.time()), [leg("arm64", "a" * 99)])
    progress.end()
    assert ".aaaaaaaaaaaaaaaaaa" in stream.getvalue()
    lines = re.sub(r"\x1b\[[?\d;]*\w", "", stream.getvalue()).splitlines()
    assert (True, True) == (all(line.isascii() for line in lines), max(map(len, lines)) <= 77)


def test_a_drawing_is_one_update_of_the_terminal() -> None:
    """Rows do not flicker: what erases them and what draws them again is shown at once."""
    stream = io.StringIO()
    progress = LiveProgress(stream)
    progress.begin({leg("arm64"): True})
    progress.say("a line")
    progress.end()
    updates = stream.getvalue().split("\x1b[?2026h")[1:]
    assert {1} == {update.count("\x1b[?2026l") for update in updates}
    assert [] == [update for update in updates if "linux" in update.partition("\x1b[?2026l")[2]]
