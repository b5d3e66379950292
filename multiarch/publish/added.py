"""Images that were built elsewhere, and are carried into the index by their digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.image.manifest import IMAGES, Descriptor
from multiarch.publish.errors import AddedPlatformError, NotAnImageError
from multiarch.publish.staged import (
    StagedImage,
    flattened,
    platform_of_entry,
    read_attestations,
    read_config,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.registry.client import Registry


def read_added(references: Iterable[ImageReference], registries: Mapping[str, Registry]) -> list[StagedImage]:
    """Return the images of ``add``, with their attestations; of an index all that it lists.

    :param registries: a client for the registry of each, by host.
    :raises NotAnImageError: a registry does not have one, or it is no image.
    """
    return [image for reference in references for image in _read(reference, registries[reference.registry])]


def check_added(added: Sequence[StagedImage], matrix: Iterable[Platform]) -> None:
    """Check that no image is added for a platform that the index has another image for.

    :raises AddedPlatformError: one is.
    """
    platforms = set(matrix)
    for image in added:
        if image.platform in platforms:
            raise AddedPlatformError(image.reference, image.platform)
        platforms.add(image.platform)


def _read(reference: ImageReference, registry: Registry) -> list[StagedImage]:
    manifest = registry.manifest(reference.repository, reference.digest)
    if manifest is None:
        raise NotAnImageError(reference, "nothing", "add names an image that its registry does not have")
    entries = flattened(manifest, reference, registry) if manifest.is_index else [manifest.descriptor]
    return [_image(reference, entry, entries, registry) for entry in entries if not entry.is_attestation]


def _image(
    reference: ImageReference, entry: Descriptor, entries: Sequence[Descriptor], registry: Registry
) -> StagedImage:
    exact = reference.with_digest(entry.digest)
    manifest = registry.manifest(reference.repository, entry.digest)
    if manifest is None or manifest.problem or manifest.config is None or manifest.media_type not in IMAGES:
        raise NotAnImageError(exact, entry.media_type, manifest.problem if manifest else "it is not there")
    config = {**read_config(exact, manifest.config, registry), **(entry.platform or {})}
    described = Descriptor(entry.media_type, entry.digest, entry.size, config)
    platform = platform_of_entry(described)
    attestations = read_attestations(exact, entry.digest, entries, registry)
    annotations = entry.annotations
    return StagedImage(platform, exact, str(platform), manifest, config, (), annotations, attestations)
