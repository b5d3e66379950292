"""The content of a layer as it streams: read ahead of whoever takes it apart, and decompressed on the way."""

from __future__ import annotations

import io
import queue
import threading
import zlib
from typing import IO, Any

# Bytes that are taken at a time, and how many such pieces are kept ahead.
PIECE = 1 << 17
_AHEAD = 32
_GZIP = b"\x1f\x8b"
# For zlib: a gzip header, and the largest window.
_GZIP_WINDOW = 31


class ReadAhead(io.RawIOBase):
    """Reads another file in a thread of its own, so that fetching and taking apart go on at the same time.

    :param source: is closed with this.
    :param after: how many bytes are read as they are asked for, before it is read ahead.
    """

    def __init__(self, source: IO[bytes], *, after: int) -> None:
        super().__init__()
        self._source = source
        self._left = after
        self._pieces: queue.Queue[bytes | BaseException] = queue.Queue(_AHEAD)
        self._rest = b""
        self._over = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Take what was read ahead; raise what was raised there."""
        if self._left > 0:
            piece = self._source.read(min(len(buffer), self._left))
            self._left = self._left - len(piece) if piece else 0
            self._over = not piece
            buffer[: len(piece)] = piece
            return len(piece)
        if not self._rest and not self._over:
            if self._thread is None:
                self._thread = threading.Thread(target=self._fetch, daemon=True)
                self._thread.start()
            taken = self._pieces.get()
            if isinstance(taken, BaseException):
                raise taken
            self._rest, self._over = taken, not taken
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        """Stop reading."""
        self._stopped.set()
        while not self._pieces.empty():
            self._pieces.get_nowait()
        if self._thread is not None:
            self._thread.join()
        self._source.close()
        super().close()

    def _fetch(self) -> None:
        try:
            while not self._stopped.is_set():
                piece = self._source.read(PIECE)
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


class Gunzip(io.RawIOBase):
    """Decompresses gzip of any number of members (RFC 1952, section 2.2); tarfile's own streams stop after the first.

    :raises EOFError: when it is read: it ends within a member. :raises zlib.error: it is no gzip.
    """

    def __init__(self, source: IO[bytes]) -> None:
        super().__init__()
        self._source = source
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._input = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Decompress what fits into the buffer."""
        while True:
            if not self._input:
                self._input = self._source.read(PIECE)
                if not self._input:
                    if self._member.eof or self._is_fresh:
                        return 0
                    raise EOFError("it ends too early")
            if self._member.eof:
                self._input = self._input.lstrip(b"\0")  # padding
                if not self._input:
                    continue
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            data = self._member.decompress(self._input, len(buffer))
            self._input = self._member.unconsumed_tail or self._member.unused_data
            self._is_fresh = False
            if data:
                buffer[: len(data)] = data
                return len(data)

    def close(self) -> None:
        """Close both."""
        self._source.close()
        super().close()

    _is_fresh = True


def decompressed(source: IO[bytes]) -> IO[bytes]:
    """Return gzip decompressed, and everything else as it is."""
    ahead = io.BufferedReader(source, PIECE)  # type: ignore[type-var]
    is_gzip = ahead.peek(2)[:2] == _GZIP
    return Gunzip(ahead) if is_gzip else ahead  # type: ignore[return-value]
