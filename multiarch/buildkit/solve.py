"""One solve: a run of ``buildctl build``, its stream of states, and the error of its failure.

With ``--progress rawjson`` buildctl writes one ``SolveStatus`` (BuildKit, client/graph.go) a line to standard error,
between them the words of an error that ended it.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
from typing import TYPE_CHECKING

from multiarch.buildkit.faults import hint_for, is_transient_fault
from multiarch.buildkit.status import Vertices, warnings
from multiarch.errors import BuildctlNotExecutableError, BuildFailedError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from multiarch.buildkit.status import Observer, Vertex
    from multiarch.image.platform import Platform

_LOG_LINES = 20  # of the failing vertex; more scroll the error away
# Log lines of buildctl that are no errors, such as on a local cache that is still empty.
_LOGGED = re.compile(r'time="[^"]*" level=(debug|info|warning) ')


class Solve:
    """One attempt at a solve.

    :param platforms: those that are built.
    :param observer: follows the solve.
    :ivar vertices: its vertices, also after a failure.
    :ivar failed: the vertex that failed, None where it is not known.
    :ivar where: the first line of the failed instruction, ``Dockerfile:12``; empty where BuildKit does not say.
    """

    def __init__(self, platforms: Sequence[Platform], observer: Observer) -> None:
        self.platforms = tuple(platforms)
        self.observer = observer
        self.vertices = Vertices()
        self.failed: Vertex | None = None
        self.where = ""
        self._words: list[str] = []

    def run(self, command: list[str], stopped: threading.Event) -> None:
        """Run buildctl to its end.

        :param stopped: set it to end the solve.
        :raises BuildFailedError: it ended with another status than 0.
        :raises BuildctlNotExecutableError: it cannot be started.
        """
        trace = self.observer.trace
        ended = trace.command(command, self.platforms) if trace else None
        try:
            # In a session of its own an interrupt from the keyboard does not reach it: we end it in order.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise BuildctlNotExecutableError(command[0], error.strerror or str(error)) from None
        try:
            for line in _lines(process, stopped):
                self._read(line)
            if not stopped.is_set():
                process.wait()
        finally:
            _end(process)
            if ended:
                ended(process.returncode)
        if stopped.is_set():
            raise BuildFailedError(self._subject(), "stopped")
        if process.returncode:
            raise self._failure(process.returncode)

    def _read(self, line: bytes) -> None:
        try:
            state = json.loads(line)
        except ValueError:
            state = None
        if not isinstance(state, dict):
            if (text := line.decode(errors="replace").strip()) and not _LOGGED.match(text):
                self._words.append(text)
            return
        for vertex in self.vertices.vertexes(state):
            self.observer.changed(vertex, self.platforms)
        self.vertices.statuses(state)
        for vertex, text in self.vertices.logs(state):
            self.observer.said(vertex, text, self.platforms)
        for text in warnings(state):
            self.observer.say(f"warning: {text}", self.platforms)

    def _failure(self, status: int) -> BuildFailedError:
        # Vertices that ran beside the failing one end as canceled.
        failures = [vertex for vertex in self.vertices if vertex.error and "context canceled" not in vertex.error]
        where, words = self._excerpt()
        said = " ".join(words) or f"buildctl ended with status {status}"
        # Several may have failed by themselves: buildctl's excerpt is about one of them.
        failed = next((vertex for vertex in failures if vertex.error in said), failures[0] if failures else None)
        self.failed, self.where = failed, where if failed else ""
        plain = re.sub(r"^error: |failed to solve: |rpc error: code = \w+ desc = ", "", said)
        cause = failed.error if failed else plain
        hint = hint_for(cause)
        return BuildFailedError(
            self._subject(failed),
            f"{cause}; {hint}" if hint else cause,
            step=failed.name if failed else "",
            where=where,
            log=failed.output[-_LOG_LINES:] if failed else (),
            transient=is_transient_fault(failed.error if failed else said),
        )

    def _subject(self, vertex: Vertex | None = None) -> str:
        """Return the platform of a vertex, or all platforms of the solve where BuildKit does not say."""
        return (vertex.target or vertex.platform if vertex else "") or ", ".join(map(str, self.platforms))

    def _excerpt(self) -> tuple[str, list[str]]:
        """Return ``Dockerfile:12`` from the excerpt that buildctl prints between two rules, and the words after it."""
        words = self._words
        rules = [number for number, word in enumerate(words) if word.startswith("-----")]
        if len(rules) > 1 and rules[0] and re.fullmatch(r".+:\d+", words[rules[0] - 1]):
            return words[rules[0] - 1], words[rules[1] + 1 :]
        return "", words


def _lines(process: subprocess.Popen[bytes], stopped: threading.Event) -> Iterator[bytes]:
    """Yield the lines of standard error until it ends, or until *stopped*."""
    assert process.stderr is not None  # noqa: S101 (it is a pipe)
    descriptor = process.stderr.fileno()
    rest = b""
    while not stopped.is_set():
        if not select.select([descriptor], [], [], 0.2)[0]:
            continue
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process: buildctl cancels its solve on SIGTERM."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stderr:
        process.stderr.close()
