"""What published images were built from, by their provenance, and whether that is still the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.concurrency import each
from multiarch.errors import MultiarchError
from multiarch.image.manifest import IMAGES, PREDICATE_TYPE
from multiarch.image.provenance import LARGEST, PROVENANCE, Material, read_materials
from multiarch.image.reference import ImageReference
from multiarch.publish.errors import NotAnImageError
from multiarch.publish.staged import flattened, platform_of_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from multiarch.image.manifest import Descriptor, Manifest
    from multiarch.image.platform import Platform
    from multiarch.registry.client import Registry

_DEEPEST = 20  # images without tags that are built on each other, one on the next


class MovedError(Exception):
    """What is published is not what would be built now, or may not be. ``str(error)`` says why, for one line."""


class BuiltFrom:
    """Reads published images and their provenance; each is asked for once. Safe to use from several threads.

    :param clients: returns the clients of those who have the images of a registry: its mirrors first, itself last.
    :param unpublished: names of repositories with images of this project that have no tags.
    """

    def __init__(self, clients: Callable[[str], Sequence[Registry]], unpublished: Collection[str] = ()) -> None:
        self._clients = clients
        self._unpublished = unpublished

    def manifest(self, reference: ImageReference) -> Manifest | None:
        """Return what a tag or a digest points to, None where it is not there. :raises MovedError: it is no image."""
        manifest = self._own(reference).manifest(reference.repository, reference.digest or reference.tag)
        if manifest is not None and manifest.problem:
            raise MovedError(f"{reference} is no image: {manifest.problem}")
        return manifest

    def check(self, reference: ImageReference, index: Manifest, platforms: Sequence[Platform]) -> None:
        """Check that an index has these platforms alone, and that the tags it was built from are as they were then.

        :raises MovedError: one is not, or that cannot be known.
        """
        self.check_platforms(reference, index, platforms)
        self.check_materials(reference, index)

    def check_platforms(self, reference: ImageReference, index: Manifest, platforms: Sequence[Platform]) -> None:
        """Check that an index has these platforms alone. :raises MovedError: it has others, or is none."""
        have = [str(platform_of_entry(entry)) for entry in self._images(reference, index)]
        if sorted(have) != sorted(map(str, platforms)):
            raise MovedError(f"{reference} has other platforms")

    def check_images(self, images: Mapping[str, str]) -> set[str]:
        """Check that tags are as they were; return the names of their repositories.

        :param images: by name, the digest that each had; what a record says.
        :raises MovedError: one is not, or that cannot be known.
        """
        try:
            named = [Material(name, ImageReference.parse(name), digest) for name, digest in images.items()]
        except ValueError as error:
            raise MovedError(f"the record of what it was built from names what is no image: {error}") from None
        each(self._check_tag, named)
        return {material.image.name for material in named if material.image}

    def check_base(
        self, reference: ImageReference, index: Manifest, repository: ImageReference, base: Manifest | None
    ) -> None:
        """Check that an image was built on what is published of its base now.

        :param reference: where *index*, which lists the image, is.
        :param repository: that of the base.
        :param base: its index; None for a base without tags, which has only to be as it was.
        :raises MovedError: it was not, or that cannot be known.
        """
        handed_over = [
            material.image.with_digest(material.digest)
            for material in self.materials(reference, index)
            if material.image and material.image.digest and material.image.name == repository.name
        ]
        if not handed_over:
            raise MovedError("the provenance does not tell of it")
        published = {entry.digest for entry in self._images(repository, base)} if base else set()
        for used in dict.fromkeys(handed_over):
            manifest = self.manifest(used)
            if manifest is None:
                raise MovedError(f"{used} is gone")
            if base and not {entry.digest for entry in self._images(used, manifest)} <= published:
                raise MovedError("another image of it is published now")

    def materials(self, reference: ImageReference, index: Manifest) -> tuple[Material, ...]:
        """Return what the images of an index were built from. :raises MovedError: one does not say it."""
        entries = self._entries(reference, index)
        attestations = {entry.attested_digest: entry for entry in entries if entry.is_attestation}
        images = self._images(reference, index)
        for image in images:
            if image.digest not in attestations:
                raise MovedError(f"{platform_of_entry(image)} of {reference} has no provenance")
        found = each(lambda image: self._read(reference, attestations[image.digest]), images)
        return tuple(dict.fromkeys(material for of_image in found for material in of_image))

    def check_materials(self, reference: ImageReference, index: Manifest, depth: int = 0) -> None:
        """Check what the provenance of the images of an index names. :raises MovedError: it may be another now."""
        materials = self.materials(reference, index)
        for material in materials:
            if material.image is None:
                raise MovedError(f"it was built from {material.name}, which may be another now")
        each(self._check_tag, [material for material in materials if material.image and not material.image.digest])
        # One that was named by its digest is what it was; one of ours may be built on what is not.
        for image in (material.image for material in materials):
            if image and image.digest and image.name in self._unpublished:
                base = self.manifest(image)
                if base is None or depth > _DEEPEST:
                    raise MovedError(f"{image}, which it is built on, is gone" if base is None else "it has no end")
                self.check_materials(image, base, depth + 1)

    def _check_tag(self, material: Material) -> None:
        """Check that the tag of a base still has the digest that was built on. :raises MovedError: it has not."""
        image = material.image
        if image is None:
            return
        try:
            found = (client.manifest(image.repository, image.tag) for client in self._clients(image.registry))
            manifest = next((manifest for manifest in found if manifest), None)
        except MultiarchError as error:
            raise MovedError(f"{image}, which it is built on, cannot be read ({error})") from None
        if manifest is None or manifest.digest != material.digest:
            raise MovedError(f"{image}, which it is built on, is another now")

    def _own(self, reference: ImageReference) -> Registry:
        return self._clients(reference.registry)[-1]

    def _entries(self, reference: ImageReference, index: Manifest) -> list[Descriptor]:
        if not index.is_index:
            raise MovedError(f"{reference} has no provenance")
        try:
            return flattened(index, reference, self._own(reference))
        except NotAnImageError as error:
            raise MovedError(str(error)) from None

    def _images(self, reference: ImageReference, index: Manifest) -> list[Descriptor]:
        return [entry for entry in self._entries(reference, index) if not entry.is_attestation]

    def _read(self, reference: ImageReference, entry: Descriptor) -> tuple[Material, ...]:
        registry = self._own(reference)
        manifest = registry.manifest(reference.repository, entry.digest)
        if manifest is None or manifest.problem or manifest.media_type not in IMAGES:
            raise MovedError(f"a provenance of {reference} is gone, or is none")
        for layer in manifest.layers:
            if layer.annotations.get(PREDICATE_TYPE, "").startswith(PROVENANCE) and layer.size <= LARGEST:
                try:
                    return read_materials(registry.blob(reference.repository, layer.digest, layer.size))
                except ValueError as error:
                    raise MovedError(f"a provenance of {reference} cannot be read: {error}") from None
        raise MovedError(f"a provenance of {reference} is gone, or is none")
