"""A run as lines on standard error."""

from __future__ import annotations

import io
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from multiarch.display.console import progress_for
from multiarch.display.folds import Folds
from multiarch.display.progress import Progress
from multiarch.display.summary import Summary
from tests.exhaustive.scenes import PAUSE, solve
from tests.unit.legs import leg
from tests.unit.rawjson import log, status, vertex

if TYPE_CHECKING:
    from multiarch.image.platform import Leg

AMD64, ARM64, ARM = map(leg, ("amd64", "arm64", "armhf"))


def test_each_line_has_its_platform_in_a_column() -> None:
    """Lines of several platforms come in turns; only a release has the column, as wide as its longest platform."""
    stream = io.StringIO()
    progress = Progress(stream)
    progress.say("first")
    progress.begin({ARM64: True, ARM: True})
    progress.say("one\ntwo", [ARM64])
    progress.say("", [ARM])
    progress.say("of both", [ARM64, ARM])
    progress.end()
    progress.say("last")
    assert [
        "first",
        "linux/arm64  │ one",
        "linux/arm64  │ two",
        "linux/arm/v7 │ ",
        "             │ of both",
        "last",
    ] == stream.getvalue().splitlines()


def test_lines_of_several_threads_stay_whole() -> None:
    """Each platform is built by a thread; a block that one of them writes is not mixed with others."""
    stream = io.StringIO()
    progress = Progress(stream)
    platforms = [leg(name) for name in ("amd64", "arm64", "s390x", "riscv64")]

    def write(platform: Leg) -> None:
        for _ in range(200):
            progress.say("a\nb\nc", [platform])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, platforms))
    lines = stream.getvalue().splitlines()
    blocks = [lines[start : start + 3] for start in range(0, len(lines), 3)]
    assert 800 == len(blocks)
    assert [] == [block for block in blocks if 1 != len({line.partition(" │ ")[0] for line in block})]


def test_vertices_of_one_solve_are_told_apart_by_platform() -> None:
    """Those of one platform stand behind its name, cross-compiling ones too; those of all platforms behind none."""
    stream = io.StringIO()
    progress = Progress(stream)
    progress.begin({ARM64: True, ARM: True})
    solve(
        progress,
        [ARM64, ARM],
        vertex("a", "[linux/arm64 2/3] RUN make", seconds=1),
        vertex("b", "[linux/arm/v7 build 2/3] RUN make", seconds=1, cached=True),
        # Reported again, and not shown again.
        vertex("a", "[linux/arm64 2/3] RUN make", seconds=1),
        vertex("c", "[linux/amd64->arm64 build 3/3] RUN make", seconds=1),
        vertex("d", "[linux/amd64 build 1/3] FROM busybox", seconds=0),
        vertex("e", "[linux/arm64] exporting", seconds=1),
        log("b", "compiling\n"),
        vertex("x", "exporting to image", seconds=1),
        status("x", "exporting layers"),
        vertex("x", "exporting to image", started="2026-01-02T03:04:06Z"),
        status("x", "pushing layers"),
        vertex("x", "exporting to image", started="2026-01-02T03:04:06Z", completed="2026-01-02T03:04:08Z"),
    )
    solve(progress, [ARM], vertex("d", "[linux/amd64 build 1/3] FROM busybox", seconds=0))
    progress.end()
    assert [
        "linux/arm64  │ [2/3] RUN make  1.0s",
        "linux/arm/v7 │ [build 2/3] RUN make  CACHED",
        "linux/arm64  │ [linux/amd64->arm64 build 3/3] RUN make  1.0s",
        "             │ [linux/amd64 build 1/3] FROM busybox  0.0s",
        "linux/arm64  │ exporting  1.0s",
        "linux/arm/v7 │   compiling",
        "             │ exporting to image  1.0s",
        "             │ pushing  2.0s",
        "linux/arm/v7 │ [linux/amd64 build 1/3] FROM busybox  0.0s",
    ] == stream.getvalue().splitlines()


def _lines_of_a_build(stream: io.StringIO, progress: Progress, *lines: str) -> list[str]:
    """Return what is written, with T for times, while a solve reports *lines* and then pauses."""
    progress.begin({ARM64: True, ARM: True})
    solve(progress, [ARM64, ARM], *lines, PAUSE, PAUSE)
    progress.end()
    return [re.sub(r"\d+m\d\ds|\d+\.\ds", "T", line) for line in stream.getvalue().splitlines()]


def test_heartbeat_names_the_vertices_that_run() -> None:
    """Again and again, with their bytes; not what has not begun, nor what BuildKit does for itself."""
    stream = io.StringIO()
    lines = _lines_of_a_build(
        stream,
        Progress(stream, heartbeat=0.1),
        vertex("i", "[internal] load build context"),
        vertex("a", "[linux/arm64 2/3] RUN make"),
        vertex("b", "[linux/arm/v7 1/2] FROM busybox"),
        status("b", "sha256:1", 1_000_000, 5_000_000),
        status("b", "extracting sha256:0", 7, 7),
        vertex("c", "[linux/arm64 3/3] RUN sleep", started=None),
    )
    expected = {
        "linux/arm64  │ still at [2/3] RUN make (T)",
        "linux/arm/v7 │ still at [1/2] FROM busybox (T, 1.0 MB of 5.0 MB)",
    }
    assert expected == set(lines)
    assert len(lines) >= 4


def test_heartbeat_comes_without_a_vertex_too() -> None:
    """As while a builder is waited for; also in a section, such as that of the preparations."""
    stream = io.StringIO()
    assert {"still at work"} == set(_lines_of_a_build(stream, Progress(stream, heartbeat=0.1)))
    stream = io.StringIO()
    with Progress(stream, heartbeat=0.1).section("prepare"):
        time.sleep(0.3)
    assert {"still at work"} == set(stream.getvalue().splitlines())


