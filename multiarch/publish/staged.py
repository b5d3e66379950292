"""Images under their staging tags, read for the gates and for the index."""

from __future__ import annotations

import threading
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from multiarch.concurrency import each, together
from multiarch.image.documents import parse_config
from multiarch.image.files import ElsewhereLayer
from multiarch.image.layers import Layer
from multiarch.image.manifest import IMAGE_CONFIGS, IMAGES, MANIFESTS, MOST_DESCRIPTORS, Manifest
from multiarch.image.platform import Platform
from multiarch.image.programs import started_programs
from multiarch.image.reference import ImageReference
from multiarch.publish.errors import IncompleteMatrixError, MissingImage, NotAnImageError, UnreadableTagError
from multiarch.publish.image_cache import InspectedImage, recall, remember

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multiarch.image.manifest import Descriptor
    from multiarch.image.program import Program
    from multiarch.registry.client import Registry

# Layers of an image that are read at the same time before they are needed, from the top; most programs are in them.
_LAYERS_AHEAD = 4
# Bytes of a layer that are asked for at first; most programs are within them.
_FIRST = 1 << 20
# The system of what names no platform.
_UNKNOWN = "unknown"
# Indexes within indexes that are followed; BuildKit makes none.
_DEEPEST = 4


class StagedImage(Struct, frozen=True):
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


class StagedPlatform(Struct, frozen=True):
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
    """Return the platforms of what a tag points to; none where it is an image that does not say.

    An entry of an index that names none counts too: as ``unknown``, with its digest.

    :raises UnreadableTagError: it is an image or an index, and is not well-formed.
    """
    reference = ImageReference(registry.host, repository, digest=manifest.digest)
    try:
        if manifest.is_index:
            entries = flattened(manifest, reference, registry)
            found = [described(entry, reference, registry) for entry in entries if not entry.is_attestation]
            return tuple(platform_of_entry(entry) for entry in found if entry)
        if manifest.problem and manifest.media_type in MANIFESTS:
            raise NotAnImageError(reference, manifest.media_type, manifest.problem)
        if manifest.config:
            platform = _platform_as_written(read_config(reference, manifest.config, registry))
            return (platform,) if platform.os else ()
    except NotAnImageError as error:
        raise UnreadableTagError(reference, error.actual) from None
    return ()


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
        entries = list(flattened(index, places[0].reference, self._registry))
        images = [entry for entry in entries if not entry.is_attestation]
        by_claim = {str(place.platform): place for place in places[1:]}
        listed: dict[StagedPlatform, list[Descriptor]] = {place: [] for place in places}
        for entry in images:
            listed[by_claim.get(_claim(entry), places[0])].append(entry)

        def read(place: StagedPlatform) -> StagedPlatform:
            # Several in one place are refused, however many they are: they are not read.
            read = self._read_entry if len(listed[place]) == 1 else _unread
            return replace(place, images=tuple(read(place, entry, entries) for entry in listed[place]))

        return each(read, places, on_failure=self._registry.stop)

    def _read_entry(self, place: StagedPlatform, entry: Descriptor, entries: Sequence[Descriptor]) -> StagedImage:
        """Return the image of an entry of an index."""
        exact = place.reference.with_digest(entry.digest)
        manifest = self._registry.manifest(self._repository, entry.digest)
        if manifest is None:
            raise IncompleteMatrixError([MissingImage(place.platform, exact)])
        attestations = read_attestations(exact, manifest.digest, entries, self._registry)
        image = self.read_image(replace(place, reference=exact) if place.reference.digest else place, manifest)
        claim = _claim(entry) or image.claim
        return replace(image, claim=claim, annotations=entry.annotations, attestations=attestations)

    def read_image(self, place: StagedPlatform, manifest: Manifest) -> StagedImage:
        """Return the image with this manifest.

        :raises NotAnImageError: it is no image.
        """
        platform, reference = place.platform, place.reference
        if manifest.config is None or manifest.problem or manifest.media_type not in IMAGES:
            raise NotAnImageError(reference, manifest.media_type, manifest.problem)
        inspected = recall(manifest.digest) or self._inspect(reference, manifest, manifest.config)
        return StagedImage(platform, reference, str(platform), manifest, inspected.config, inspected.programs)

    def _inspect(self, reference: ImageReference, manifest: Manifest, descriptor: Descriptor) -> InspectedImage:
        """Read an image's config, to which the descriptor points, and its layers as far as its program is not found."""
        layers = [self._layer(descriptor) for descriptor in manifest.layers]
        readable = [layer for layer in layers if isinstance(layer, Layer)]
        jobs: list[Callable[[], Any]] = [partial(read_config, reference, descriptor, self._registry)]
        jobs += [layer.prefetch for layer in readable[-_LAYERS_AHEAD:]]
        try:
            config = together(jobs, on_failure=self._registry.stop)[0]
        except BaseException:
            for layer in readable:
                layer.close()
            raise
        image = InspectedImage(config, started_programs(config, layers))
        remember(manifest.digest, image)
        return image

    def _layer(self, descriptor: Descriptor) -> Layer | ElsewhereLayer:
        """Return a layer for one image to read."""
        if descriptor.urls:
            # What may not be distributed is not in the registry.
            return ElsewhereLayer(descriptor.urls[0])
        with self._lock:
            if descriptor.digest not in self._layers:
                open_ = partial(self._registry.open_blob, self._repository, descriptor, first=_FIRST)
                self._layers[descriptor.digest] = Layer(open_)  # type: ignore[arg-type]
            return self._layers[descriptor.digest].again()


