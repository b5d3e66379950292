"""Streams of blobs: one is read from a registry and checked against its digest, and may be sent to another."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from multiarch.errors import MultiarchError, RegistryUnreachableError
from multiarch.registry import limits
from multiarch.registry.errors import DigestMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from multiarch.image.manifest import Descriptor
    from multiarch.registry.answers import Answer, Body


_PIECE = 1 << 20  # bytes of what is skipped that are read at once


class BlobReader(io.RawIOBase):
    """A blob as a file: read forwards, resumed where a connection broke, checked when its end is reached.

    :param name: names the request in errors.
    :param fetch: asks for the bytes from *start* up to *end* (None: to the end of the blob); not retried.
    :param call: retries.
    :param first: how many bytes to ask for at first; None for all.
    """

    def __init__(
        self,
        name: str,
        descriptor: Descriptor,
        fetch: Callable[[int, int | None], Answer],
        call: Callable[[str, Callable[[], bytes]], bytes],
        *,
        first: int | None = None,
    ) -> None:
        super().__init__()
        self.size = descriptor.size
        self._digest = descriptor.digest
        self._name = name
        self._fetch = fetch
        self._call = call
        self._offset = 0
        self._end = first if first is not None and first < self.size else None
        self._hash = hashlib.sha256()
        self._body: Body | None = None

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes. :raises DigestMismatchError: the end is reached, and the digest is another."""
        if size < 0:
            return self.readall()
        count = min(size, self.size - self._offset)
        data = self._next(count) if count else b""
        self._hash.update(data)
        self._offset += len(data)
        if self._offset == self.size and (actual := f"sha256:{self._hash.hexdigest()}") != self._digest:
            raise DigestMismatchError(self._name, self._digest, actual)
        return data

    def close(self) -> None:
        """Give the connection back where all was read; else cut it off, so that it is not used again."""
        if self._body is not None:
            self._body.close()
            self._body = None
        super().close()

    def _next(self, count: int) -> bytes:
        """Return at least one byte, retried. The first try is made without the policy: most pieces need no more."""
        try:
            return self._read(count)
        except MultiarchError as error:
            failures = [error]

        def again() -> bytes:
            if failures:
                raise failures.pop()
            return self._read(count)

        return self._call(self._name, again)

    def _read(self, count: int) -> bytes:
        """Return up to *count* bytes. :raises RegistryUnreachableError: the answer ends before the blob does."""
        while True:
            body, self._body = self._body or self._open(), None
            if data := body.read(count):
                self._body = body
                return data
            body.close()
            if self._end is None or self._offset < self._end:
                raise RegistryUnreachableError(self._name, f"the blob ended after {self._offset} of {self.size} bytes")
            self._end = None

    def _open(self) -> Body:
        answer = self._fetch(self._offset, self._end)
        assert answer.stream is not None  # noqa: S101 (a stream was asked for, and this is no refusal)
        # A registry without ranges sends the whole blob: skip the part that was already read.
        skipped = self._offset if answer.status != 206 else 0
        while skipped and (data := answer.stream.read(min(skipped, _PIECE))):
            skipped -= len(data)
        return answer.stream


class Upload:
    """The body of a request that sends a blob: its length is known, and it can be sent again.

    :param source: opens the blob.
    :ivar failure: the error that ended the reading of the source, None before.
    :ivar cuts: how often a request was cut off within it.
    :ivar is_sent: whether all of it was sent once.
    :ivar is_accepted: whether the registry has taken it, and may not have stored it yet.
    """

    def __init__(self, source: Callable[[], BlobReader]) -> None:
        self._source = source
        self.failure: MultiarchError | None = None
        self.cuts = 0
        self.is_sent = False
        self.is_accepted = False
        self._reader: BlobReader | None = None
        self._left = 0

    @property
    def is_cut(self) -> bool:
        """Whether a part of it was sent, and not all."""
        return self._reader is not None and 0 < self._left < self._reader.size

    def restart(self) -> Upload:
        """Open the blob at its start, and return this body."""
        self.close()
        self._reader = self._source()
        self._left = self._reader.size
        return self

    def close(self) -> None:
        """Close the blob."""
        if self._reader is not None:
            self._reader.close()

    def __len__(self) -> int:
        return self._reader.size if self._reader else 0

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes, as http.client asks for them."""
        assert self._reader is not None  # noqa: S101 (`restart` makes it)
        try:
            data = self._reader.read(count) or b""
        except MultiarchError as error:
            self.failure = error
            raise
        self._left -= len(data)
        if not self._left:
            self.is_sent = True
            limits.current().await_commit()
        return data

    def read_chunk(self, count: int) -> bytes:
        """Return so many bytes, fewer at the end alone."""
        pieces = []
        while count and (piece := self.read(min(count, _PIECE))):
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)
