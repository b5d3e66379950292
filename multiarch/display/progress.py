"""What a person sees of a run while it runs, as plain lines; `multiarch.display.live` shows rows on a terminal."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, TextIO

from multiarch.buildkit.status import Observer
from multiarch.display.folds import Folds
from multiarch.display.heartbeat import HEARTBEAT, Heartbeat
from multiarch.display.lines import LineWriter
from multiarch.display.vertices import owners, short_name
from multiarch.formatting import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multiarch.buildkit.status import Vertex
    from multiarch.display.summary import Summary
    from multiarch.image.platform import Leg
    from multiarch.trace import Trace

_LOG_WIDTH = 100  # columns; in wider tables of many images the eye loses the line, and pages of CIs wrap it


class Progress(Observer):
    """Turns the events of a run into lines, for logs and pipes.

    :param stream: where the lines go; None for standard error. Standard output is for results.
    :param quiet: whether nothing is written; a failure's text is its error's, which is not written here.
    :param folds: how the CI folds sections of its log; None where it does not.
    :param heartbeat: longest silence during a build, in seconds; 0 for no limit.
    :param in_ci: whether a CI reads the lines.
    :ivar trace: shows programs and requests, None where that is not asked for.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        folds: Folds | None = None,
        heartbeat: float = HEARTBEAT,
        in_ci: bool = False,
    ) -> None:
        self.trace: Trace | None = None
        self._writer = LineWriter(stream or sys.stderr, quiet=quiet, in_ci=in_ci)
        self._heartbeat = Heartbeat(self._writer, 0 if quiet else heartbeat)
        self._folds = folds or Folds()
        self._building = ExitStack()
        self._ended: dict[int, tuple[Vertex, str]] = {}

    # Events of a solve.

    def say(self, text: str, legs: Sequence[Leg] = ()) -> None:
        """Write the lines of *text*, each behind the platform that it is about."""
        self._writer.lines(text, legs)

    def retrying(self, text: str, legs: Sequence[Leg]) -> None:
        """Write the line of a retry."""
        self._heartbeat.forget(legs)
        self.say(text, legs)

    def changed(self, vertex: Vertex, legs: Sequence[Leg]) -> None:
        """Write how a vertex ended, once."""
        self._heartbeat.follow(vertex, legs)
        if vertex.completed is None or vertex.is_internal:
            return
        result = "CACHED" if vertex.cached else "ERROR" if vertex.error else duration(vertex.seconds)
        line = f"{short_name(vertex, legs)}  {result}"
        # BuildKit reports a vertex again when another vertex depends on it.
        if self._ended.get(id(vertex)) != (vertex, line):
            self._ended[id(vertex)] = vertex, line
            self._writer.lines(line, owners(vertex, legs))

    def said(self, vertex: Vertex, line: str, legs: Sequence[Leg]) -> None:
        """Write a line of a vertex's output."""
        self._writer.lines(f"  {line}", owners(vertex, legs))

    def done(self, legs: Sequence[Leg]) -> None:
        """Take note that these legs are built."""
        self._heartbeat.forget(legs)

    def failed(self, legs: Sequence[Leg], *, stopped: bool) -> None:  # noqa: ARG002 (rows show it)
        """Take note that these legs are not built: the solve failed, or was *stopped* as another one failed."""
        self._heartbeat.forget(legs)

    # Events of a release.

    def begin(self, legs: Mapping[Leg, bool]) -> None:
        """Begin the build of *legs*; a value is whether its platform is emulated."""
        self._writer.align(legs)
        self._building.enter_context(self._heartbeat.beating())

    def end(self) -> None:
        """End the build, however it went."""
        self._building.close()
        self._writer.align(())

    def table(self, rows: Sequence[Summary]) -> None:
        """Write the table of results; that of several targets is as wide as the pages on which logs are read."""
        from multiarch.display.summary import summary_lines

        for line in summary_lines(rows, _LOG_WIDTH if any(row.target for row in rows) else None):
            self._writer.lines(line)

    def hurry(self) -> None:
        """Wait no longer for a reader that has stopped: the run is to end."""
        self._writer.outlet.hurry()

    def detached(self) -> AbstractContextManager[None]:
        """Let a thread write during the with block, so that a reader that has stopped holds nobody else."""
        return self._writer.detached()

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Fold what is written until the end of the section, where the CI can."""
        self._writer.write(self._folds.begin(title))
        try:
            with self._heartbeat.beating():
                yield
        finally:
            self._writer.write(self._folds.end(title))
