"""The files of an image: its layers over each other, read as far as a file is not found.

The layers of an image lie over each other (OCI image-spec, layer.md): a file is the topmost one of its name that no
whiteout above it hides. Layers are read from the top.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.image.program import shown
from multiarch.image.streams import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.image.file import File
    from multiarch.image.layers import Layer

# Links that are followed, as many as by Linux (MAXSYMLINKS).
_MOST_LINKS = 40
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
# Bytes of a path (PATH_MAX of Linux).
_LONGEST_PATH = 4095
# Entries of an image's layers above its program, or of all of them; large images have a few 100,000. They take 7 s.
MOST_ENTRIES = 1_000_000
# Bytes of memory for their names: of 200,000 links and programs, and of all other entries.
MOST_MEMORY = 64 << 20
# Lookups of names in layers. They take 3 s; an image of 100 layers needs up to 500,000.
MOST_LOOKUPS = 3_000_000


class UnreadError(Exception):
    """A layer that would have to be read and was not, so that it is not known whether a file is there."""


class ElsewhereLayer(Struct, frozen=True):
    """A layer that is not in the registry (image-spec, descriptor.md, ``urls``). *url* is where it may be."""

    url: str


class Files:
    """The files of an image.

    :param layers: the lowest first.
    :param scripts: paths of files whose text may be needed, whatever they are called.
    """

    def __init__(self, layers: Sequence[Layer | ElsewhereLayer], scripts: frozenset[str] = frozenset()) -> None:
        self._layers = [*reversed(layers)]
        self._read: list[Layer] = []
        self._scripts = scripts
        self._lookups = 0

    def find(self, path: str) -> tuple[str, File | None]:
        """Return the file at an absolute path behind all links, and its own path; None where there is none.

        :raises UnreadError: it is not known, as a layer was not read, or would take too much.
        """
        while True:
            found, file, missed = self._follow(path)
            if file is not None or not missed:
                return found, file
            if not self._read_on(missed):
                return found, None

    def _read_on(self, missed: set[str]) -> bool:
        """Read on until any of the missed names is found. Whether one is; otherwise there is none."""
        while True:
            while self._read and self._advance(self._read[-1], missed):
                if any(self._find(self._read[-1], name) for name in missed):
                    return True
            if len(self._read) == len(self._layers):
                return False
            layer = self._layers[len(self._read)]
            if isinstance(layer, ElsewhereLayer):
                raise UnreadError(f"a layer of it is elsewhere ({shown(layer.url)})")
            self._read.append(layer)
            if any(self._find(layer, name) for name in missed):
                return True

    def _advance(self, layer: Layer, missed: set[str]) -> bool:
        """Read on in a layer until it has a missed name, or for a while; return whether more of it is left."""
        try:
            more = layer.advance(missed | self._scripts)
        except UnreadableError as error:
            raise UnreadError(f"a layer of it cannot be read ({error})") from None
        if sum(read.count for read in self._read) > MOST_ENTRIES:
            raise UnreadError(f"its layers have more than {MOST_ENTRIES:,} entries, not read on")
        if sum(read.memory for read in self._read) > MOST_MEMORY:
            raise UnreadError("its layers have more links and programs than are kept, not read on")
        return more

    def _follow(self, path: str) -> tuple[str, File | None, set[str]]:
        """Return what `find` does, as far as layers were read, and the names that further ones may have."""
        missed: set[str] = set()
        for _ in range(_MOST_LINKS):
            if len(path) > _LONGEST_PATH:
                return path, None, set()
            name = posixpath.normpath(path).lstrip("/")
            parts = name.split("/")
            depth = len(self._read)
            for count in range(1, len(parts) + 1):
                prefix = "/".join(parts[:count])
                file, depth = self._topmost(prefix, depth)
                if file is None and depth == len(self._read):
                    missed.add(prefix)
                if file and file.link:
                    path = posixpath.join("/", posixpath.dirname(prefix), file.link, *parts[count:])
                    break
            else:
                return f"/{name}", file, missed
        return path, None, set()

    def _topmost(self, name: str, depth: int) -> tuple[File | None, int]:
        """Return the topmost file of a name, or None, and the depth of the names below it.

        A whiteout hides the name, and all below it, in the layers under its own.

        :param depth: how many layers, counted from the top, may have the file.
        """
        directory, _, base = name.rpartition("/")
        whiteouts = (posixpath.join(directory, _WHITEOUT + base), posixpath.join(directory, _OPAQUE))
        file: File | None = None
        for number, layer in enumerate(self._read[:depth], 1):
            file = file or self._find(layer, name)
            if any(self._find(layer, whiteout) for whiteout in whiteouts):
                return file, number
        return file, depth

    def _find(self, layer: Layer, name: str) -> File | None:
        self._lookups += 1
        if self._lookups > MOST_LOOKUPS:
            raise UnreadError("its files take too long to search, not searched on")
        return layer.find(name)
