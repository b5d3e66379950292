"""Uploads of blobs to one registry (distribution specification, "Pushing blobs"): at once, or in chunks.

One request for all is what most registries take, and the fastest. Some refuse it for large blobs, or have a proxy in
front of them that does or that cuts it; from then on they get chunks. A chunk is kept until it is accepted, so that it
can be sent again from where the registry is. A registry may take minutes to commit what it has got, and a proxy give up
before.
"""

from __future__ import annotations

import contextlib
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multiarch.errors import (
    InvalidAnswerError,
    MultiarchError,
    RegistryError,
    RegistryUnreachableError,
)
from multiarch.registry import limits
from multiarch.registry.blobs import Upload
from multiarch.registry.errors import UploadLostError
from multiarch.retry import is_transient

if TYPE_CHECKING:
    from collections.abc import Callable

    from multiarch.image.manifest import Descriptor
    from multiarch.registry.answers import Answer
    from multiarch.registry.blobs import BlobReader
    from multiarch.registry.transport import Transport

# Statuses of a registry, or its proxy, that does not take a blob in one request.
_WANTS_CHUNKS = (400, 405, 411, 413, 416, 501)
_TOO_LARGE = (413, 416)
# bytes of a chunk, tried one after the other: GitHub's registry takes 4 MiB at most, nginx 1 MiB where nobody said more
_CHUNKS = (16 << 20, 4 << 20, 1 << 20)
_CUTS = 2  # times that a blob was cut off within it, after which it is sent in chunks
_LARGEST_CHUNK = 64 << 20  # bytes, as a chunk is held in memory; no registry is known to want more
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")
_DIGITS = re.compile(r"[0-9]{1,18}")


class Target(Struct, frozen=True):
    """Where a blob goes.

    :ivar name: names its requests in errors.
    :ivar path: what an upload is begun at, below ``/v2/``.
    """

    name: str
    path: str
    scopes: tuple[str, ...]
    descriptor: Descriptor


class Way(Struct, frozen=True):
    """How a registry takes blobs.

    :ivar chunk: the most bytes of a request, None for a whole blob.
    """

    chunk: int | None = None

    def other(self, error: RegistryError, size: int, smallest: int) -> Way | None:
        """Return the way to try for a blob that was refused in this one, None without one.

        :param size: bytes of the blob.
        :param smallest: bytes that all chunks but the last must have.
        """
        if self.chunk is None:
            is_refused = error.status in _WANTS_CHUNKS and "DIGEST_INVALID" not in str(error)
            return Way(_CHUNKS[0]) if is_refused and size > _CHUNKS[-1] else None
        smaller = [chunk for chunk in _CHUNKS if smallest <= chunk < min(self.chunk, size)]
        return Way(smaller[0]) if error.status in _TOO_LARGE and smaller else None


