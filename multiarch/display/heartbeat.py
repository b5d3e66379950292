"""Signs of life in a log while a build writes nothing."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from multiarch.display.vertices import owners, short_name, transferred
from multiarch.formatting import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multiarch.buildkit.status import Vertex
    from multiarch.display.lines import LineWriter
    from multiarch.image.platform import Leg

# seconds; CIs end a job that is silent for 10 minutes, and people wonder after one
HEARTBEAT = 60.0
# seconds; the thread waits for nothing but the stream
_LONGEST_END = 1.0
# vertices named by one beat; more would bury what else is in the log
_MOST_NAMED = 8


class Heartbeat:
    """Names the vertices that run, from a thread of its own, when nothing else was written for a while.

    :param writer: writes the lines, and knows how long nothing was written.
    :param seconds: longest silence; 0 for no heartbeat.
    """

    def __init__(self, writer: LineWriter, seconds: float) -> None:
        self._writer = writer
        self._seconds = seconds
        self._lock = threading.Lock()
        self._running: dict[int, tuple[Vertex, tuple[Leg, ...]]] = {}
        self._sections = 0

    def follow(self, vertex: Vertex, legs: Sequence[Leg]) -> None:
        """Add a vertex that has started to the running ones, or remove one that has ended."""
        with self._lock:
            if vertex.is_running:
                self._running[id(vertex)] = vertex, tuple(legs)
            else:
                self._running.pop(id(vertex), None)

    def forget(self, legs: Sequence[Leg]) -> None:
        """Drop the vertices of a solve that is over: a buildctl that was ended reports the end of none."""
        with self._lock:
            self._running = {key: (v, of) for key, (v, of) in self._running.items() if of != tuple(legs)}

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat until the end of the section; sections may be nested and share one thread."""
        with self._lock:
            self._sections += 1
            is_first = self._sections == 1
        over = threading.Event()
        thread = threading.Thread(target=self._beat, args=(over,), daemon=True)
        try:
            if is_first and self._seconds > 0:
                thread.start()
            yield
        finally:
            over.set()
            with self._lock:
                self._sections -= 1
            if thread.ident:
                # A stream whose reader has stopped holds the thread for as long as it likes.
                thread.join(_LONGEST_END)

    def _beat(self, over: threading.Event) -> None:
        """Look every quarter of the time, and beat after three quarters: so no silence is longer than the whole."""
        while not over.wait(self._seconds / 4):
            if self._writer.silence < self._seconds * 3 / 4:
                continue
            with self._lock:
                running = [(v, legs) for v, legs in self._running.values() if not v.is_internal]
            for vertex, legs in running[:_MOST_NAMED]:
                self._writer.lines(_description(vertex, legs), owners(vertex, legs))
            if not running:
                self._writer.write("still at work\n")


def _description(vertex: Vertex, legs: Sequence[Leg]) -> str:
    """Return the line of a vertex that runs: its name, its time and its bytes."""
    elapsed = duration(time.time() - vertex.started) if vertex.started else ""
    bytes_ = transferred(vertex)
    return f"still at {short_name(vertex, legs)} ({elapsed}{', ' if bytes_ else ''}{bytes_})"
