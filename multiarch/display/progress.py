"""What a person sees while it runs: lines on standard error; results go to standard output, which is not written here.

`Progress` writes plain lines, for logs and pipes; `multiarch.display.live` shows rows on a terminal.
Both are told the same.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from multiarch.display.folds import Folds
from multiarch.formatting import columns, duration, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multiarch.buildkit.status import Vertex
    from multiarch.image.platform import Platform
    from multiarch.trace import Trace

# CIs end a job that is silent for ten minutes; a person wonders after one.
_HEARTBEAT = 60.0
# Of the vertices that take so long, name no more.
_AT_ONCE = 8


@dataclass(frozen=True)
class Summary:
    """What became of a platform: a row of the table at the end.

    :ivar size: of its image as it travels, in bytes.
    :ivar seconds: from the start of the first of its vertices to the end of the last.
    :ivar steps: how many instructions it has, *cached* how many of them did not run.
    """

    platform: Platform
    digest: str
    size: int
    seconds: float
    steps: int
    cached: int
    emulated: bool


class Progress:
    """Writes whole lines, also when several platforms write at once.

    :param stream: where to; by default standard error.
    :param quiet: say nothing; what fails is told by the error itself, which is not written here.
    :param folds: how this CI folds sections of its log.
    :param heartbeat: for how many seconds to be silent at most while something is built; 0 for ever.
    :ivar trace: shows programs and requests, where that is asked for.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        folds: Folds | None = None,
        heartbeat: float = _HEARTBEAT,
    ) -> None:
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.folds = folds or Folds()
        self.heartbeat = heartbeat
        self.trace: Trace | None = None
        self._lock = threading.RLock()
        self._width = 0
        self._said = time.monotonic()
        self._running: dict[int, tuple[Vertex, tuple[Platform, ...]]] = {}
        self._ended: dict[int, tuple[Vertex, str]] = {}
        self._building: ExitStack = ExitStack()
        self._watches = 0

    # What the vertices tell.

    def say(self, text: str, platforms: Sequence[Platform] = ()) -> None:
        """Write *text*, each of its lines behind the platform that it is about."""
        self._lines(text, _prefix(platforms))

    def retrying(self, text: str, platforms: Sequence[Platform]) -> None:
        """An attempt at a solve failed, as *text* tells, and the next will be made."""
        self._forget(platforms)
        self.say(text, platforms)

    def changed(self, vertex: Vertex, platforms: Sequence[Platform]) -> None:
        """A vertex of a solve of *platforms* began or ended."""
        with self._lock:
            if vertex.is_running:
                self._running[id(vertex)] = vertex, tuple(platforms)
            else:
                self._running.pop(id(vertex), None)
        if vertex.completed is not None and not vertex.is_internal:
            result = "CACHED" if vertex.cached else "ERROR" if vertex.error else duration(vertex.seconds)
            line = f"{_short(vertex, platforms)}  {result}"
            # BuildKit tells again of a vertex that other vertices look into.
            if self._ended.get(id(vertex)) != (vertex, line):
                self._ended[id(vertex)] = vertex, line
                self._lines(line, _prefix(owners(vertex, platforms)))

    def said(self, vertex: Vertex, line: str, platforms: Sequence[Platform]) -> None:
        """A vertex wrote a line."""
        self._lines(f"  {line}", _prefix(owners(vertex, platforms)))

    def done(self, platforms: Sequence[Platform]) -> None:
        """These platforms are built."""
        self._forget(platforms)

    def failed(self, platforms: Sequence[Platform], *, stopped: bool) -> None:  # noqa: ARG002 (for rows)
        """These platforms are not built: it failed for good, or was *stopped* because something else did."""
        self._forget(platforms)

    # What the release tells.

    def begin(self, platforms: Mapping[Platform, bool]) -> None:
        """These platforms are going to be built; the values tell which are emulated."""
        self._width = max((len(str(platform)) for platform in platforms), default=0)
        self._building.enter_context(self._watch())

    def end(self) -> None:
        """The building is over, however it ended."""
        self._building.close()
        self._width = 0

    def table(self, rows: Sequence[Summary]) -> None:
        """Show what became of the platforms."""
        self._lines("\n".join(summary_lines(rows)), None)

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Fold what is written meanwhile, where the CI can; and be heard meanwhile."""
        self._write(self.folds.begin(title))
        try:
            with self._watch():
                yield
        finally:
            self._write(self.folds.end(title))

    def _forget(self, platforms: Sequence[Platform]) -> None:
        """Drop the vertices of a solve that is over: a buildctl that was ended tells of no more."""
        with self._lock:
            self._running = {key: (s, p) for key, (s, p) in self._running.items() if p != tuple(platforms)}

    def _lines(self, text: str, prefix: str | None) -> None:
        """Write lines behind a prefix, which is none of ours outside of a release."""
        behind = f"{prefix:<{self._width}} │ " if prefix or (self._width and prefix is not None) else ""
        self._write("".join(f"{behind}{line}\n" for line in text.splitlines() or [""]))

    def _write(self, text: str) -> None:
        if self.quiet or not text:
            return
        with self._lock:
            self.stream.write(text)
            self.stream.flush()
            self._said = time.monotonic()

    @contextmanager
    def _watch(self) -> Iterator[None]:
        """Have a thread that says what takes so long, lest somebody thinks that nothing happens; one is enough."""
        with self._lock:
            self._watches += 1
            needed = self._watches == 1 and self.heartbeat > 0 and not self.quiet
        over = threading.Event()
        thread = threading.Thread(target=self._beat, args=(over,), daemon=True)
        try:
            if needed:
                thread.start()
            yield
        finally:
            over.set()
            with self._lock:
                self._watches -= 1
            if thread.ident:
                thread.join()

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(self.heartbeat / 4):
            with self._lock:
                silent = time.monotonic() - self._said
                running = [
                    (vertex, platforms) for vertex, platforms in self._running.values() if not vertex.is_internal
                ]
            if silent < self.heartbeat * 3 / 4:
                continue
            for vertex, platforms in running[:_AT_ONCE]:
                self._lines(_still(vertex, platforms), _prefix(owners(vertex, platforms)))
            if not running:
                self._lines("still at work", None)


def owners(vertex: Vertex, platforms: Sequence[Platform]) -> tuple[Platform, ...]:
    """Return which of the platforms of a solve a vertex is for: one, or all of them."""
    named = vertex.target or vertex.platform
    return tuple(platform for platform in platforms if str(platform) == named) or tuple(platforms)


def summary_lines(rows: Sequence[Summary]) -> list[str]:
    """Return the table at the end as lines."""
    cells = [("PLATFORM", "DIGEST", "SIZE", "TIME", "CACHED", "BUILT")]
    cells += [
        (
            str(row.platform),
            row.digest,
            size(row.size),
            duration(row.seconds),
            f"{row.cached} of {row.steps}",
            "emulated" if row.emulated else "natively",
        )
        for row in rows
    ]
    return columns(cells)


def _prefix(platforms: Sequence[Platform]) -> str:
    return str(platforms[0]) if len(platforms) == 1 else ""


def _short(vertex: Vertex, platforms: Sequence[Platform]) -> str:
    """Return a vertex's name without the platform that stands before it as the prefix."""
    if vertex.is_pushing:
        return "pushing"
    if vertex.target or vertex.platform != _prefix(owners(vertex, platforms)):
        return vertex.name
    return vertex.name.replace(f"[{vertex.platform}] ", "", 1).replace(f"[{vertex.platform} ", "[", 1)


def _still(vertex: Vertex, platforms: Sequence[Platform]) -> str:
    """Return what a vertex that takes long is at."""
    since = duration(time.time() - vertex.started) if vertex.started else ""
    bytes_ = transferred(vertex)
    return f"still at {_short(vertex, platforms)} ({since}{', ' if bytes_ else ''}{bytes_})"


def transferred(vertex: Vertex) -> str:
    """Return the bytes that came in a vertex, for people; nothing when there are none."""
    current, total = vertex.transferred
    return f"{size(current)} of {size(total)}" if total else size(current) if current else ""
