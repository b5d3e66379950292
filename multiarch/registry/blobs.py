"""The content of blobs as it streams: from a registry, checked against its digest, and into another."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from multiarch.errors import DigestMismatchError, MultiarchError, RegistryUnreachableError
from multiarch.retry import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from multiarch.image.manifest import Descriptor


class BlobReader(io.RawIOBase):
    """A blob as a file: read forwards, resumed where a connection broke, checked when its end is reached.

    :param name: names the request in errors.
    :param fetch: asks for the bytes from *start* up to *end* (None: all that is left); not retried.
    :param call: retries.
    :param first: how many bytes to ask for at first.
    """

    def __init__(
        self,
        name: str,
        descriptor: Descriptor,
        fetch: Callable[[int, int | None], requests.Response],
        call: Callable[[str, Callable[[], bytes]], bytes],
        *,
        first: int | None = None,
    ) -> None:
        super().__init__()
        self.size = int(descriptor["size"])
        self._digest = str(descriptor["digest"])
        self._name = name
        self._fetch = fetch
        self._call = call
        self._offset = 0
        self._end = first if first is not None and first < self.size else None
        self._hash = hashlib.sha256()
        self._response: requests.Response | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Read on. :raises DigestMismatchError: the end is reached, and the bytes were not those of the digest."""
        if size < 0:
            return self.readall()
        wanted = min(size, self.size - self._offset)
        data = self._next(wanted) if wanted else b""
        self._hash.update(data)
        self._offset += len(data)
        if self._offset == self.size and (actual := f"sha256:{self._hash.hexdigest()}") != self._digest:
            raise DigestMismatchError(self._name, self._digest, actual)
        return data

    def close(self) -> None:
        """Give the connection back when all of it was read; else cut it off, and do not let it be used again."""
        if self._response is not None:
            self._response.raw.close()
            self._response = None
        super().close()

    def _next(self, wanted: int) -> bytes:
        """Return at least one byte, by retries if need be; they cost too much to be set up for every piece."""
        try:
            return self._read(wanted)
        except MultiarchError as error:
            failures = [error]

        def again() -> bytes:
            if failures:
                raise failures.pop()
            return self._read(wanted)

        return self._call(self._name, again)

    def _read(self, wanted: int) -> bytes:
        import urllib3

        while True:
            response = self._response or self._open()
            try:
                data: bytes = response.raw.read(wanted)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                self._response = None
                response.close()
                raise RegistryUnreachableError(self._name, describe(error)) from None
            if data:
                return data
            self._response = None
            if self._end is None or self._offset < self._end:
                raise RegistryUnreachableError(self._name, f"the blob ended after {self._offset} of {self.size} bytes")
            self._end = None

    def _open(self) -> requests.Response:
        import urllib3

        response = self._fetch(self._offset, self._end)
        if response.status_code != 206 and self._offset:
            # A registry that does not know ranges sends it all: the part that is here already is passed over.
            try:
                response.raw.read(self._offset)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                response.close()
                raise RegistryUnreachableError(self._name, describe(error)) from None
        self._response = response
        return response


class Upload:
    """The body of a request that sends a blob on: its length is known, and it can be sent again.

    :param source: opens the blob.
    :ivar failed: what kept it from being read to its end, once it is given up.
    """

    def __init__(self, source: Callable[[], BlobReader]) -> None:
        self._source = source
        self.failed: MultiarchError | None = None
        self._reader: BlobReader | None = None

    def again(self) -> Upload:
        """Begin at the start."""
        if self._reader is not None:
            self._reader.close()
        self._reader = self._source()
        return self

    def __len__(self) -> int:
        return self._reader.size if self._reader else 0

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes, as http.client asks for them."""
        assert self._reader is not None  # noqa: S101 (`again` makes it)
        try:
            return self._reader.read(count) or b""
        except MultiarchError as error:
            self.failed = error
            raise
