"""One run of a solve, with small programs in the place of buildctl."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from multiarch.buildkit.solve import Solve
from multiarch.display.progress import Progress
from multiarch.errors import BuildctlNotExecutableError, BuildFailedError
from tests.unit.legs import leg
from tests.unit.rawjson import log, vertex, warning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ARM64 = leg("arm64")
RUN = 'process "/bin/sh -c make" did not complete successfully: exit code: 3'


def solve(tmp_path: Path, *lines: str, status: int = 0) -> str:
    """Run a solve that writes *lines* to standard error and ends with *status*; return what was shown."""
    said = tmp_path / "said"
    said.write_text("".join(f"{line}\n" for line in lines))
    shown = io.StringIO()
    command = ["sh", "-c", 'cat "$0" >&2; echo noise; exit "$1"', str(said), str(status)]
    Solve([ARM64], Progress(shown)).run(command, threading.Event())
    written = shown.getvalue().splitlines(keepends=True)
    assert [] == [line for line in written if not line.startswith("linux/arm64 │ ")]
    return "".join(line.removeprefix("linux/arm64 │ ") for line in written)


def failure(tmp_path: Path, *lines: str, status: int = 1) -> BuildFailedError:
    """Return the error that a solve ends in."""
    with pytest.raises(BuildFailedError) as caught:
        solve(tmp_path, *lines, status=status)
    return caught.value


# What is shown.


def test_steps_are_shown_as_they_end(tmp_path: Path) -> None:
    """Each step once, when it is done, with its time; BuildKit's internal ones are left out."""
    assert (
        "[1/2] FROM busybox  CACHED\n"
        "  compiling\n"
        "  linking\n"
        "[2/2] RUN make  2.5s\n"
        "warning: JSONArgsRecommended\n"
        "exporting to image  0.0s\n"
    ) == solve(
        tmp_path,
        vertex("a", "[internal] load build definition", seconds=1),
        vertex("b", "[1/2] FROM busybox", seconds=0, cached=True),
        vertex("c", "[2/2] RUN make"),
        log("c", "compiling\nlin"),
        log("c", "king\n"),
        vertex("c", "[2/2] RUN make", seconds=2.5),
        vertex("c", "[2/2] RUN make", seconds=2.5),
        warning("JSONArgsRecommended"),
        vertex("d", "exporting to image", seconds=0),
    )


@pytest.mark.parametrize(
    ("started", "completed", "expected"),
    [
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:06.623456789Z", "1.5s"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z", "1.0s"),
        # Go leaves out zeros at the end.
        ("2026-01-02T03:04:05.5Z", "2026-01-02T03:04:06Z", "0.5s"),
        ("2026-01-02T03:04:05.12345Z", "2026-01-02T03:05:05.12345Z", "60.0s"),
        (None, "2026-01-02T03:04:06Z", "done"),
    ],
)
def test_times_are_read_as_go_writes_them(tmp_path: Path, started: str | None, completed: str, expected: str) -> None:
    """With nine digits, fewer, or none after the second."""
    assert f"x  {expected}\n" == solve(tmp_path, vertex("a", "x", started=started, completed=completed))


def test_a_progress_bar_is_its_last_state(tmp_path: Path) -> None:
    """Of a line that was overwritten in place the last state is shown."""
    assert "  100%\n  done\n" == solve(tmp_path, log("a", "1%\r50%\r100%\ndo"), log("a", "ne\r\n"))


def test_a_letter_cut_in_two_is_whole_again(tmp_path: Path) -> None:
    """Output comes in pieces of bytes, which may end within a letter."""
    assert "  grün\n" == solve(tmp_path, log("a", b"gr\xc3"), log("a", b"\xbcn\n"))


def test_a_long_line_is_one_line(tmp_path: Path) -> None:
    """A state of any size is read whole."""
    assert "  " + "x" * 300_000 + "\n" == solve(tmp_path, log("a", "x" * 300_000 + "\n"))


# What a failure says.


