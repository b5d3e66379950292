"""Lines on standard error."""

from __future__ import annotations

import io
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from multiarch.display.console import progress_for
from multiarch.display.progress import Progress, Summary
from multiarch.image.platform import Platform
from tests.exhaustive.scenes import PAUSE, solve
from tests.unit.rawjson import log, status, vertex

AMD64, ARM64, ARM = map(Platform.parse, ("amd64", "arm64", "armhf"))


def test_every_line_has_the_prefix_of_its_platform() -> None:
    """Padded to one width, so that the columns of several platforms stand below each other."""
    stream = io.StringIO()
    progress = Progress(stream)
    arm64, arm = Platform.parse("arm64"), Platform.parse("armhf")
    progress.say("first")
    progress.begin({arm64: True, arm: True})
    progress.say("one\ntwo", [arm64])
    progress.say("", [arm])
    progress.say("of both", [arm64, arm])
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


def test_lines_of_several_writers_stay_whole() -> None:
    """Blocks that are said at once are not mixed."""
    stream = io.StringIO()
    progress = Progress(stream)
    writers = [Platform.parse(name) for name in ("amd64", "arm64", "s390x", "riscv64")]

    def write(writer: Platform) -> None:
        for _ in range(200):
            progress.say("a\nb\nc", [writer])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, writers))
    lines = stream.getvalue().splitlines()
    blocks = [lines[start : start + 3] for start in range(0, len(lines), 3)]
    assert 4 * 200 == len(blocks)
    assert [] == [block for block in blocks if 1 != len({line.partition(" │ ")[0] for line in block})]