def _unread(place: StagedPlatform, entry: Descriptor, _entries: object) -> StagedImage:
    """Return one of several images in a place, which is not read."""
    claim = _claim(entry) or str(place.platform)
    return StagedImage(place.platform, place.reference, claim, Manifest(entry.media_type, b""), {}, ())


def read_attestations(
    reference: ImageReference, digest: str, entries: Sequence[Descriptor], registry: Registry
) -> tuple[Descriptor, ...]:
    """Return the attestations of an image, which are there, and are what their digests say.

    :param digest: that of the image; *reference* names its repository.
    :param entries: those of the index that lists the image.
    :raises NotAnImageError: one is not.
    """
    attestations = tuple(entry for entry in entries if entry.is_attestation and entry.attested_digest == digest)
    for entry in attestations:
        manifest = registry.manifest(reference.repository, entry.digest)
        if manifest is None or manifest.problem or manifest.media_type not in IMAGES:
            problem = manifest.problem if manifest else "it is not there"
            raise NotAnImageError(reference.with_digest(entry.digest), "an attestation", problem)
    return attestations


def flattened(index: Manifest, reference: ImageReference, registry: Registry) -> list[Descriptor]:
    """Return the entries of an index, and of the indexes that it lists."""
    _check_index(index, reference)
    entries: list[Descriptor] = []
    pending = [(entry, 1) for entry in reversed(index.entries)]
    count = 0
    while pending:
        entry, depth = pending.pop()
        count += 1
        if count > MOST_DESCRIPTORS:
            raise NotAnImageError(reference, index.media_type, f"it lists more than {MOST_DESCRIPTORS} manifests")
        if not entry.is_index:
            entries.append(entry)
            continue
        place = reference.with_digest(entry.digest)
        inner = registry.manifest(reference.repository, entry.digest) if depth < _DEEPEST else None
        if inner is None:
            raise NotAnImageError(place, "an index that cannot be followed")
        _check_index(inner, place)
        pending += [(entry, depth + 1) for entry in reversed(inner.entries)]
    return entries


def _check_index(index: Manifest, reference: ImageReference) -> None:
    """Check that an index is one. :raises NotAnImageError: it is not."""
    if index.problem or not index.is_index:
        raise NotAnImageError(reference, index.media_type, index.problem)


def _claim(entry: Descriptor) -> str:
    """Return the platform that an entry of an index names."""
    return str(_platform_as_written(entry.platform)) if entry.platform else ""


def described(entry: Descriptor, reference: ImageReference, registry: Registry) -> Descriptor | None:
    """Return an entry of an index with its platform: that of its config where the index does not say.

    None stands for what is no image.

    :raises NotAnImageError: neither says.
    """
    if entry.platform and entry.platform.get("os"):
        return entry
    place = reference.with_digest(entry.digest)
    manifest = registry.manifest(reference.repository, entry.digest)
    if manifest is None or manifest.problem:
        problem = manifest.problem if manifest else "it is not there"
        raise NotAnImageError(place, entry.media_type, f"an entry without a platform: {problem}")
    if manifest.config is None or manifest.config.media_type not in IMAGE_CONFIGS:
        return None  # no image, but something else that an index may list
    return replace(entry, platform=read_config(place, manifest.config, registry))


def read_config(reference: ImageReference, descriptor: Descriptor, registry: Registry) -> dict[str, Any]:
    """Return an image's config. :raises NotAnImageError: it is none."""
    content = registry.blob(reference.repository, descriptor.digest, descriptor.size)
    try:
        return parse_config(content)
    except ValueError as error:
        raise NotAnImageError(reference, descriptor.media_type, f"config: {error}") from None


def platform_of_entry(entry: Descriptor) -> Platform:
    """Return the platform of an entry of an index; ``unknown`` and its digest where it names none."""
    platform = _platform_as_written(entry.platform or {})
    return platform if platform.os not in ("", "unknown") else Platform(_UNKNOWN, entry.digest)


def _platform_as_written(fields: Mapping[str, Any]) -> Platform:
    """Return the platform of a descriptor or a config, as it is written where its variant does not exist."""
    os, architecture, variant = (str(fields.get(key) or "") for key in ("os", "architecture", "variant"))
    try:
        return Platform.normalised(os, architecture, variant)
    except ValueError:
        return Platform(os, architecture, variant)