def test_a_failed_step_is_shown_with_its_last_lines(tmp_path: Path) -> None:
    """The step, the cause, and the last twenty lines of that step alone, the unfinished one too."""
    error = failure(
        tmp_path,
        vertex("a", "[1/3] FROM busybox", seconds=1),
        log("c", "another step\n"),
        *(log("b", f"line {number}\n") for number in range(1, 31)),
        log("b", "fatal: no rule"),
        log("c", "another step\n"),
        vertex("c", "[3/3] RUN true", seconds=1, error="context canceled"),
        vertex("b", "[2/3] RUN make", seconds=1, error=RUN),
        f"error: failed to solve: {RUN}",
    )
    assert [
        f"linux/arm64: build failed in [2/3] RUN make: {RUN}",
        *(f"  | line {number}" for number in range(12, 31)),
        "  | fatal: no rule",
    ] == str(error).splitlines()
    assert not error.transient


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("importing cache manifest from x:buildcache-arm64", "x:buildcache-arm64: not found"),
        ("exporting cache to registry", "failed to push x:buildcache-arm64: denied: no such repository"),
        ("exporting cache to client directory", "no space left on device"),
    ],
)
def test_a_cache_that_is_not_there_is_no_failure(tmp_path: Path, name: str, reason: str) -> None:
    """BuildKit goes on without it: it is told with the reason, and what fails afterwards is what failed."""
    lines = [
        'time="2026-11-24T07:40:49Z" level=warning msg="local cache import at /c skipped"',
        vertex("a", name),
        vertex("a", name, seconds=0.1, error=reason),
        vertex("a", name, seconds=0.1, error=reason),
    ]
    assert f"{name}: {reason}  0.1s\n" == solve(tmp_path, *lines)
    failed = failure(tmp_path, *lines, vertex("b", "[2/2] RUN make", seconds=1, error=RUN))
    assert f"linux/arm64: build failed in [2/2] RUN make: {RUN}" == str(failed)
    assert "linux/arm64: build failed: no such thing" == str(failure(tmp_path, *lines, "error: no such thing"))


def test_of_several_failures_the_one_of_the_line_is_told(tmp_path: Path) -> None:
    """Steps run side by side; step, line and cause are of one that buildctl names."""
    said, other = RUN, RUN.replace("3", "7")
    lines = [
        vertex("a", "[a 2/2] RUN other", seconds=1, error=other),
        vertex("b", "[b 2/2] RUN make", seconds=1, error=said),
        *(
            "Dockerfile:4",
            "-----",
            "   4 | >>> RUN make \\",
            "   5 | >>>  all",
            "-----",
            f"error: failed to solve: {said}",
        ),
    ]
    (tmp_path / "said").write_text("".join(f"{line}\n" for line in lines))
    attempt = Solve([ARM64], Progress(io.StringIO()))
    with pytest.raises(BuildFailedError) as caught:
        attempt.run(["sh", "-c", f"cat {tmp_path}/said >&2; exit 1"], threading.Event())
    assert f"linux/arm64: build failed in [b 2/2] RUN make (Dockerfile:4): {said}" == str(caught.value)
    assert ("[b 2/2] RUN make", "Dockerfile:4") == (attempt.failed and attempt.failed.name, attempt.where)


def test_a_failure_without_a_step(tmp_path: Path) -> None:
    """Words outside of any step are the cause, without the layers that they passed through."""
    error = failure(
        tmp_path,
        "error: failed to solve: rpc error: code = Unknown desc = dockerfile parse error on line 1: "
        "unknown instruction: FORM",
    )
    assert "linux/arm64: build failed: dockerfile parse error on line 1: unknown instruction: FORM" == str(error)


def test_a_failure_without_a_word(tmp_path: Path) -> None:
    """At least the status is told."""
    assert "linux/arm64: build failed: buildctl ended with status 7" == str(failure(tmp_path, status=7))


