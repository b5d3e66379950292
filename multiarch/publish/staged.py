"""Images under their staging tags, read for the gates and for the index."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from multiarch.concurrency import each, together
from multiarch.image.layers import Layer
from multiarch.image.platform import Platform
from multiarch.image.programs import Program, started_programs
from multiarch.image.reference import ImageReference
from multiarch.publish.errors import IncompleteMatrixError, MissingImage, NotAnImageError
from multiarch.publish.image_cache import InspectedImage, recall, remember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from multiarch.image.manifest import Descriptor, Manifest
    from multiarch.registry.client import Registry

# Layers of an image that are read at the same time before they are needed, from the top; most programs are in them.
_LAYERS_AHEAD = 4
# Bytes of a layer that are asked for at first; most programs are within them.
_FIRST = 1 << 20
# Indexes within indexes that are followed; BuildKit makes none.
_DEEPEST = 4


@dataclass(frozen=True)
class StagedImage:
    """An image that is staged for a platform.

    :ivar claim: the platform that the index around the image names; of a plain image *platform* itself.
    :ivar programs: the first is the one that the image starts with.
    :ivar annotations: those of its descriptor in the index around it.
    :ivar attestations: the descriptors of its attestations there.
    """

    platform: Platform
    reference: ImageReference
    claim: str
    manifest: Manifest
    config: Mapping[str, Any]
    programs: tuple[Program, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    attestations: tuple[Descriptor, ...] = ()


@dataclass(frozen=True)
class StagedPlatform:
    """What is staged for a platform of the matrix.

    :ivar reference: where its image should be: a staging tag, or with the digest of what was just pushed.
    :ivar images: the images that are there: one, if all is well.
    """

    platform: Platform
    reference: ImageReference
    images: tuple[StagedImage, ...] = ()


def read_staged(places: Sequence[StagedPlatform], registry: Registry) -> list[StagedPlatform]:
    """Return what is staged in one place for one platform or several, with the images.

    :param places: platforms whose references name the same content; without images.
    :raises NotAnImageError: something else is there.
    :raises IncompleteMatrixError: an index there lists an image that the registry does not have.
    """
    reference = places[0].reference
    manifest = registry.manifest(reference.repository, reference.digest or reference.tag)
    if manifest is None:
        return [*places]
    with closing(_Reader(registry, reference.repository)) as reader:
        if manifest.is_index:
            return reader.read_index(manifest, places)
        return [replace(place, images=(reader.read_image(place, manifest),)) for place in places]


def read_platforms(manifest: Manifest, repository: str, registry: Registry) -> tuple[Platform, ...]:
    """Return the platforms of what a tag points to; none where it does not say."""
    described: list[Mapping[str, Any]] = []
    if manifest.entries:
        entries = _flattened(manifest, ImageReference(registry.host, repository), registry)
        described = [entry.platform or {} for entry in entries if not entry.is_attestation]
    elif manifest.config and not manifest.is_index:
        described = [_read_config(repository, manifest.config, registry)]
    platforms = []
    for fields in described:
        try:
            platforms.append(_platform(fields))
        except ValueError:
            continue
    return tuple(platform for platform in platforms if platform.os and platform.os != "unknown")


class _Reader:
    """Reads the images of one repository. A layer that several of them have is read once for all."""

    def __init__(self, registry: Registry, repository: str) -> None:
        self._registry = registry
        self._repository = repository
        self._layers: dict[str, Layer] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Stop reading."""
        for layer in self._layers.values():
            layer.close()

    def read_index(self, index: Manifest, places: Sequence[StagedPlatform]) -> list[StagedPlatform]:
        """Return the places with the images that an index lists, each in the place that the index names for it.

        In one place alone there are all; of several, the first has those that the index names for none.
        """
        entries = list(_flattened(index, places[0].reference, self._registry))

        def read(entry: Descriptor) -> StagedImage:
            claim = _claim(entry)
            place = next((p for p in places if len(places) > 1 and str(p.platform) == claim), places[0])
            exact = place.reference.with_digest(entry.digest)
            manifest = self._registry.manifest(self._repository, entry.digest)
            if manifest is None:
                raise IncompleteMatrixError([MissingImage(place.platform, exact)])
            attestations = tuple(e for e in entries if e.attested_digest == manifest.digest)
            image = self.read_image(replace(place, reference=exact) if place.reference.digest else place, manifest)
            return replace(image, claim=claim or image.claim, annotations=entry.annotations, attestations=attestations)

        images = each(read, [entry for entry in entries if not entry.is_attestation], on_failure=self._registry.stop)
        return [
            replace(place, images=tuple(image for image in images if image.platform == place.platform))
            for place in places
        ]

    def read_image(self, place: StagedPlatform, manifest: Manifest) -> StagedImage:
        """Return the image with this manifest.

        :raises NotAnImageError: it is no image.
        """
        platform, reference = place.platform, place.reference
        if manifest.config is None or manifest.is_malformed:
            raise NotAnImageError(reference, manifest.media_type)
        inspected = recall(manifest.digest) or self._inspect(manifest, manifest.config)
        return StagedImage(platform, reference, str(platform), manifest, inspected.config, inspected.programs)

    def _inspect(self, manifest: Manifest, descriptor: Descriptor) -> InspectedImage:
        """Read an image's config, to which the descriptor points, and its layers as far as its program is not found."""
        # A layer that may not be distributed is not in the registry.
        layers = [self._layer(descriptor) for descriptor in manifest.layers if not descriptor.urls]
        jobs: list[Callable[[], Any]] = [partial(_read_config, self._repository, descriptor, self._registry)]
        jobs += [layer.prefetch for layer in layers[-_LAYERS_AHEAD:]]
        try:
            config = together(jobs, on_failure=self._registry.stop)[0]
        except BaseException:
            for layer in layers:
                layer.close()
            raise
        image = InspectedImage(config, started_programs(config, layers))
        remember(manifest.digest, image)
        return image

    def _layer(self, descriptor: Descriptor) -> Layer:
        """Return a layer for one image to read."""
        with self._lock:
            if descriptor.digest not in self._layers:
                open_ = partial(self._registry.open_blob, self._repository, descriptor, first=_FIRST)
                self._layers[descriptor.digest] = Layer(open_)  # type: ignore[arg-type]
            return self._layers[descriptor.digest].again()


