"""Streams that take no more: what is shown is lost, and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.display.heartbeat import Heartbeat
from multiarch.display.lines import LineWriter
from multiarch.display.live import LiveProgress
from multiarch.display.outlet import Outlet
from multiarch.display.progress import Progress
from multiarch.display.summary import Summary
from tests.unit.display.test_report import HOSTILE
from tests.unit.legs import leg
from tests.unit.project import ROOT
from tests.unit.rawjson import log, vertex
from tests.unit.steps.test_release import release as release

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.project import Project
    from tests.unit.steps.test_release import Release

ARM64 = leg("arm64")
UNICODE = UnicodeEncodeError("ascii", "│", 0, 1, "ordinal not in range(128)")


class Broken(io.StringIO):
    """A stream that raises at a write, and counts the attempts."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.attempts = 0

    def write(self, _: str) -> int:
        """Raise the error."""
        self.attempts += 1
        raise self.error


def events(progress: Progress) -> None:
    """Show one event of each kind."""
    progress.say("a word")
    with progress.section("build"):
        progress.begin({ARM64: True})
        progress.retrying("attempt 1 failed", [ARM64])
        progress.done([ARM64])
        progress.end()
    progress.table([Summary(ARM64.platform, "sha256:1", 1, 1.0, 1, 1, emulated=True)])


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(32, "Broken pipe"),
        OSError(28, "No space left on device"),
        ValueError("closed"),
        UNICODE,
        RuntimeError("of another kind"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("display", [Progress, LiveProgress])
def test_stream_that_raises_is_left_alone_from_then_on(display: Callable[..., Progress], error: Exception) -> None:
    """Nothing is raised into what is shown, and the stream is asked once."""
    stream = Broken(error)
    events(display(stream))
    assert 1 == stream.attempts


def test_interrupt_passes_through() -> None:
    """What a signal raises is no fault of the stream."""
    stream = Broken(KeyboardInterrupt())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        Outlet(stream).write("a word\n")


def test_letters_that_an_encoding_lacks_are_written_otherwise() -> None:
    """The column is a bar in ASCII too; other letters are told by their numbers."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Progress(stream).say("grün…", [ARM64])
    assert b"linux/arm64 | gr\\xfcn...\n" == raw.getvalue()


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2>pipe"])
@pytest.mark.parametrize("end", ["", "PYTHONIOENCODING=ascii LC_ALL=C TERM= COLUMNS=1"])
def test_release_ends_alike_whatever_becomes_of_standard_error(release: Release, redirection: str, end: str) -> None:
    """A closed one, a full disk, a reader that left: the tags move, the results are printed, the status is 0."""
    Path("said").write_text(f"{vertex('a', '[1/1] RUN true', seconds=1)}\n{log('a', 'grün')}\n")
    release.install("say said; push")
    result = run_in_shell(release.project, "release", redirection, variables=end)
    assert (0, 2, "", 2) == (result.returncode, len(result.stdout.splitlines()), result.stderr, len(release.published))


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2>pipe"])
def test_failure_keeps_its_status(project: Project, redirection: str) -> None:
    """Nobody reads why, and nothing of it comes to standard output."""
    result = run_in_shell(project, "release", redirection)
    assert (1, "", "") == (result.returncode, result.stdout, result.stderr)


@pytest.mark.parametrize(
    ("redirection", "status", "error"),
    [
        (">/dev/full", 1, "the results cannot be printed: No space left on device; the step itself is done"),
        (">&-", 1, "it is closed, so that the results cannot be printed; the step itself is done"),
        (">pipe", 1, ""),
        (">/dev/full 2>&1", 1, None),
        (">pipe 2>&1", 1, None),
        (">&- 2>&-", 1, None),
    ],
)
def test_results_that_cannot_be_printed_are_an_error(
    release: Release, redirection: str, status: int, error: str | None
) -> None:
    """One line at the end, when the tags have moved; the report says what was published. No traceback."""
    release.install("push")
    result = run_in_shell(release.project, "release --report r.json", redirection)
    assert (status, 2, "") == (result.returncode, len(release.published), result.stdout)
    assert [f"standard output: {error}"] * bool(error) == [
        line for line in result.stderr.splitlines() if "standard output" in line
    ]
    assert [] == [line for line in result.stderr.splitlines() if "Traceback" in line or "Exception" in line]
    assert "published" == json.loads(Path("r.json").read_text())["outcome"]


def run_in_shell(
    project: Project, words: str, redirection: str, *, variables: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run invoke in a shell; ``pipe`` in the *redirection* is a pipe whose reader has left."""
    if "pipe" in redirection:
        os.mkfifo(project.path / "pipe")
    # A shell opens a pipe for reading and writing without waiting; then the end that reads is closed.
    pipe = "exec 9<>pipe 8>pipe 9<&-; " if "pipe" in redirection else ""
    command = f"{variables} {sys.executable} -m invoke {words} {redirection.replace('pipe', '&8')}"
    return subprocess.run(
        ["/bin/sh", "-c", pipe + command],
        cwd=project.path,
        env=project.env(),
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_sizes_that_are_none_do_not_fail_the_table() -> None:
    """The tags have moved when it is written: a dash stands for what is no number."""
    stream = io.StringIO()
    odd: list[Any] = ["12", None, -1, float("nan"), float("inf"), 10**400, True, [1]]
    Progress(stream).table([Summary(ARM64.platform, "sha256:1", value, value, 1, 1, emulated=True) for value in odd])
    rows = [line.split() for line in stream.getvalue().splitlines()[1:]]
    assert [["-", "done" if value is None else "-"] for value in odd] == [row[2:4] for row in rows]


def test_hostile_names_stay_in_their_row() -> None:
    """Whatever BuildKit says of a vertex, a platform has one line of one row."""
    stream = io.StringIO()
    progress = LiveProgress(stream)
    progress.begin({ARM64: True})
    for name in (f"[1/2] RUN {HOSTILE}\n\x1b[2Jmake\r", "\u202e" * 50_000, "\x1b]52;c;", "\ud800"):
        assert "\n" not in shown_name(progress, name)
    progress.end()


def shown_name(progress: LiveProgress, name: str) -> str:
    """Return the row that shows a vertex of a name."""
    from multiarch.buildkit.output import Output
    from multiarch.buildkit.status import Vertex
    from multiarch.display.rows import Layout, Row

    row = Row(ARM64, emulated=True)
    row.changed(Vertex(name=name, instruction=name, started=time.time(), log=Output([name])))
    return row.draw(Layout.of([row], 70)).plain


def test_no_descriptor_is_left_open() -> None:
    """Of the way to nowhere there is one, under the number of the stream."""
    reader, writer = os.pipe()
    os.close(reader)
    before = set(os.listdir("/proc/self/fd"))
    with os.fdopen(writer, "w") as stream:
        Outlet(stream).write("a word\n")
        assert before == set(os.listdir("/proc/self/fd"))
        assert os.fstat(writer).st_rdev == os.stat(os.devnull).st_rdev


def test_heartbeat_that_cannot_write_holds_nobody() -> None:
    """The reader of a pipe may stop and never go on; the build ends all the same, and so does an interrupt."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    with os.fdopen(reader, "rb"), os.fdopen(writer, "w") as stream:
        heartbeat = Heartbeat(LineWriter(stream), 0.05)
        began = time.monotonic()
        with heartbeat.beating():
            time.sleep(0.3)
        assert time.monotonic() - began < 10
        # Let the thread go.
        os.read(reader, 1 << 20)


def test_interrupt_during_a_build_ends_the_threads_of_the_display() -> None:
    """The heartbeat waits for a minute, and yet the process is over within a moment."""
    words = [sys.executable, "-m", "tests.exhaustive.scenes", "working"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "CI": "1"}
    with subprocess.Popen(words, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if "503" in line:
                break
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(10)
        assert time.monotonic() - began < 10