@pytest.mark.parametrize("heartbeat", [30, 0])
def test_heartbeat_waits_for_silence(heartbeat: float) -> None:
    """A log that is written to shows life by itself; 0 asks for no heartbeat at all."""
    stream = io.StringIO()
    assert [] == _lines_of_a_build(stream, Progress(stream, heartbeat=heartbeat), vertex("a", "[2/3] RUN make"))


def test_heartbeat_names_no_vertex_of_a_failed_attempt() -> None:
    """A buildctl that was ended does not report the end of what ran, which then would seem to run for ever."""
    stream = io.StringIO()
    progress = Progress(stream, heartbeat=0.1)
    progress.begin({ARM64: True})
    solve(progress, [ARM64], vertex("a", "[2/3] RUN make"))
    progress.retrying("attempt 1 failed", [ARM64])
    time.sleep(0.3)
    progress.end()
    first, *others = stream.getvalue().splitlines()
    assert ("linux/arm64 │ attempt 1 failed", {"still at work"}) == (first, set(others))


def test_heartbeat_ends_with_the_build() -> None:
    """No thread is left, however often the build is ended; a build in a section needs no second one."""
    threads = threading.active_count()
    progress = Progress(io.StringIO())
    with progress.section("build"):
        progress.begin({ARM64: True})
        assert 1 == threading.active_count() - threads
        progress.end()
    progress.end()
    assert threads == threading.active_count()
    Progress(io.StringIO()).say("a word")
    assert threads == threading.active_count()


@pytest.mark.parametrize(
    ("environ", "begin", "end"),
    [
        ({}, "", ""),
        ({"CI": "true"}, "", ""),
        ({"CIRCLECI": "true"}, "", ""),
        ({"GITHUB_ACTIONS": "true"}, "::group::all {0}\n", "::endgroup::\n"),
        ({"TRAVIS": "true"}, "travis_fold:start:all__0_\r\x1b[0Kall {0}\n", "travis_fold:end:all__0_\r\x1b[0K"),
        (
            {"GITLAB_CI": "true"},
            "\x1b[0Ksection_start:NOW:all__0_\r\x1b[0Kall {0}\n",
            "\x1b[0Ksection_end:NOW:all__0_\r\x1b[0K\n",
        ),
    ],
)
def test_section_is_folded_as_its_ci_documents(environ: dict[str, str], begin: str, end: str) -> None:
    """A section that fails is ended too, or the CI would fold the error away."""
    stream = io.StringIO()
    progress = progress_for(stream, environ, quiet=False)
    with pytest.raises(ValueError, match="what fails"), progress.section("all {0}"):
        progress.say("a word")
        raise ValueError("what fails")
    assert f"{begin}a word\n{end}" == re.sub(r"\d{10}", "NOW", stream.getvalue())


def test_quiet_writes_nothing() -> None:
    """No line, output, table, fold or heartbeat: the error alone says what fails."""
    stream = io.StringIO()
    progress = Progress(stream, quiet=True, folds=Folds("begin {title}\n", "end {title}\n"), heartbeat=0.05)
    with progress.section("build"):
        progress.say("a word", [ARM64])
        progress.retrying("attempt 1 failed", [ARM64, ARM])
        _lines_of_a_build(stream, progress, vertex("a", "[2/3] RUN make", seconds=1), log("a", "compiling\n"))
        progress.table([Summary(ARM64.platform, "sha256:1", 1, 1.0, 1, 1, emulated=True)])
    assert "" == stream.getvalue()


def test_quiet_of_the_command_line_is_that_of_its_lines() -> None:
    """Wherever it runs."""
    stream = io.StringIO()
    progress_for(stream, {"TRAVIS": "true"}, quiet=True).say("a word")
    assert "" == stream.getvalue()


def test_table_has_a_row_for_each_platform() -> None:
    """Columns are aligned, and figures have the units that people read."""
    stream = io.StringIO()
    Progress(stream).table(
        [
            Summary(AMD64.platform, "sha256:1", 999, 0.04, 3, 0, emulated=False),
            Summary(ARM.platform, "sha256:22", 12_345_678, 754.9, 12, 10, emulated=True),
        ]
    )
    assert (
        "PLATFORM      DIGEST     SIZE     TIME    CACHED    BUILT\n"
        "linux/amd64   sha256:1   999 B    0.0s    0 of 3    natively\n"
        "linux/arm/v7  sha256:22  12.3 MB  12m34s  10 of 12  emulated\n"
    ) == stream.getvalue()


class _Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return True


@pytest.mark.parametrize(
    ("environ", "quiet", "expected"),
    [
        ({"TERM": "xterm"}, False, "LiveProgress"),
        ({"TERM": "xterm", "CI": "false"}, False, "LiveProgress"),
        ({"TERM": "xterm"}, True, "Progress"),
        ({"TERM": "xterm", "CI": "1"}, False, "Progress"),
        ({"TERM": "xterm", "TRAVIS": "true"}, False, "Progress"),
        ({"TERM": "dumb"}, False, "Progress"),
        ({}, False, "Progress"),
    ],
)
def test_rows_are_for_people_at_terminals(environ: dict[str, str], quiet: bool, expected: str) -> None:
    """A CI's log keeps every drawing, even where the CI has a terminal; some terminals cannot go back in a line."""
    assert expected == type(progress_for(_Terminal(), environ, quiet=quiet)).__name__
    assert Progress is type(progress_for(io.StringIO(), environ, quiet=quiet))
