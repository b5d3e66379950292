"""Layers of images: tars of which the files are read one after the other (OCI image-spec, layer.md)."""

from __future__ import annotations

import contextlib
import copy
import posixpath
import sys
import threading
from array import array
from typing import IO, TYPE_CHECKING

from multiarch.image.file import MOST_TEXTS, File, FileKind, read_file
from multiarch.image.streams import Decompressed, ReadAhead, UnreadableError
from multiarch.image.tar import Entry, Kind, TarReader

if TYPE_CHECKING:
    from collections.abc import Callable, Container

# Entries that are read at a time, so that the readers of a layer seldom wait for each other.
_BATCH = 1024
# Bytes of a layer before it is read ahead; most programs are within them.
_FIRST = 1 << 20
# Entries of a layer of which all texts are kept: what a COPY brings is often a script, whatever its name and mode.
_FEW = 64
# Bytes of memory that a kept name takes beside its text: its place in a dictionary, and the file.
_OVERHEAD = 320


class Layer:
    """A reader of a layer: a tar, compressed or not.

    :param open_: opens the layer.
    """

    def __init__(self, open_: Callable[[], IO[bytes]]) -> None:
        self._tar = _Tar(open_)
        self._seen: int | None = 0  # entries; None when it is closed

    @property
    def count(self) -> int:
        """The number of entries that were read so far, by this reader or another of the same layer."""
        return self._tar.count

    @property
    def memory(self) -> int:
        """The bytes of memory that the names of these take."""
        return self._tar.memory

    def find(self, name: str) -> File | None:
        """Return a file that was read so far, by this reader or another of the same layer; None if it was not."""
        return self._tar.find(name)

    def again(self) -> Layer:
        """Return another reader of the same layer, at its beginning; the layer is read once for both."""
        other = copy.copy(self)
        other._seen = 0
        self._tar.join()
        return other

    def advance(self, wanted: Container[str]) -> bool:
        """Read on: until an entry of a *wanted* name, or for a while. Whether there is more to find; not at the end.

        :raises UnreadableError: the layer is no tar, is beyond the bounds, or its compression cannot be read.
        """
        if self._seen is None:
            return False
        seen, self._seen = self._seen, self._tar.read_on(self._seen, wanted)
        return self._seen > seen

    def prefetch(self) -> None:
        """Read the first entry of the layer before it is needed; an error of the layer is raised when it is needed."""
        with contextlib.suppress(UnreadableError):
            self._tar.read_on(0, (), most=1)

    def close(self) -> None:
        """Stop reading."""
        if self._seen is not None:
            self._seen = None
            self._tar.leave()


class _Tar:
    """State that the readers of a layer share: what is known of its entries, as far as any of them has read.

    Of links, programs and scripts the names are kept, as a search may come to need them later; of all other entries no
    more than that they were there.

    :ivar count: entries that were read.
    :ivar memory: bytes that their names take.
    """

    def __init__(self, open_: Callable[[], IO[bytes]]) -> None:
        self.count = self.memory = 0
        self._open = open_
        self._source: ReadAhead | None = None
        self._reader: TarReader | None = None
        self._kept: dict[str, File] = {}
        self._others: dict[File, _Names] = {}
        self._room = MOST_TEXTS
        self._error: BaseException | None = None
        self._is_over = False
        self._readers = 1
        self._lock = threading.Lock()

    def find(self, name: str) -> File | None:
        if file := self._kept.get(name):
            return file
        return next((file for file, names in self._others.items() if name in names), None)

    def read_on(self, seen: int, wanted: Container[str], most: int = _BATCH) -> int:
        """Read at most so many entries, unless more than *seen* were already read; return how many there are now."""
        with self._lock:
            if self.count > seen or self._is_over:
                return self.count
            if self._error is not None:
                raise self._error
            try:
                for _ in range(most):
                    if (entry := self._next()) is None:
                        self._is_over = True
                        break
                    name = normalised(entry.name)
                    is_wanted = name in wanted
                    self._note(name, entry, is_wanted=is_wanted or self.count < _FEW)
                    self.count += 1
                    if is_wanted:
                        break
            except BaseException as error:
                self._error = error
                raise
            return self.count

    def join(self) -> None:
        with self._lock:
            self._readers += 1

    def leave(self) -> None:
        """Note that a reader is done. The last one closes the layer."""
        with self._lock:
            self._readers -= 1
            if not self._readers and self._source is not None:
                self._source.close()

    def _next(self) -> Entry | None:
        if self._reader is None:
            self._source = ReadAhead(self._open(), after=_FIRST)
            self._reader = TarReader(Decompressed(self._source))
        return self._reader.next()

    def _note(self, name: str, entry: Entry, *, is_wanted: bool) -> None:
        """Note an entry; of several with the same name the last one counts, as when they are unpacked."""
        file = self._file(name, entry, is_wanted=is_wanted)
        self._kept.pop(name, None)
        if file.is_plain:
            self._others.setdefault(file, _Names()).add(name)
            self.memory += _Names.ITEM
        else:
            self._kept[name] = file
            self.memory += sys.getsizeof(name) + sys.getsizeof(file.link) + len(file.packed) + _OVERHEAD

    def _file(self, name: str, entry: Entry, *, is_wanted: bool) -> File:
        """Return what an entry of the archive is as a file of the image."""
        if entry.kind is Kind.LINK:
            return File(FileKind.LINK, link=entry.link)
        if entry.kind is Kind.SPARSE:
            return File(FileKind.DATA, is_executable=True, note="is a sparse file, which is not read")
        if entry.kind is Kind.HARD_LINK:
            # A hard link is another name of a file before it, also where a layer above removes the first name.
            target = normalised(entry.link)
            return self.find(target) or File(FileKind.LINK, link=f"/{target}")
        if entry.kind is Kind.OTHER or self._reader is None:
            return File(FileKind.OTHER)
        file = read_file(name, entry, self._reader.read_on, is_wanted=is_wanted, room=self._room)
        self._room -= len(file.packed) + _OVERHEAD if file.packed else 0
        return file


class _Names:
    """A set of names, of which their hashes are kept: as lists by their last byte.

    A name that was not added is taken for one of a million that were once in 2^44 lookups.
    """

    ITEM = 8  # bytes of a name

    def __init__(self) -> None:
        self._lists: dict[int, array[int]] = {}

    def add(self, name: str) -> None:
        key = hash(name)
        names = self._lists.get(key & 0xFF)
        if names is None:
            names = self._lists[key & 0xFF] = array("q")
        names.append(key)

    def __contains__(self, name: str) -> bool:
        key = hash(name)
        return key in self._lists.get(key & 0xFF, ())


def normalised(name: str) -> str:
    """Return a name as a path from the root, without a slash before it."""
    if "//" not in name and "/." not in name and not name.startswith((".", "/")):
        return name.rstrip("/")
    return posixpath.normpath(posixpath.join("/", name)).lstrip("/")
