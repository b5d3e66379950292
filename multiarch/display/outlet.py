"""A stream of text whose faults end nothing: all that shows something writes through one."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

# Marks of ours that not every encoding has, and what stands for them there.
_PLAIN = str.maketrans({"│": "|", "…": "..."})


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

    def write(self, text: str) -> int:
        """Write *text* and see it off; raise nothing, but what a signal raises."""
        if self.is_open and self._stream is not None:
            try:
                self._stream.write(self._encodable(text))
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

    def _encodable(self, text: str) -> str:
        try:
            text.isascii() or text.encode(self.encoding)
        except UnicodeError:
            plain = text.translate(_PLAIN)
            return plain.encode(self.encoding, "backslashreplace").decode(self.encoding)
        return text


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
