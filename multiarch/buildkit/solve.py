"""One solve: a run of ``buildctl build``, its stream of states, and the error of its failure.

With ``--progress rawjson`` buildctl writes one ``SolveStatus`` (BuildKit, client/graph.go) a line to standard error,
between them the words of an error that ended it.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from multiarch.buildkit.faults import (
    hint_for,
    hint_for_crash,
    is_builders_fault,
    is_refused_push,
    is_transient_fault,
)
from multiarch.buildkit.rawjson import read_state
from multiarch.buildkit.status import Vertices, warnings
from multiarch.errors import BuildctlNotExecutableError, BuildFailedError
from multiarch.formatting import one_line

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from multiarch.buildkit.builder import Builder
    from multiarch.buildkit.status import Observer, Vertex
    from multiarch.image.platform import Leg

_LOG_LINES = 20  # of the failing vertex; more scroll the error away
_MOST_WORDS = 200  # lines of words; an error is the last of them, after its excerpt of the Dockerfile
_LONGEST_WORDS = 4096  # characters of a line of words, and of the cause of an error; one line is to be read
_LONGEST_LINE = 16 << 20  # bytes of a line; gRPC's limit for a message of BuildKit (util/grpcutil)
_READ = 1 << 20  # bytes; no pipe holds more (pipe(7), /proc/sys/fs/pipe-max-size)
_LINGER = 0.5  # seconds that are waited for more when buildctl has ended, and a child of it holds its standard error
_END = 1.0  # seconds that buildctl has to cancel its solve
# Log lines of buildctl that are no errors, such as on a local cache that is still empty.
_LOGGED = re.compile(r'time="[^"]*" level=(debug|info|warning) ')


class Signal(Protocol):
    """What says that something has happened, as an event does."""

    def is_set(self) -> bool:
        """Whether it has."""


class Solve:
    """One attempt at a solve.

    :param legs: those that are built.
    :param observer: follows the solve.
    :param builder: where it runs; None where that is of no interest.
    :ivar is_lost: whether the builder was lost meanwhile.
    :ivar vertices: its vertices, also after a failure.
    :ivar failed: the vertex that failed, None where it is not known.
    :ivar where: the first line of the failed instruction, ``Dockerfile:12``; empty where BuildKit does not say.
    """

    def __init__(self, legs: Sequence[Leg], observer: Observer, builder: Builder | None = None) -> None:
        self.legs = tuple(legs)
        self.observer = observer
        self.builder = builder
        self.is_lost = False
        self.vertices = Vertices()
        self.failed: Vertex | None = None
        self.where = ""
        self._words: deque[str] = deque(maxlen=_MOST_WORDS)

    def run(
        self,
        command: list[str],
        stopped: threading.Event,
        environ: Mapping[str, str] | None = None,
        lost: Signal | None = None,
    ) -> None:
        """Run buildctl to its end.

        :param stopped: set it to end the solve.
        :param environ: its environment; None for that of this process.
        :param lost: set it where the builder does not answer any more; None where nobody asks it.
        :raises BuildFailedError: it ended with another status than 0.
        :raises BuildctlNotExecutableError: it cannot be started.
        """
        trace = self.observer.trace
        ended = trace.command(command, self.legs) if trace else None
        process = _start(command, environ)
        try:
            ends = _Any((stopped, lost) if lost else (stopped,))
            for line in _lines(_chunks(process, ends)):
                self._read(line)
            while not ends.is_set() and process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
        finally:
            _end(process)
            if ended:
                ended(process.returncode)
        if stopped.is_set():
            raise BuildFailedError(self._subject(), "stopped")
        if process.returncode and lost and lost.is_set():
            self.is_lost = True
            raise BuildFailedError(self._subject(), "it does not answer any more", transient=True, is_builders=True)
        if process.returncode:
            raise self._failure(process.returncode)

    def _read(self, line: bytes) -> None:
        """Take in one line of buildctl's output: a state of the solve, or its own words."""
        state = read_state(line)
        if state is None:
            text = _cut(line.decode(errors="replace").strip())
            if text and not _LOGGED.match(text):
                self._words.append(text)
            return
        for vertex in self.vertices.vertexes(state):
            self.observer.changed(vertex, self.legs)
        self.vertices.statuses(state)
        for vertex, text in self.vertices.logs(state):
            self.observer.said(vertex, text, self.legs)
        for text in warnings(state):
            self.observer.say(f"warning: {text}", self.legs)

    def _failure(self, status: int) -> BuildFailedError:
        """Return the error of the solve: of the vertex that failed, else by the words of buildctl."""
        # Vertices that ran beside the failing one end as canceled.
        failures = [vertex for vertex in self.vertices if vertex.error and "context canceled" not in vertex.error]
        where, words = self._excerpt()
        said = " ".join(words) or f"buildctl ended with status {status}"
        # Several may have failed by themselves: buildctl's excerpt is about one of them.
        failed = next((vertex for vertex in failures if vertex.error in said), failures[0] if failures else None)
        self.failed, self.where = failed, where if failed else ""
        plain = re.sub(r"^error: |failed to solve: |rpc error: code = \w+ desc = ", "", said)
        cause = _cut(failed.error if failed else plain)
        last = [_cut(line) for line in failed.output[-_LOG_LINES:]] if failed else []
        hint = hint_for(cause, last) or hint_for_crash(self._subject(failed), [cause, *last])
        fault = failed.error if failed else said
        self.is_lost = failed is None and is_builders_fault(said, is_first=not self.vertices)
        return BuildFailedError(
            self._subject(failed),
            f"{cause}; {hint}" if hint else cause,
            step=_cut(one_line(failed.name)) if failed else "",
            where=where,
            log=last,
            transient=is_transient_fault(fault),
            is_refused_push=is_refused_push(fault),
            is_builders=self.is_lost,
        )

    def _subject(self, vertex: Vertex | None = None) -> str:
        """Return the leg of a vertex, or all of the solve where BuildKit does not say."""
        platform = vertex.target or vertex.platform if vertex else ""
        # All legs of a solve are of one target.
        return f"{self.legs[0].target} {platform}".strip() if platform else ", ".join(map(str, self.legs))

    def _excerpt(self) -> tuple[str, list[str]]:
        """Return ``Dockerfile:12`` from the excerpt that buildctl prints between two rules, and the words after it."""
        words = list(self._words)
        rules = [index for index, word in enumerate(words) if word.startswith("-----")]
        if len(rules) > 1 and rules[0]:
            where = words[rules[0] - 1]
            file, _, number = where.rpartition(":")
            if file and number.isascii() and number.isdigit():
                return where, words[rules[1] + 1 :]
        return "", words


