"""Streams of a layer's content: read ahead in a thread of its own, and decompressed within bounds.

``read`` returns pieces as they come, whatever size is asked for: a layer may have gigabytes, and nobody needs more of
them than the names and the beginnings of its files.
"""

from __future__ import annotations

import queue
import sys
import threading
import zlib
from itertools import chain
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# Bytes of a piece; larger ones are slower, as the allocator asks the system for each of them.
PIECE = 1 << 16
# Bytes of a chunk that is read ahead (large, so that threads switch rarely), and how many of them wait at most.
_CHUNK = 1 << 20
_CHUNKS_AHEAD = 4
# Bytes that a piece may have when it is decompressed; the rest is a piece of its own.
_LARGEST = 1 << 20
_GZIP = b"\x1f\x8b"
_BZIP2 = b"BZh"
_XZ = b"\xfd7zXZ\0"
# zlib's window bits: the largest window, 15, and 16 for a gzip header.
_GZIP_WINDOW = 31
# Bytes that show the compression.
_MAGIC = 6
# The first four bytes of a frame, and the last three of those of a frame to be skipped (RFC 8878, section 3.1).
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
# Binary logarithm of the largest window in bytes: 128 MiB, as for `zstd -d`. A frame may ask for terabytes.
_ZSTD_WINDOW_LOG = 27
# Bytes of memory; `xz -9` needs 65 MiB to decompress (xz(1)), and a stream may ask for gigabytes.
_XZ_MEMORY = 128 << 20
_CUT_OFF = "it ends too early"
# Bytes of a layer when it is decompressed. Registries take layers of 10 GB at most, which seldom are over 30 GB then.
MOST_EXPANDED = 32 << 30
# How many times its own size a layer may expand to; programs and texts reach 3 to 10.
_RATIO = 100
# Bytes of a layer that may have any ratio: small layers hold little but the headers of files, which are mostly zeros.
_ANY_RATIO = 512 << 20


class UnreadableError(Exception):
    """A layer that is no tar, is cut off, is beyond the bounds, or is of a compression that cannot be read."""


class Pieces(Protocol):
    """A file that is read forwards."""

    def read(self, size: int, /) -> bytes:
        """Return the next chunk, ``b""`` at the end. *size* is a hint: an implementation may return more."""

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
        """Return the next chunk, of whatever length, ``b""`` at the end; raise what the thread's reading raised."""
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
        """Return the next piece; from where reading ahead begins, the one that a thread has fetched."""
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
    """The content of a file in gzip, bzip2, xz or zstd, and of any other file as it is.

    All may consist of several parts, one behind the other (RFC 1952, section 2.2; RFC 8878, section 3.1).

    :ivar size: bytes that were read so far.
    :raises UnreadableError: when it is read: it ends within a part, is broken, or expands to more than a layer may.
    """

    def __init__(self, source: Pieces) -> None:
        self.size = 0
        self._source = source
        self._source_size = 0
        head = b""
        while len(head) < _MAGIC and (piece := self._next_of_source()):
            head += piece
        pieces: Iterator[bytes] = chain([head], iter(self._next_of_source, b""))
        if head.startswith(_GZIP):
            pieces = _gzip(pieces)
        elif head.startswith(_BZIP2):
            pieces = _bzip2(pieces)
        elif head.startswith(_XZ):
            pieces = _xz(pieces)
        elif _is_zstd(head):
            pieces = _zstd(pieces)
        self._pieces = pieces

    def read(self, _size: int, /) -> bytes:
        """Return the next chunk, ``b""`` at the end. :raises UnreadableError: it expands too far."""
        piece = next(self._pieces, b"")
        self.size += len(piece)
        if self.size > max(_ANY_RATIO, _RATIO * self._source_size):
            raise UnreadableError(f"it expands to more than {_RATIO} times its size, not read on")
        if self.size > MOST_EXPANDED:
            raise UnreadableError(f"it expands to more than {MOST_EXPANDED >> 30} GiB, not read on")
        return piece

    def _next_of_source(self) -> bytes:
        piece = self._source.read(PIECE)
        self._source_size += len(piece)
        return piece


class _Decompressor(Protocol):
    """What decompresses one part, as in ``bz2``, ``lzma`` and ``compression.zstd``."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _parts(
    pieces: Iterable[bytes],
    begin: Callable[[], _Decompressor],
    errors: tuple[type[Exception], ...],
    padding: bytes = b"",
) -> Iterator[bytes]:
    """Yield what the parts of a file hold.

    :param begin: makes the decompressor of a part.
    :param errors: those that it raises.
    :param padding: bytes that may stand between parts.
    """
    part = begin()
    for piece in pieces:
        data = piece
        # After a call that filled its room, the decompressor holds more.
        while data or not (part.eof or part.needs_input):
            if part.eof:
                if not (data := data.lstrip(padding) if padding else data):
                    break
                part = begin()
            try:
                content = part.decompress(data, _LARGEST)
            except errors as error:
                raise UnreadableError(str(error)) from None
            if content:
                yield content
            data = part.unused_data
    if not part.eof:
        raise UnreadableError(_CUT_OFF)


def _gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what the members of a gzip file hold."""
    member = zlib.decompressobj(_GZIP_WINDOW)
    try:
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
    except zlib.error as error:
        raise UnreadableError(str(error)) from None
    if not member.eof:
        raise UnreadableError(_CUT_OFF)


def _bzip2(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what the streams of a bzip2 file hold."""
    try:
        import bz2
    except ImportError:  # an optional part of Python
        raise UnreadableError("this Python has no module for bzip2") from None

    yield from _parts(pieces, bz2.BZ2Decompressor, (OSError, ValueError))


def _xz(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what the streams of an xz file hold."""
    try:
        import lzma
    except ImportError:  # an optional part of Python
        raise UnreadableError("this Python has no module for xz") from None

    yield from _parts(pieces, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY), (lzma.LZMAError,), padding=b"\0")


def _is_zstd(head: bytes) -> bool:
    """Whether a file begins with a frame of zstd, or with one to be skipped, as pzstd writes it (section 3.1.2)."""
    return head.startswith(_ZSTD) or (head[1:4] == _ZSTD_SKIPPABLE and head[0] >> 4 == 5)


def _zstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what the frames of a zstd file hold."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:  # compression.zstd is an optional part of Python
        raise UnreadableError("this Python has no module for zstd") from None

    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    yield from _parts(pieces, lambda: zstd.ZstdDecompressor(options=options), (zstd.ZstdError,))
