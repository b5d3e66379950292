"""The content of a layer as it streams: read ahead of whoever takes it apart, and decompressed on the way.

Everything here hands out pieces as they come, whatever size is asked for: a layer may have gigabytes, of which only
the names are wanted. ``tarfile`` takes its streams so.
"""

from __future__ import annotations

import queue
import threading
import zlib
from typing import Protocol

# Bytes that are taken apart at a time: more of them cost more, as memory for them is asked of the system each time.
PIECE = 1 << 16
# Bytes that are fetched at a time, lest two threads spend theirs on taking turns; and how many such are kept ahead.
_FETCHED = 1 << 20
_AHEAD = 4
# What comes of a piece is taken whole, unless it is more than this.
_MOST = 1 << 20
_GZIP = b"\x1f\x8b"
# For zlib: a gzip header, and the largest window.
_GZIP_WINDOW = 31


class Pieces(Protocol):
    """A file that is read forwards."""

    def read(self, size: int, /) -> bytes:
        """Return the next piece, nothing at the end."""

    def close(self) -> None:
        """Stop reading."""


class ReadAhead:
    """Reads another file in a thread of its own, so that fetching and taking apart go on at the same time.

    :param source: is closed with this.
    :param after: how many bytes are read as they are asked for, before it is read ahead.
    """

    def __init__(self, source: Pieces, *, after: int) -> None:
        self._source = source
        self._left = after
        self._pieces: queue.Queue[bytes | BaseException] = queue.Queue(_AHEAD)
        self._piece, self._at = b"", 0
        self._over = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def read(self, _size: int, /) -> bytes:
        """Take what was read ahead; raise what was raised there."""
        if self._at >= len(self._piece) and not self._over:
            self._piece, self._at = self._next(), 0
            self._over = not self._piece
        start, self._at = self._at, self._at + PIECE
        return self._piece[start : self._at]

    def close(self) -> None:
        """Stop reading."""
        self._stopped.set()
        while not self._pieces.empty():
            self._pieces.get_nowait()
        if self._thread is not None:
            self._thread.join()
        self._source.close()

    def _next(self) -> bytes:
        if self._left > 0:
            piece = self._source.read(min(PIECE, self._left))
            self._left -= len(piece)
            return piece
        if self._thread is None:
            self._thread = threading.Thread(target=self._fetch, daemon=True)
            self._thread.start()
        taken = self._pieces.get()
        if isinstance(taken, BaseException):
            raise taken
        return taken

    def _fetch(self) -> None:
        try:
            while not self._stopped.is_set():
                piece = self._source.read(_FETCHED)
                self._put(piece)
                if not piece:
                    return
        except BaseException as error:  # noqa: BLE001 (it is raised where the piece would have been taken)
            self._put(error)

    def _put(self, piece: bytes | BaseException) -> None:
        while not self._stopped.is_set():
            try:
                self._pieces.put(piece, timeout=0.1)
            except queue.Full:
                continue
            break


class Decompressed:
    """Gzip of any number of members (RFC 1952, section 2.2) decompressed, and everything else as it is.

    tarfile's own streams stop after the first member.

    :raises EOFError: when it is read: it ends within a member. :raises zlib.error: it is no gzip.
    """

    def __init__(self, source: Pieces) -> None:
        self._source = source
        self._input = source.read(PIECE)
        self._is_gzip = self._input.startswith(_GZIP)
        self._member = zlib.decompressobj(_GZIP_WINDOW)

    def read(self, _size: int, /) -> bytes:
        """Return what comes next."""
        while True:
            piece = self._input or self._source.read(PIECE)
            self._input = b""
            if not self._is_gzip:
                return piece
            if not piece:
                if self._member.eof:
                    return b""
                raise EOFError("it ends too early")
            if self._member.eof:
                self._input = piece.lstrip(b"\0")  # padding
                self._member = zlib.decompressobj(_GZIP_WINDOW) if self._input else self._member
                continue
            data = self._member.decompress(piece, _MOST)
            self._input = self._member.unconsumed_tail or self._member.unused_data
            if data:
                return data
