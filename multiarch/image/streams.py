"""Streams of a layer's content: read ahead in a thread of its own, and decompressed.

``read`` returns pieces as they come, whatever size is asked for: a layer may have gigabytes, and nobody needs more of
them than the names and the beginnings of its files. ``tarfile`` takes such streams.
"""

from __future__ import annotations

import queue
import sys
import tarfile
import threading
import zlib
from itertools import chain
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Bytes of a piece; larger ones are slower, as the allocator asks the system for each of them.
PIECE = 1 << 16
# Bytes of a chunk that is read ahead (large, so that threads switch rarely), and how many of them wait at most.
_CHUNK = 1 << 20
_CHUNKS_AHEAD = 4
# Bytes that a piece may have when it is decompressed; the rest is a piece of its own.
_LARGEST = 1 << 20
_GZIP = b"\x1f\x8b"
# zlib's window bits: the largest window, 15, and 16 for a gzip header.
_GZIP_WINDOW = 31
# The first four bytes of a frame, and the last three of those of a frame to be skipped (RFC 8878, section 3.1).
_MAGIC = 4
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
# Binary logarithm of the largest window in bytes: 128 MiB, as for `zstd -d`. A frame may ask for terabytes.
_ZSTD_WINDOW_LOG = 27
_CUT_OFF = "it ends too early"


class Pieces(Protocol):
    """A file that is read forwards."""

    def read(self, size: int, /) -> bytes:
        """Return the next piece, nothing at the end."""

    def close(self) -> None:
        """Stop reading."""


class ReadAhead:
    """A file that a thread of its own reads ahead, so that fetching and decompressing go on at the same time.

    :param source: the file; it is closed with this one.
    :param after: bytes that are read only when they are asked for, before the reading ahead begins.
    """

    def __init__(self, source: Pieces, *, after: int) -> None:
        self._source = source
        self._left = after
        self._chunks: queue.Queue[bytes | BaseException] = queue.Queue(_CHUNKS_AHEAD)
        self._chunk, self._offset = b"", 0
        self._is_over = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def read(self, _size: int, /) -> bytes:
        """Return the next piece, nothing at the end; raise what the thread's reading raised."""
        if self._offset >= len(self._chunk) and not self._is_over:
            self._chunk, self._offset = self._next(), 0
            self._is_over = not self._chunk
        start, self._offset = self._offset, self._offset + PIECE
        return self._chunk[start : self._offset]

    def close(self) -> None:
        """Stop reading."""
        self._stopped.set()
        while not self._chunks.empty():
            self._chunks.get_nowait()
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
        chunk = self._chunks.get()
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    def _fetch(self) -> None:
        try:
            while not self._stopped.is_set():
                chunk = self._source.read(_CHUNK)
                self._put(chunk)
                if not chunk:
                    return
        except BaseException as error:  # noqa: BLE001 (`read` raises it)
            self._put(error)

    def _put(self, chunk: bytes | BaseException) -> None:
        while not self._stopped.is_set():
            try:
                self._chunks.put(chunk, timeout=0.1)
            except queue.Full:
                continue
            break


class Decompressed:
    """The content of a file in gzip or zstd, and of any other file as it is.

    Both may consist of several parts, one behind the other (RFC 1952, section 2.2; RFC 8878, section 3.1), where the
    streams of ``tarfile`` stop after the first.

    :raises EOFError: when it is read: it ends within a part.
    :raises zlib.error: when it is read: it is no gzip.
    :raises tarfile.ReadError: when it is read: it is no zstd, or of a window that is too large.
    """

    def __init__(self, source: Pieces) -> None:
        head = b""
        while len(head) < _MAGIC and (piece := source.read(PIECE)):
            head += piece
        pieces: Iterator[bytes] = chain([head], iter(lambda: source.read(PIECE), b""))
        if head.startswith(_GZIP):
            pieces = _gzip(pieces)
        elif _is_zstd(head):
            pieces = _zstd(pieces)
        self._pieces = pieces

    def read(self, _size: int, /) -> bytes:
        """Return the next piece, nothing at the end."""
        return next(self._pieces, b"")


def _gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what the members of a gzip file hold."""
    member = zlib.decompressobj(_GZIP_WINDOW)
    for piece in pieces:
        data = piece
        while data:
            if member.eof:
                data = data.lstrip(b"\0")  # padding
                member = zlib.decompressobj(_GZIP_WINDOW) if data else member
                continue
            if content := member.decompress(data, _LARGEST):
                yield content
            data = member.unconsumed_tail or member.unused_data
    if not member.eof:
        raise EOFError(_CUT_OFF)


def _is_zstd(head: bytes) -> bool:
    """Whether a file begins with a frame of zstd, or with one to be skipped, as pzstd writes it (section 3.1.2)."""
    return head.startswith(_ZSTD) or (head[1:_MAGIC] == _ZSTD_SKIPPABLE and head[0] >> 4 == 5)


def _zstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what the frames of a zstd file hold."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:  # compression.zstd is an optional part of Python
        raise tarfile.ReadError("this Python has no module for zstd") from None

    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    frame = zstd.ZstdDecompressor(options=options)
    try:
        for piece in pieces:
            data = piece
            # After a call that filled its room, the decompressor holds more.
            while data or not (frame.eof or frame.needs_input):
                if frame.eof:
                    frame = zstd.ZstdDecompressor(options=options)
                if content := frame.decompress(data, _LARGEST):
                    yield content
                data = frame.unused_data
    except zstd.ZstdError as error:
        raise tarfile.ReadError(str(error)) from None
    if not frame.eof:
        raise EOFError(_CUT_OFF)
