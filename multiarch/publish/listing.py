"""What a published index lists, and the same index with images of some platforms replaced or removed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from multiarch.config.checkout import REVISION
from multiarch.image.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, Manifest
from multiarch.publish.bases import BASE_DIGEST, BASE_NAME
from multiarch.publish.errors import NotRepairedError, UnreadableTagError
from multiarch.publish.index import entries_of
from multiarch.publish.inputs import ANNOTATION
from multiarch.publish.previous import ANNOTATION as PREVIOUS
from multiarch.publish.replacement import revision_of
from multiarch.publish.staged import described, platform_of_entry

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from multiarch.config.settings import Settings
    from multiarch.image.manifest import Descriptor
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.publish.staged import StagedImage
    from multiarch.registry.client import Registry

# Annotations of an index that are not true any more when one of its images is another.
_OF_ALL = (ANNOTATION, BASE_NAME, BASE_DIGEST, PREVIOUS)


class Listing(Struct, frozen=True):
    """A published index.

    :ivar platforms: of each of its entries; None of attestations, and of what is no image.
    """

    index: Manifest
    platforms: tuple[Platform | None, ...]

    @property
    def images(self) -> tuple[Platform, ...]:
        """The platforms of its images."""
        return tuple(platform for platform in self.platforms if platform)

    def digests(self, platform: Platform) -> list[str]:
        """Return the digests of a platform's images: one, if all is well."""
        return [entry.digest for entry, one in zip(self.index.entries, self.platforms, strict=True) if one == platform]

    def changed(
        self, settings: Settings, images: Sequence[StagedImage], removed: Collection[Platform], previous: str = ""
    ) -> Manifest:
        """Return the index with *images* in the place of those of their platforms, and without the *removed* ones.

        Attestations go with their images. Every other entry is as it was, with all of its fields, in its place.

        :param previous: what a changed index says of what was there before; empty for nothing.
        """
        wanted = {image.platform: self._entries_of(settings, image) for image in images}
        gone = {*wanted, *removed}
        former = list(zip(self.index.entries, self.platforms, strict=True))
        # One image may be listed for several platforms; and what takes a place may be what was there.
        lost = {entry.digest for entry, platform in former if platform in gone}
        lost -= {entry.digest for entry, platform in former if platform not in gone}
        entries: list[Descriptor] = []
        for entry, platform in former:
            if platform in gone:
                entries += wanted.pop(platform, []) if platform else []
            elif not (entry.is_attestation and entry.attested_digest in lost):
                entries.append(entry)
        entries += [entry for added in wanted.values() for entry in added]
        return self._with(entries, previous)

    def _entries_of(self, settings: Settings, image: StagedImage) -> list[Descriptor]:
        """Return the entries of an image; the first names its commit, where that is not the one of the index."""
        entry, *attestations = entries_of(settings, image)
        revision = revision_of(image)
        if revision and revision != self.index.annotations.get(REVISION):
            entry = replace(entry, annotations=dict(sorted({REVISION: revision, **entry.annotations}.items())))
        return [entry, *attestations]

    def _with(self, entries: Sequence[Descriptor], previous: str) -> Manifest:
        """Return the index with other entries and a record of what was before; the index itself where none differs."""
        if [entry.json for entry in entries] == [entry.json for entry in self.index.entries]:
            return self.index
        is_plain = (
            all(entry.media_type == DOCKER_MANIFEST and not entry.annotations for entry in entries) and not previous
        )
        media_type = DOCKER_LIST if self.index.media_type == DOCKER_LIST and is_plain else OCI_INDEX
        body = {**self.index.json, "mediaType": media_type, "manifests": [entry.json for entry in entries]}
        body.pop("annotations", None)
        annotations = {name: value for name, value in self.index.annotations.items() if name not in _OF_ALL}
        annotations |= {PREVIOUS: previous} if previous else {}
        body |= {"annotations": annotations} if annotations else {}
        return Manifest(media_type, json.dumps(body, indent=2).encode())


def read_listing(reference: ImageReference, index: Manifest, registry: Registry) -> Listing:
    """Return what the index under a tag lists.

    :raises NotRepairedError: it is no index, or lists other indexes. :raises UnreadableTagError: it is not well-formed.
    """
    if not index.is_index:
        raise NotRepairedError(f"{reference} is no index of platforms but {index.media_type}; release it whole")
    if index.problem:
        raise UnreadableTagError(reference, f"{index.media_type} ({index.problem})")
    if nested := next((entry for entry in index.entries if entry.is_index), None):
        raise NotRepairedError(f"{reference} lists another index ({nested.digest}); release it whole")
    return Listing(index, tuple(_platform(entry, reference, registry) for entry in index.entries))


def _platform(entry: Descriptor, reference: ImageReference, registry: Registry) -> Platform | None:
    known = None if entry.is_attestation else described(entry, reference, registry)
    return platform_of_entry(known) if known else None