def test_words_that_look_like_json_are_words(tmp_path: Path) -> None:
    """A line that is JSON and no state is taken as it stands, as are broken ones."""
    assert 'linux/arm64: build failed: 7 "x" {"vertexes": [' == str(failure(tmp_path, "7", '"x"', "", '{"vertexes": ['))


# The process.


@pytest.mark.parametrize("kind", ["absent", "no permission", "no program"])
def test_a_program_that_cannot_be_started_is_named(tmp_path: Path, kind: str) -> None:
    """One line with the path and the system's reason."""
    program = tmp_path / "buildctl"
    if kind != "absent":
        program.write_bytes(b"\x7fELF of no machine")
        program.chmod(0o644 if kind == "no permission" else 0o755)
    with pytest.raises(BuildctlNotExecutableError, match=rf"^buildctl at {program} cannot run here \(.+\): install"):
        Solve([ARM64], Progress(io.StringIO())).run([str(program)], threading.Event())


def test_the_process_is_out_of_reach_of_the_keyboard(tmp_path: Path) -> None:
    """It has a session of its own and no input, so that Ctrl-C comes to us alone."""
    told = tmp_path / "told"
    program = (
        f"import os, sys; open({str(told)!r}, 'w').write(f'{{os.getsid(0) == os.getpid()}} {{sys.stdin.read()!r}}')"
    )
    with _typed("y\n"):
        Solve([ARM64], Progress(io.StringIO())).run([sys.executable, "-S", "-c", program], threading.Event())
    assert "True ''" == told.read_text()


@contextmanager
def _typed(text: str) -> Iterator[None]:
    """Have something to read on this process's own standard input."""
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    former = os.dup(0)
    os.dup2(reader, 0)
    try:
        yield
    finally:
        os.dup2(former, 0)
        os.close(former)
        os.close(reader)


def _is_gone(pid_file: Path) -> bool:
    """Tell whether the process that wrote its id has ended and was waited for."""
    try:
        os.kill(int(pid_file.read_text()), 0)
    except ProcessLookupError:
        return True
    return False


def _when_written(pid_file: Path, then: object) -> threading.Thread:
    """Call *then* a moment after the process has written its id."""

    def wait() -> None:
        deadline = time.monotonic() + 5
        while not (pid_file.exists() and pid_file.read_text().endswith("\n")) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert callable(then)
        then()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("script", ["exec sleep 60", "while :; do echo busy >&2; done"], ids=["silent", "busy"])
def test_a_stop_ends_the_process(tmp_path: Path, script: str) -> None:
    """Whether it is silent or not, the process is ended and waited for; the error is not one to retry."""
    pid_file, stopped = tmp_path / "pid", threading.Event()
    stopper = _when_written(pid_file, stopped.set)
    began = time.monotonic()
    with pytest.raises(BuildFailedError, match=r"^linux/arm64: build failed: stopped$") as caught:
        Solve([ARM64], Progress(io.StringIO())).run(["sh", "-c", f"echo $$ > {pid_file}; {script}"], stopped)
    stopper.join()
    assert time.monotonic() - began < 30
    assert (True, False) == (_is_gone(pid_file), caught.value.transient)


def test_an_interrupt_ends_the_process(tmp_path: Path) -> None:
    """Ctrl-C passes through, and leaves nothing behind."""
    pid_file = tmp_path / "pid"
    interrupter = _when_written(pid_file, lambda: os.kill(os.getpid(), signal.SIGINT))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Solve([ARM64], Progress(io.StringIO())).run(
            ["sh", "-c", f"echo $$ > {pid_file}; exec sleep 60"], threading.Event()
        )
    interrupter.join()
    assert time.monotonic() - began < 30
    assert _is_gone(pid_file)


def test_what_is_stopped_before_it_starts_leaves_nothing(tmp_path: Path) -> None:
    """A run that is already stopped ends at once."""
    stopped = threading.Event()
    stopped.set()
    began = time.monotonic()
    with pytest.raises(BuildFailedError, match="stopped"):
        Solve([ARM64], Progress(io.StringIO())).run(["sleep", "60"], stopped)
    assert time.monotonic() - began < 30