def _flattened(index: Manifest, reference: ImageReference, registry: Registry, depth: int = 1) -> Iterator[Descriptor]:
    """Yield the entries of an index, and of the indexes that it lists."""
    if not index.entries and index.json.get("manifests") != []:
        raise NotAnImageError(reference, index.media_type)
    for entry in index.entries:
        if not entry.is_index:
            yield entry
            continue
        inner = registry.manifest(reference.repository, entry.digest) if depth < _DEEPEST else None
        if inner is None:
            raise NotAnImageError(reference.with_digest(entry.digest), "an index that cannot be followed")
        yield from _flattened(inner, reference, registry, depth + 1)


def _claim(entry: Descriptor) -> str:
    """Return the platform that an entry of an index names."""
    try:
        return str(_platform(entry.platform)) if entry.platform else ""
    except ValueError:
        return str(entry.platform)


def _read_config(repository: str, descriptor: Descriptor, registry: Registry) -> dict[str, Any]:
    """Return an image's config (image-spec, config.md); empty when it is none."""
    try:
        config = json.loads(registry.blob(repository, descriptor.digest, descriptor.size or None))
    except ValueError:
        return {}
    return config if isinstance(config, dict) else {}


def _platform(fields: Mapping[str, Any]) -> Platform:
    """Return the platform of a descriptor or a config. :raises ValueError: the variant does not exist."""
    return Platform.normalised(*(str(fields.get(key) or "") for key in ("os", "architecture", "variant")))