def test_steps_of_several_platforms_are_told_apart() -> None:
    """What BuildKit does for one of them stands behind its name, also across; what it does for all behind none."""
    stream = io.StringIO()
    progress = Progress(stream)
    progress.begin({ARM64: True, ARM: True})
    solve(
        progress,
        [ARM64, ARM],
        vertex("a", "[linux/arm64 2/3] RUN make", seconds=1),
        vertex("b", "[linux/arm/v7 build 2/3] RUN make", seconds=1, cached=True),
        # Told again, and not shown again.
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


def _beats(progress: Progress, *lines: str) -> list[str]:
    """Return what is said of its own accord while a solve says these lines and a pause, without the times."""
    stream = progress.stream
    assert isinstance(stream, io.StringIO)
    progress.begin({ARM64: True, ARM: True})
    solve(progress, [ARM64, ARM], *lines, PAUSE, PAUSE)
    progress.end()
    return [re.sub(r"\d+m\d\ds|\d+\.\ds", "T", line) for line in stream.getvalue().splitlines()]


def test_it_is_never_silent_for_long() -> None:
    """What runs is named again and again, with its bytes; not what is to come, nor what BuildKit does for itself."""
    waiting = vertex("c", "[linux/arm64 3/3] RUN sleep", started=None)
    lines = _beats(
        Progress(io.StringIO(), heartbeat=0.1),
        vertex("i", "[internal] load build context"),
        vertex("a", "[linux/arm64 2/3] RUN make"),
        vertex("b", "[linux/arm/v7 1/2] FROM busybox"),
        status("b", "sha256:1", 1_000_000, 5_000_000),
        status("b", "extracting sha256:0", 7, 7),
        waiting,
    )
    expected = {
        "linux/arm64  │ still at [2/3] RUN make (T)",
        "linux/arm/v7 │ still at [1/2] FROM busybox (T, 1.0 MB of 5.0 MB)",
    }
    assert expected == set(lines)
    assert len(lines) >= 4


def test_where_nothing_is_known_it_says_at_least_that_it_works() -> None:
    """As while something is waited for; also in a section, such as that of the preparations."""
    assert {"still at work"} == set(_beats(Progress(io.StringIO(), heartbeat=0.1)))
    stream = io.StringIO()
    with Progress(stream, heartbeat=0.1).section("prepare"):
        time.sleep(0.3)
    assert {"still at work"} == set(stream.getvalue().splitlines())


def test_who_speaks_needs_no_heartbeat() -> None:
    """And 0 asks for none."""
    for progress in (Progress(io.StringIO(), heartbeat=30), Progress(io.StringIO(), heartbeat=0)):
        assert [] == _beats(progress, vertex("a", "[2/3] RUN make"))


def test_steps_of_an_attempt_that_failed_run_no_longer() -> None:
    """A buildctl that was ended does not tell of the end of what ran."""
    stream = io.StringIO()
    progress = Progress(stream, heartbeat=0.1)
    progress.begin({ARM64: True})
    solve(progress, [ARM64], vertex("a", "[2/3] RUN make"))
    progress.retrying("attempt 1 failed", [ARM64])
    time.sleep(0.3)
    progress.end()
    first, *others = stream.getvalue().splitlines()
    assert ("linux/arm64 │ attempt 1 failed", {"still at work"}) == (first, set(others))


def test_the_heartbeat_ends_with_the_building() -> None:
    """No thread is left, however often it ends; a release in a section needs one alone."""
    before = threading.active_count()
    progress = Progress(io.StringIO())
    with progress.section("build"):
        progress.begin({ARM64: True})
        assert 1 == threading.active_count() - before
        progress.end()
    progress.end()
    assert before == threading.active_count()
    Progress(io.StringIO()).say("a word")
    assert before == threading.active_count()


@pytest.mark.parametrize(
    ("environ", "begin", "end"),
    [
        ({}, "", ""),
        ({"CI": "true"}, "", ""),
        ({"GITHUB_ACTIONS": "true"}, "::group::all {0}\n", "::endgroup::\n"),
        ({"TRAVIS": "true"}, "travis_fold:start:all__0_\r\x1b[0Kall {0}\n", "travis_fold:end:all__0_\r\x1b[0K"),
        (
            {"GITLAB_CI": "true"},
            "\x1b[0Ksection_start:NOW:all__0_\r\x1b[0Kall {0}\n",
            "\x1b[0Ksection_end:NOW:all__0_\r\x1b[0K\n",
        ),
    ],
)
def test_sections_are_folded_as_each_ci_does(environ: dict[str, str], begin: str, end: str) -> None:
    """After the documentation of each; also when what is in them fails."""
    stream = io.StringIO()
    progress = progress_for(stream, environ, quiet=False)
    with pytest.raises(ValueError, match="what fails"), progress.section("all {0}"):
        progress.say("a word")
        raise ValueError("what fails")
    assert f"{begin}a word\n{end}" == re.sub(r"\d{10}", "NOW", stream.getvalue())


def test_quiet_says_nothing() -> None:
    """No word, step, output, table, fold or heartbeat: what fails is told by the error."""
    stream = io.StringIO()
    progress = progress_for(stream, {"TRAVIS": "true"}, quiet=True)
    progress.heartbeat = 0.05
    with progress.section("build"):
        progress.say("a word", [ARM64])
        progress.retrying("attempt 1 failed", [ARM64, ARM])
        _beats(progress, vertex("a", "[2/3] RUN make", seconds=1), log("a", "compiling\n"))
        progress.table([Summary(ARM64, "sha256:1", 1, 1.0, 1, 1, True)])
    assert "" == stream.getvalue()


def test_the_table_at_the_end() -> None:
    """A row for each platform, columns below each other, units for people."""
    stream = io.StringIO()
    Progress(stream).table(
        [
            Summary(AMD64, "sha256:1", 999, 0.04, 3, 0, emulated=False),
            Summary(ARM, "sha256:22", 12_345_678, 754.9, 12, 10, emulated=True),
        ]
    )
    assert (
        "PLATFORM      DIGEST     SIZE     TIME    CACHED    BUILT\n"
        "linux/amd64   sha256:1   999 B    0.0s    0 of 3    natively\n"
        "linux/arm/v7  sha256:22  12.3 MB  12m34s  10 of 12  emulated\n"
    ) == stream.getvalue()


class _Terminal(io.StringIO):
    """What says that it is one."""

    def isatty(self) -> bool:
        """Always."""
        return True


@pytest.mark.parametrize(
    ("environ", "quiet", "live"),
    [
        ({"TERM": "xterm"}, False, True),
        ({"TERM": "xterm", "CI": "false"}, False, True),
        ({"TERM": "xterm"}, True, False),
        ({"TERM": "xterm", "CI": "1"}, False, False),
        ({"TERM": "xterm", "TRAVIS": "true"}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
    ],
)
def test_rows_are_for_people_at_terminals(environ: dict[str, str], quiet: bool, live: bool) -> None:
    """Not for a CI, even where it has a terminal; not for a terminal that cannot go back."""
    progress = progress_for(_Terminal(), environ, quiet=quiet)
    assert (live, quiet) == (type(progress).__name__ == "LiveProgress", progress.quiet)
    assert Progress is type(progress_for(io.StringIO(), environ, quiet=quiet))