def _start(command: list[str], environ: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    """Start buildctl. :raises BuildctlNotExecutableError: it cannot be started."""
    try:
        # In a session of its own an interrupt from the keyboard does not reach it: we end it in order.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environ,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a word with a NUL, which no program can be given
        reason = getattr(error, "strerror", None) or str(error)
        raise BuildctlNotExecutableError(command[0], reason) from None


class _Any:
    """Whether any of some events is set."""

    def __init__(self, events: Sequence[Signal]) -> None:
        self._events = events

    def is_set(self) -> bool:
        return any(event.is_set() for event in self._events)


def _chunks(process: subprocess.Popen[bytes], stopped: _Any) -> Iterator[bytes]:
    """Yield standard error in pieces until it ends, the process has ended, or *stopped* is set."""
    if process.stderr is None:
        return
    descriptor = process.stderr.fileno()
    poll = select.poll()  # select takes no descriptor from 1024 on
    poll.register(descriptor, select.POLLIN)
    deadline: float | None = None  # by time.monotonic; None while the process runs
    while not stopped.is_set():
        # A program that ended may have left children behind, which hold the pipe open.
        if deadline is None and process.poll() is not None:
            deadline = time.monotonic() + _LINGER
            if not poll.poll(0):
                poll.poll(_LINGER * 1000)
        elif deadline and time.monotonic() > deadline:
            return
        if poll.poll(200):
            chunk = os.read(descriptor, _READ)
            if not chunk:
                return
            yield chunk


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines of a text that comes in pieces; what is too long loses its end. Each byte is looked at once."""
    pieces: list[bytes] = []
    size = 0
    for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield b"".join([*pieces, end[: _LONGEST_LINE - size]])
            pieces, size = [], 0
        if rest and size < _LONGEST_LINE:
            pieces.append(rest[: _LONGEST_LINE - size])
            size += len(pieces[-1])
    if pieces:
        yield b"".join(pieces)


def _cut(text: str) -> str:
    """Return a text of words, without what is too long for a line in its middle."""
    half = _LONGEST_WORDS // 2
    left_out = len(text) - 2 * half
    return text if left_out <= 0 else f"{text[:half]} … ({left_out} characters left out) … {text[-half:]}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process: buildctl cancels its solve on SIGTERM. What it started ends with it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # its session is its own, and so is its group
            process.kill()
            process.wait()
    if process.stderr:
        process.stderr.close()
