"""A layer of an image: the files of its tar, read as far as they are asked for (OCI image-spec, layer.md)."""

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


# Enough for an ELF header, and for the first line of a script (BINPRM_BUF_SIZE of Linux).
_HEAD = 256
# What reading raises of a layer that is no tar, or is cut off, or is compressed in a way that cannot be read.
UNREADABLE = (tarfile.TarError, zlib.error, EOFError)
# Files that are read at a time once it is a long way: its readers would spend the time on handing the layer on.
_AT_ONCE = 16
# Most programs are found within so many bytes of a layer; only then it is read ahead.
_FIRST = 1 << 20


@dataclass(frozen=True)
class File:
    """A file of a layer: where its link leads if it is one, and how its content begins."""

    link: str = ""
    head: bytes = b""


class Layer:
    """The tar of a layer, compressed or not, read as far as it is asked for.

    :param open_: opens it.
    """

    def __init__(self, open_: Callable[[], IO[bytes]]) -> None:
        self._tar = _Tar(open_)
        self._at: int | None = 0

    @property
    def files(self) -> Mapping[str, File]:
        """What was read so far, by this reader or another."""
        return self._tar.files

    def again(self) -> Layer:
        """Return the same layer for another reader, which has all of it before it; it is read once for both."""
        other = copy.copy(self)
        other._at = 0
        self._tar.join()
        return other

    def advance(self) -> str | None:
        """Read one file more; return its name, None at the end.

        :raises UNREADABLE: the layer is no tar, or its compression cannot be read.
        """
        if self._at is None:
            return None
        name = self._tar.name(self._at)
        self._at += name is not None
        return name

    def prefetch(self) -> None:
        """Read its beginning, so that it is there when it is needed; what is wrong with it is raised then."""
        with contextlib.suppress(*UNREADABLE):
            self._tar.name(0)

    def close(self) -> None:
        """Stop reading."""
        if self._at is not None:
            self._at = None
            self._tar.leave()


class _Tar:
    """What the readers of a layer share: its files in their order, as far as any of them has read."""

    def __init__(self, open_: Callable[[], IO[bytes]]) -> None:
        self.files: dict[str, File] = {}
        self._names: list[str] = []
        self._members = self._read(open_)
        self._error: BaseException | None = None
        self._readers = 1
        self._lock = threading.Lock()

    def name(self, number: int) -> str | None:
        """Return the name of one of its files, None when there are fewer; a few more than are known may be read."""
        if number < len(self._names):
            return self._names[number]
        with self._lock:
            if number == len(self._names) and self._error is None:
                try:
                    for name in islice(self._members, 1 if number < _AT_ONCE else _AT_ONCE):
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
        """The last to leave closes it."""
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
                    # A hard link is another name of a file that came before it, also where that name is gone above.
                    target = posixpath.normpath(posixpath.join("/", member.linkname)).lstrip("/")
                    self.files[name] = self.files.get(target) or File(link=f"/{target}")
                elif member.isfile() and (content := tar.extractfile(member)):
                    self.files[name] = File(head=content.read(_HEAD))
                else:
                    self.files.setdefault(name, File())
                yield name
