"""Layers of images: tars of which the files are read one after the other (OCI image-spec, layer.md)."""

from __future__ import annotations

import contextlib
import copy
import posixpath
import tarfile
import threading
import zlib
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING

from multiarch.image.streams import PIECE, Decompressed, ReadAhead

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping


# Bytes of a file that are kept: an ELF header, or the first line of a script (BINPRM_BUF_SIZE of Linux).
_HEAD = 256
# Errors of a layer that is no tar, is cut off, or is of a compression that cannot be read.
UNREADABLE = (tarfile.TarError, zlib.error, EOFError)
# Files that are read at a time behind the first ones, so that the readers of a layer seldom wait for each other.
_BATCH = 16
# Bytes of a layer before it is read ahead; most programs are within them.
_FIRST = 1 << 20


@dataclass(frozen=True)
class File:
    """A file of a layer: the target of a link, or the beginning of the content."""

    link: str = ""
    head: bytes = b""


class Layer:
    """A reader of a layer: a tar, compressed or not.

    :param open_: opens the layer.
    """

    def __init__(self, open_: Callable[[], IO[bytes]]) -> None:
        self._tar = _Tar(open_)
        self._next: int | None = 0  # None when it is closed

    @property
    def files(self) -> Mapping[str, File]:
        """The files that were read so far, by this reader or another of the same layer; by name."""
        return self._tar.files

    def again(self) -> Layer:
        """Return another reader of the same layer, at its beginning; the layer is read once for both."""
        other = copy.copy(self)
        other._next = 0
        self._tar.join()
        return other

    def advance(self) -> str | None:
        """Return the name of the next file, which is read then; None at the end.

        :raises UNREADABLE: the layer is no tar, or its compression cannot be read.
        """
        if self._next is None:
            return None
        name = self._tar.name(self._next)
        self._next += name is not None
        return name

    def prefetch(self) -> None:
        """Read the beginning of the layer before it is needed; an error of the layer is raised when it is needed."""
        with contextlib.suppress(*UNREADABLE):
            self._tar.name(0)

    def close(self) -> None:
        """Stop reading."""
        if self._next is not None:
            self._next = None
            self._tar.leave()


class _Tar:
    """State that the readers of a layer share: its files in their order, as far as any of them has read."""

    def __init__(self, open_: Callable[[], IO[bytes]]) -> None:
        self.files: dict[str, File] = {}
        self._names: list[str] = []
        self._members = self._read(open_)
        self._error: BaseException | None = None
        self._readers = 1
        self._lock = threading.Lock()

    def name(self, number: int) -> str | None:
        """Return the name of one of the files, None when there are fewer; a few more may be read on the way."""
        if number < len(self._names):
            return self._names[number]
        with self._lock:
            if number == len(self._names) and self._error is None:
                try:
                    for name in islice(self._members, 1 if number < _BATCH else _BATCH):
                        self._names.append(name)
                except BaseException as error:
                    self._error = error
                    if not isinstance(error, Exception):
                        raise
            if number < len(self._names):
                return self._names[number]
            if self._error is not None:
                raise self._error
            return None

    def join(self) -> None:
        with self._lock:
            self._readers += 1

    def leave(self) -> None:
        """Note that a reader is done. The last one closes the layer."""
        with self._lock:
            self._readers -= 1
            if not self._readers:
                self._members.close()

    def _read(self, open_: Callable[[], IO[bytes]]) -> Generator[str, None, None]:
        with (
            contextlib.closing(ReadAhead(open_(), after=_FIRST)) as raw,
            tarfile.open(fileobj=Decompressed(raw), mode="r|*", bufsize=PIECE) as tar,  # type: ignore[call-overload]
        ):
            for member in tar:
                name = posixpath.normpath(posixpath.join("/", member.name)).lstrip("/")
                if member.issym():
                    self.files[name] = File(link=member.linkname)
                elif member.islnk():
                    # A hard link is another name of a file before it, also where a layer above removes the first name.
                    target = posixpath.normpath(posixpath.join("/", member.linkname)).lstrip("/")
                    self.files[name] = self.files.get(target) or File(link=f"/{target}")
                elif member.isfile() and (content := tar.extractfile(member)):
                    self.files[name] = File(head=content.read(_HEAD))
                else:
                    self.files.setdefault(name, File())
                yield name