class Uploads:
    """Sends blobs to one registry, and remembers how it takes them. Safe to use from several threads.

    :param transport: sends the requests.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._way = Way()

    def send(self, target: Target, source: Callable[[], BlobReader], is_there: Callable[[], bool]) -> None:
        """Send a blob, unless the registry has mounted it.

        :param source: opens the blob; its reads are retried, so that its errors are final.
        :param is_there: asks the registry whether it has the blob.
        """
        body = Upload(source)

        def attempt() -> None:
            # Its answer may have been lost after all was sent, or given by a proxy that did not wait for it.
            if body.is_sent and is_there():
                return
            try:
                self._attempt(target, body)
            except RegistryUnreachableError:
                if body.is_cut:
                    body.cuts += 1
                if body.cuts >= _CUTS and self._way.chunk is None:
                    self._way = Way(_CHUNKS[0])
                raise

        def passes(error: BaseException) -> bool:
            return error is not body.failure and (isinstance(error, UploadLostError) or is_transient(error))

        with contextlib.closing(body):
            self._transport.call(target.name, attempt, transient=passes)
            if body.is_accepted:
                self._await(target, is_there)

    def _attempt(self, target: Target, body: Upload) -> None:
        """Upload a blob as a whole or in chunks; in another way, and from then on, where the registry refuses one."""
        while True:
            way = self._way
            begun = self._once(target, "POST", target.path, headers=_EMPTY)
            if begun.status == 201:
                return
            if not begun.header("Location"):
                raise RegistryError(target.name, begun.status, "without a Location to send it to")
            url = self._transport.follow(target.name, begun)
            try:
                if way.chunk is None:
                    answer = self._once(target, "PUT", _with_digest(url, target), headers=_BYTES, data=body.restart)
                else:
                    url = self._send_chunks(target, url, body, max(way.chunk, _smallest(begun)))
                    answer = self._once(target, "PUT", _with_digest(url, target), headers=_EMPTY, commits=True)
            except RegistryError as error:
                other = way.other(error, target.descriptor.size, _smallest(begun))
                if (error is body.failure and way.chunk is None) or other is None:
                    raise
                self._way = other
            else:
                body.is_accepted = answer.status == 202
                return

    def _send_chunks(self, target: Target, url: str, body: Upload, size: int) -> str:
        """Send a blob in chunks of a size; return the address to commit it at."""
        if size > _LARGEST_CHUNK:
            raise InvalidAnswerError(target.name, f"the registry wants chunks of {size} bytes, which is too much")
        body.restart()
        start = 0
        while chunk := body.read_chunk(size):
            try:
                url = self._send_chunk(target, url, chunk, start)
            except UploadLostError:
                raise
            except MultiarchError as error:
                body.failure = error  # it was retried already
                raise
            start += len(chunk)
        return url

    def _send_chunk(self, target: Target, url: str, chunk: bytes, start: int) -> str:
        """Send a chunk until all of it is accepted; return the address for what follows.

        :raises UploadLostError: the registry does not have what was sent before.
        """
        end = start + len(chunk)
        place, position, failures = url, start, 0

        def attempt() -> None:
            nonlocal place, position, failures
            failures += 1
            if failures > 1:
                # How far it is, the registry knows itself ("Pushing a blob in chunks").
                place, position = self._progress(target, place, self._sent(target, "GET", place), position)
            while start <= position < end:
                headers = {**_BYTES, "Content-Range": f"{position}-{end - 1}"}
                rest = partial(bytes, chunk[position - start :])
                answer = self._sent(target, "PATCH", place, headers=headers, data=rest)
                before = position
                place, position = self._progress(target, place, answer, end)
                if position <= before:
                    break
            if position != end:
                raise UploadLostError(target.name, f"it has {position} bytes after {end} were sent")

        self._transport.call(target.name, attempt)
        return place

    def _sent(self, target: Target, verb: str, place: str, **options: Any) -> Answer:
        """Return the answer to a request about an upload. :raises UploadLostError: there is none of it."""
        answer = self._once(target, verb, place, fine=(404,), **options)
        if answer.status == 404:
            raise UploadLostError(target.name, "it knows of no such upload")
        return answer

    def _progress(self, target: Target, url: str, answer: Answer, otherwise: int) -> tuple[str, int]:
        """Return the next address of an upload, and how many bytes the registry has.

        :param otherwise: how many these are where it does not say.
        """
        if answer.header("Location"):
            url = self._transport.follow(target.name, answer)
        found = _RANGE.fullmatch(answer.header("Range"))
        count = int(found[1]) + 1 if found else otherwise
        # A registry that has nothing yet says 0-0 too.
        return url, 0 if count == 1 != otherwise else count

    def _await(self, target: Target, is_there: Callable[[], bool]) -> None:
        """Wait until a blob is there that the registry has only accepted (202)."""

        def look() -> None:
            if not is_there():
                raise RegistryError(target.name, 503, "it was accepted, and is not there yet")

        self._transport.call(target.name, look)

    def _once(self, target: Target, verb: str, where: str, *, commits: bool = False, **options: Any) -> Answer:
        seconds = limits.COMMIT_SECONDS if commits else None
        return self._transport.once(target.name, verb, where, target.scopes, seconds=seconds, **options)


_BYTES = {"Content-Type": "application/octet-stream"}
_EMPTY = {"Content-Length": "0"}


def _with_digest(url: str, target: Target) -> str:
    return f"{url}{'&' if '?' in url else '?'}digest={target.descriptor.digest}"


def _smallest(begun: Answer) -> int:
    """Return how many bytes a chunk must have; 0 where the registry does not say."""
    value = begun.header("OCI-Chunk-Min-Length")
    return int(value) if _DIGITS.fullmatch(value) else 0
