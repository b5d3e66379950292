"""A stream of text whose faults end nothing: all that shows something writes through one."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

# Marks of ours that not every encoding has, and what stands for them there.
_PLAIN = str.maketrans({"│": "|", "…": "..."})

# characters written at a time: 4 KiB at most, which a pipe takes at once when it takes anything (pipe(7), PIPE_BUF)
_PIECE = 1024
_LONGEST_END = 1.0  # seconds that the end of a run waits for a reader that has stopped
_SLICE = 200  # milliseconds between two looks at the clock


class Outlet:
    """Passes text on to a stream until the stream takes no more, and is silent from then on.

    A reader that has left (EPIPE), a full disk, a closed stream or an encoding without some letter is no reason for a
    run to fail: what it shows is for whom it may concern, and its results go elsewhere.

    :param stream: None for no stream at all, as where the process was begun with a closed standard error.
    :ivar encoding: that of the stream; one that has every letter where the stream has none.
    :ivar is_open: whether the stream still takes text.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding: str = getattr(stream, "encoding", None) or "utf-8"
        self.is_open = stream is not None
        self._end: float | None = None
        self._poll = _poll_of(stream)

    def hurry(self) -> None:
        """Wait no longer than a second from now for a reader that has stopped; what is left is lost then."""
        self._end = time.monotonic() + _LONGEST_END

    def write(self, text: str) -> int:
        """Write *text* and see it off; raise nothing, but what a signal raises."""
        if self.is_open and self._stream is not None:
            try:
                text = self._encodable(text)
                for start in range(0, len(text), _PIECE):
                    self._wait()
                    self._stream.write(text[start : start + _PIECE])
                    self._stream.flush()
            except Exception:  # noqa: BLE001 (whatever a stream raises, what is shown is lost and nothing else)
                self.is_open = False
                drain(self._stream)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of *lines* as it is."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Do nothing: each write is flushed."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        """Return the descriptor. :raises OSError: there is none."""
        if self._stream is None:
            raise OSError("no stream")
        return self._stream.fileno()

    def is_for(self, stream: TextIO | None) -> bool:
        """Whether it passes text on to *stream*."""
        return self._stream is stream

    def _wait(self) -> None:
        """Wait until the stream takes something. :raises TimeoutError: it does not in time."""
        while self._poll and not self._poll.poll(_SLICE):
            if self._end is not None and time.monotonic() > self._end:
                raise TimeoutError

    def _encodable(self, text: str) -> str:
        try:
            text.isascii() or text.encode(self.encoding)
        except UnicodeError:
            plain = text.translate(_PLAIN)
            return plain.encode(self.encoding, "backslashreplace").decode(self.encoding)
        return text


def _poll_of(stream: TextIO | None) -> select.poll | None:
    """Return what waits for a stream; None where it has no descriptor."""
    try:
        descriptor = stream.fileno() if stream else None
    except (OSError, ValueError, AttributeError):
        return None
    if descriptor is None:
        return None
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return poll


def drain(stream: TextIO) -> None:
    """Let a stream that takes no more lead nowhere.

    What it still holds would fail again when the interpreter flushes it at its end: with a traceback, and status 120.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
        descriptor = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, descriptor)
        finally:
            os.close(nowhere)
        stream.flush()
