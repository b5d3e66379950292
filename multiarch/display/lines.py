"""Whole lines on one stream."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TextIO

from multiarch.display.vertices import single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from multiarch.image.platform import Platform


class LineWriter:
    """Writes to a stream, so that lines stay whole when several threads write at once.

    :param quiet: whether nothing is written.
    :ivar width: cells of the column in which each line has its platform; 0 for no such column.
    :ivar redirect: takes the text in place of the stream; None while the stream takes it.
    """

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self.stream = stream
        self.quiet = quiet
        self.width = 0
        self.redirect: Callable[[str], None] | None = None
        self._lock = threading.Lock()
        self._last = time.monotonic()

    @property
    def silence(self) -> float:
        """Seconds since something was written to the stream."""
        return time.monotonic() - self._last

    def align(self, platforms: Iterable[Platform]) -> None:
        """Give each line a column for its platform, as wide as the longest of *platforms*; without any, no column."""
        self.width = max((len(str(platform)) for platform in platforms), default=0)

    def lines(self, text: str, platforms: Sequence[Platform] = ()) -> None:
        """Write the lines of *text*, each behind the platform that it is about, where that is a single one."""
        platform = single(platforms)
        prefix = f"{platform:<{self.width}} │ " if platform or self.width else ""
        self.write("".join(f"{prefix}{line}\n" for line in text.splitlines() or [""]))

    def write(self, text: str) -> None:
        """Write *text* as it is."""
        if self.quiet or not text:
            return
        # Read once: another thread may end the redirection in between.
        if redirect := self.redirect:
            redirect(text)
            return
        with self._lock:
            self.stream.write(text)
            self.stream.flush()
            self._last = time.monotonic()
