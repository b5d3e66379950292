"""One file of an image, taken out of its layers: no Docker host, and nothing unpacked beside it.

The layers are read from the top down, each to its end, so that its digest is checked, until one has the file or hides
those below (OCI image-spec, layer.md, "Whiteouts").
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct

from multiarch.image.layers import normalised
from multiarch.image.platform import Platform
from multiarch.image.streams import PIECE, Decompressed, UnreadableError
from multiarch.image.tar import Kind, TarReader
from multiarch.registry.errors import ExtractionError

if TYPE_CHECKING:
    from multiarch.image.manifest import Descriptor, Manifest
    from multiarch.image.reference import ImageReference
    from multiarch.image.tar import Entry
    from multiarch.registry.client import Registry

_LARGEST = 512 << 20  # bytes of the file; buildctl v0.32.2 has 40 MB
_LARGEST_LAYER = 2 << 30  # bytes as it travels; those of moby/buildkit have 100 MB together
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


class Extraction(Struct, frozen=True):
    """A file of an image's platform.

    :ivar path: from the root, without a slash before it.
    :ivar remedy: what to do where it cannot be had.
    """

    registry: Registry
    image: ImageReference
    platform: Platform
    path: str
    remedy: str

    def write(self, file: BinaryIO) -> None:
        """Write the file to an empty one, whose content is of no use where this raises.

        :raises ExtractionError: there is no such image, platform or file, or it is larger than it can be.
        :raises DigestMismatchError: the registry sent other bytes than were asked for.
        :raises RegistryError: the registry refuses. :raises RegistryUnreachableError: it does not answer.
        """
        for layer in reversed(self._layers()):
            if layer.size > _LARGEST_LAYER:
                raise self._error(f"one of its layers has {layer.size} bytes, more than {_LARGEST_LAYER >> 30} GiB")
            try:
                decided, found = self._search(layer, file)
            except UnreadableError as error:
                raise self._error(f"layer {layer.digest} cannot be read: {error}") from None
            if found:
                return
            if decided:
                break
        raise self._error(f"/{self.path} is no file in it")

    def _layers(self) -> tuple[Descriptor, ...]:
        """Return the layers of the platform's image, the lowest first."""
        manifest = self._manifest(self.image.digest or self.image.tag or "latest")
        if manifest.is_index:
            fitting = [entry for entry in manifest.entries if self._is_ours(entry)]
            if not fitting:
                raise self._error(f"it has no image for {self.platform}")
            manifest = self._manifest(fitting[0].digest)
        if manifest.is_index or not manifest.layers:
            raise self._error("it is no image with layers")
        return manifest.layers

    def _manifest(self, reference: str) -> Manifest:
        manifest = self.registry.manifest(self.image.repository, reference)
        if manifest is None:
            raise self._error("there is no such image")
        if manifest.problem:
            raise self._error(manifest.problem)
        return manifest

    def _is_ours(self, entry: Descriptor) -> bool:
        fields = entry.platform or {}
        try:
            named = [str(fields.get(key) or "") for key in ("os", "architecture", "variant")]
            return Platform.normalised(*named) == self.platform and not entry.is_attestation
        except ValueError:
            return False

    def _search(self, layer: Descriptor, file: BinaryIO) -> tuple[bool, bool]:
        """Read a layer; return whether it decides what is at the path, and whether the file is there.

        Of several entries of one name the last one counts, as when they are unpacked.
        """
        decided = found = False
        with self.registry.open_blob(self.image.repository, layer) as blob:
            content = Decompressed(blob)
            tar = TarReader(content)
            while entry := tar.next():
                name = normalised(entry.name)
                if name == self.path:
                    decided, found = True, entry.kind is Kind.FILE
                    if found:
                        self._copy(tar, entry, file)
                elif self._hides(name, entry):
                    decided = True
            # What is behind the end of the tar belongs to the layer too, and to its digest.
            while content.read(PIECE):
                continue
        return decided, found

    def _hides(self, name: str, entry: Entry) -> bool:
        """Whether an entry hides the path in the layers below."""
        directory, base = posixpath.split(name)
        if base == _OPAQUE:
            return not directory or self.path.startswith(f"{directory}/")
        is_whiteout = base.startswith(_WHITEOUT)
        gone = posixpath.join(directory, base.removeprefix(_WHITEOUT)) if is_whiteout else name
        # A link or a file in the place of one of its directories hides what that had.
        return (gone == self.path or self.path.startswith(f"{gone}/")) and (is_whiteout or entry.kind is not Kind.OTHER)

    def _copy(self, tar: TarReader, entry: Entry, file: BinaryIO) -> None:
        file.seek(0)
        file.truncate()
        piece, size = entry.head, 0
        while piece:
            size += len(piece)
            if size > _LARGEST:
                raise self._error(f"/{self.path} is larger than {_LARGEST >> 20} MiB")
            file.write(piece)
            piece = tar.read_on(PIECE)

    def _error(self, problem: str) -> ExtractionError:
        return ExtractionError(self.image, problem, self.remedy)
