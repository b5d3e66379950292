"""Readers of our output that have stopped, and signals then: nothing waits for ever, and no tag is half moved."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING

import pytest

from tests.unit.registry_server import Reply, refusal
from tests.unit.steps.test_release import release as release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.registry_server import Request
    from tests.unit.steps.test_release import Release

BUSY = 'while :; do echo \'{"logs": [{"vertex": "a", "data": "eAo="}]}\' >&2; done'
LONGEST = 30  # seconds; the promises are shorter, and machines of CIs are loaded


class Pipe:
    """A pipe whose reader reads when the test does."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def fill(self) -> None:
        """Write until it takes no more."""
        # Opened again: the other writers' descriptors are to block.
        writer = os.open(f"/proc/self/fd/{self.writer}", os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, bytes(4096))
        os.close(writer)

    def read(self) -> str:
        """Return all that is written, at the end of the writers."""
        os.close(self.writer)
        with os.fdopen(self.reader, "rb") as file:
            return file.read().replace(b"\0", b"").decode()

    def close(self) -> None:
        """Close what is open of it."""
        for descriptor in (self.reader, self.writer):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe."""
    pipe = Pipe()
    yield pipe
    pipe.close()


def start(
    release: Release, *flags: str, out: int | IO[str] = subprocess.PIPE, err: int | IO[str] = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Begin a release in a process of its own, which takes signals."""
    return subprocess.Popen(
        release.project.command("release", *flags),
        cwd=release.project.path,
        env=release.project.env(),
        stdout=out,
        stderr=err,
        text=True,
        # Where these tests run in the background, an interrupt is ignored from the start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lines_until_moved(process: subprocess.Popen[str]) -> None:
    """Read standard error up to its last line, which follows the move of the tags."""
    assert process.stderr
    left = 2
    while left:
        line = process.stderr.readline()
        assert line
        left -= line.startswith("run it:")


def test_reader_that_stops_while_tags_move_does_not_hold_them(release: Release, pipe: Pipe) -> None:
    """Each request writes a line, and so does each retry."""
    release.install("push")
    refused = threading.Event()

    def refuse(request: Request) -> Reply:
        if not refused.is_set():
            pipe.fill()
            refused.set()
            return refusal(503)
        return release.server.from_contents(request)

    release.server.table["PUT /v2/app/manifests/latest"] = [refuse]
    with start(release, "--verbose", err=pipe.writer) as process:
        wait_for(lambda: len(release.published) == 2)
        assert refused.is_set()
        written = pipe.read()
        assert process.stdout
        assert 2 == len(process.stdout.readlines())
        assert 0 == process.wait(LONGEST)
    assert "attempt 1 failed" in written
    assert "run it: " in written.splitlines()[-1]


def test_interrupt_ends_a_run_whose_reader_has_stopped(release: Release, pipe: Pipe) -> None:
    """In the midst of a build that says more than the pipe holds."""
    release.install(f": > begun; while ! [ -e filled ]; do sleep 0.01; done; {BUSY}")
    with start(release, err=pipe.writer) as process:
        wait_for((release.project.path / "begun").exists)
        pipe.fill()
        (release.project.path / "filled").touch()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert 130 == process.wait(LONGEST)
    assert {} == release.published


@pytest.mark.parametrize("times", [1, 3])
def test_interrupt_after_the_move_lets_the_results_be_printed(release: Release, pipe: Pipe, times: int) -> None:
    """The release has done what it is for: its status is that of success, and a line says when the signal came."""
    release.install("push")
    pipe.fill()
    with start(release, out=pipe.writer) as process:
        lines_until_moved(process)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
        assert 2 == len(pipe.read().splitlines())
        assert process.stderr
        assert ["the interrupt came when all tags had moved: they are published\n"] == process.stderr.readlines()
        assert 0 == process.wait(LONGEST)
    assert 2 == len(release.published)


def test_interrupt_ends_a_run_whose_results_nobody_reads(release: Release, pipe: Pipe) -> None:
    """The tags have moved, and that is said."""
    release.install("push")
    pipe.fill()
    with start(release, out=pipe.writer) as process:
        lines_until_moved(process)
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert ["interrupted; all tags had moved before\n"] == process.stderr.readlines()
        assert 130 == process.wait(LONGEST)
    assert 2 == len(release.published)
