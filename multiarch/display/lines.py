"""Whole lines on one stream."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from multiarch.display.outlet import Outlet
from multiarch.display.vertices import single
from multiarch.formatting import clean_lines, without_commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multiarch.image.platform import Platform


class LineWriter:
    """Writes to a stream, so that lines stay whole when several threads write at once, and are clean.

    It raises nothing: where the stream takes no more, nothing is written any more (`Outlet`).

    :param stream: None for no stream.
    :param quiet: whether nothing is written.
    :param in_ci: whether a CI reads the lines, which would take some for its commands.
    :ivar width: cells of the column in which each line has its platform; 0 for no such column.
    :ivar redirect: takes the text in place of the stream; None while the stream takes it.
    """

    def __init__(self, stream: TextIO | None, *, quiet: bool = False, in_ci: bool = False) -> None:
        self.outlet = Outlet(stream)
        self.quiet = quiet
        self.in_ci = in_ci
        self.width = 0
        self.redirect: Callable[[str], None] | None = None
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[str | None] | None = None
        self._last = time.monotonic()

    @property
    def silence(self) -> float:
        """Seconds since something was written to the stream."""
        return time.monotonic() - self._last

    def align(self, platforms: Iterable[Platform]) -> None:
        """Give each line a column for its platform, as wide as the longest of *platforms*; without any, no column."""
        self.width = max((len(str(platform)) for platform in platforms), default=0)

    def lines(self, text: str, platforms: Sequence[Platform] = ()) -> None:
        """Write the lines of *text*, each behind the platform that it is about, where that is a single one.

        Without such a column all lines after the first are indented: a line break in a value begins no line of ours.
        """
        if self.quiet or not (self.outlet.is_open or self.redirect):
            return
        platform = single(platforms)
        column = f"{platform:<{self.width}} │ " if platform or self.width else ""
        lines: list[str] = []
        for line in clean_lines(text.removesuffix("\n")):
            whole = f"{column or ('  ' if lines else '')}{line}\n"
            lines.append(without_commands(whole) if self.in_ci else whole)
        self.write("".join(lines))

    def write(self, text: str) -> None:
        """Write *text* as it is, which is clean, or a mark of a CI's own."""
        if self.quiet or not text:
            return
        # Read once: another thread may end the redirection in between.
        if redirect := self.redirect:
            redirect(text)
        elif (texts := self._queue) is not None:
            texts.put(text)
        else:
            self._write(text)

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Let a thread write during the with block, so that a reader that has stopped holds nobody else.

        At the end, what is left to write is waited for as by any write.
        """
        texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        thread = threading.Thread(target=self._write_all, args=(texts,), daemon=True)
        thread.start()
        self._queue = texts
        try:
            yield
        finally:
            self._queue = None
            texts.put(None)
            thread.join()

    def _write_all(self, texts: queue.SimpleQueue[str | None]) -> None:
        while (text := texts.get()) is not None:
            self._write(text)

    def _write(self, text: str) -> None:
        with self._lock:
            self.outlet.write(text)
            self._last = time.monotonic()
