"""Phases of the tests, side by side in lanes: those of a lane follow each other, and the output of each is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from lab.progress import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_POLL_SECONDS = 0.2  # between two looks at the output of a phase
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Phase:
    """A program of the tests.

    :ivar nice: how far it steps back for other lanes, as of nice(1).
    """

    name: str
    command: Sequence[str]
    nice: int = 0


def run_lanes(*lanes: Sequence[Phase]) -> list[str]:
    """Run all phases, and show the output of one after another, lane by lane; return the names of those that failed.

    After a failure no phase begins any more, and those at work come to their end.

    :raises KeyboardInterrupt: an interrupt, or a signal to end, came. The programs had it too, and have ended; a second
        one does not wait for what they do at their end.
    """
    work = _Work([[_Run(phase) for phase in lane] for lane in lanes])
    with _interrupting():
        try:
            work.begin()
            work.show()
        except BaseException:
            work.signal(signal.SIGINT)
            work.wait()
            work.show()
            raise
        finally:
            work.signal(signal.SIGKILL)
            work.wait()
            work.close()
    return [run.phase.name for run in work.runs if run.status]


@dataclass
class _Run:
    """Run of a phase.

    :ivar status: the exit status; None before the end, and where it never began.
    :ivar is_over: set at its end, or when it will not begin.
    :ivar place: how many bytes of its output are shown; None before its heading.
    :ivar is_shown: whether all of its output and its end are shown.
    :ivar is_told: whether its failure was told meanwhile.
    """

    phase: Phase
    status: int | None = None
    seconds: float = 0.0
    process: subprocess.Popen[bytes] | None = None
    output: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    place: int | None = None
    is_shown: bool = False
    is_told: bool = False
    is_over: threading.Event = field(default_factory=threading.Event)

    @property
    def end(self) -> str:
        """How it ended."""
        if self.process is None:
            return "not run"
        return f"{'failed' if self.status else 'passed'} after {duration(self.seconds)}"


class _Work:
    """The lanes of one call."""

    def __init__(self, lanes: list[list[_Run]]) -> None:
        self.runs = [run for lane in lanes for run in lane]
        self._lanes = lanes
        self._lock = threading.Lock()
        self._is_stopped = self._is_interrupted = False

    def begin(self) -> None:
        """Start the lanes."""
        for lane in self._lanes:
            threading.Thread(target=self._drive, args=(lane,), daemon=True).start()

    def signal(self, number: signal.Signals) -> None:
        """Let no phase begin any more; send a signal to those at work, with all that they have started."""
        with self._lock:
            self._is_stopped = self._is_interrupted = True
            for run in self.runs:
                if run.process and not run.is_over.is_set():
                    with suppress(ProcessLookupError):
                        os.killpg(run.process.pid, number)

    def wait(self) -> None:
        """Wait until all phases are over."""
        for run in self.runs:
            run.is_over.wait()

    def close(self) -> None:
        """Forget the output."""
        for run in self.runs:
            run.output.close()

    def show(self) -> None:
        """Write the output of one phase after another, as it grows, until all are over; go on where it ended before."""
        for run in self.runs:
            while not run.is_shown:
                is_over = run.is_over.wait(_POLL_SECONDS)
                self._show_more(run)
                if not self._is_interrupted:
                    self._tell_failures()
                if is_over:
                    run.is_shown = run.is_told = True
                    _write(f"== {run.phase.name}: {run.end}\n\n".encode())

    def _show_more(self, run: _Run) -> None:
        if run.process is None:
            return
        if run.place is None:
            run.place = 0
            _write(f"== {run.phase.name}\n".encode())
        # From a place: the position of the file is the program's.
        while chunk := os.pread(run.output.fileno(), 1 << 16, run.place):
            run.place += len(chunk)
            _write(chunk)

    def _tell_failures(self) -> None:
        for run in self.runs:
            if run.status and run.place is None and not run.is_told:
                run.is_told = True
                _write(f"\n== {run.phase.name}: {run.end}; its output follows\n".encode())

    def _drive(self, lane: list[_Run]) -> None:
        for run in lane:
            began = time.monotonic()
            if process := self._begun(run):
                run.status = process.wait()
                run.seconds = time.monotonic() - began
            if run.status:
                with self._lock:
                    self._is_stopped = True
            run.is_over.set()

    def _begun(self, run: _Run) -> subprocess.Popen[bytes] | None:
        """Start a program, in a session of its own: an interrupt reaches it through us, and once."""
        with self._lock:
            if not self._is_stopped:
                nice = ("nice", "-n", str(run.phase.nice)) if run.phase.nice else ()
                run.process = subprocess.Popen(
                    [*nice, *run.phase.command],
                    stdin=subprocess.DEVNULL,
                    stdout=run.output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        return run.process


def _write(text: bytes) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


@contextmanager
def _interrupting() -> Iterator[None]:
    """Let signals that end a process raise KeyboardInterrupt, as an interrupt does."""
    former = {number: signal.signal(number, signal.default_int_handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
