"""What is there to be published: the platforms' images under their staging tags, read for the gates and the index."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from multiarch.image.layers import Layer
from multiarch.image.manifest import REFERENCE_DIGEST, Descriptor, Manifest, is_attestation
from multiarch.image.platform import Platform
from multiarch.image.programs import Program, started_programs
from multiarch.image.reference import ImageReference
from multiarch.publish.errors import IncompleteMatrixError, NotAnImageError
from multiarch.publish.image_cache import recall, remember

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multiarch.registry.client import Registry

# Layers whose beginnings are read at the same time, from the top; in most images the program is among them.
_AHEAD = 4
# Bytes that are asked for at first of a layer.
_FIRST = 1 << 20
# Indexes within indexes that are followed.
_DEEPEST = 4


@dataclass(frozen=True)
class StagedImage:
    """An image found for a platform.

    :ivar platform: the one that it was looked for.
    :ivar claim: the one that the index around it names; of a plain image *platform* itself.
    :ivar annotations: those of its entry in that index.
    :ivar attestations: the entries that tell of it.
    :ivar programs: what it starts, the first being what it starts with.
    """

    platform: Platform
    reference: ImageReference
    claim: str
    manifest: Manifest
    config: Mapping[str, Any]
    programs: tuple[Program, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    attestations: tuple[Descriptor, ...] = ()


class _Layers:
    """The layers of images: one that several of them have is read once for all."""

    def __init__(self, repository: str, registry: Registry) -> None:
        self._repository = repository
        self._registry = registry
        self._layers: dict[str, Layer] = {}
        self._lock = threading.Lock()

    def reader(self, descriptor: Descriptor) -> Layer:
        """Return a layer for one image to read."""
        with self._lock:
            if descriptor["digest"] not in self._layers:
                open_ = partial(self._registry.open_blob, self._repository, descriptor, first=_FIRST)
                self._layers[descriptor["digest"]] = Layer(open_)  # type: ignore[arg-type]
            return self._layers[descriptor["digest"]].again()

    def close(self) -> None:
        """Stop reading."""
        for layer in self._layers.values():
            layer.close()


def read_staged(
    places: Mapping[Platform, ImageReference], registry: Registry
) -> dict[Platform, tuple[StagedImage, ...]]:
    """Return the images under one tag or digest, by platform: one for each, if all is well.

    :param places: for each platform that should be there, how it is called; all of them name the same content.
    :raises NotAnImageError: something else is there.
    :raises IncompleteMatrixError: an index that names an image which the registry does not have.
    """
    reference = next(iter(places.values()))
    found = registry.manifest(reference.repository, reference.digest or reference.tag)
    if found is None:
        return dict.fromkeys(places, ())
    with closing(_Layers(reference.repository, registry)) as layers:
        if found.is_index:
            return _read_index(found, places, registry, layers)
        return {p: (_image(p, place, found, {}, (), registry, layers),) for p, place in places.items()}


def _read_index(
    index: Manifest, places: Mapping[Platform, ImageReference], registry: Registry, layers: _Layers
) -> dict[Platform, tuple[StagedImage, ...]]:
    """Return the images that an index lists, by platform."""
    (first, reference), *_ = places.items()
    images: dict[Platform, tuple[StagedImage, ...]] = dict.fromkeys(places, ())
    entries = list(_flattened(index, reference, registry))

    def read(entry: Descriptor) -> StagedImage:
        claim = _claim(entry)
        platform = next((p for p in places if len(places) > 1 and str(p) == claim), first)
        place = places[platform].with_digest(entry["digest"]) if reference.digest else places[platform]
        manifest = _child(platform, place, entry, registry)
        told = tuple(e for e in entries if (e.get("annotations") or {}).get(REFERENCE_DIGEST) == manifest.digest)
        return _image(platform, place, manifest, entry, told, registry, layers)

    with ThreadPoolExecutor(max_workers=len(entries) or 1) as pool:
        for image in pool.map(read, [entry for entry in entries if not is_attestation(entry)]):
            images[image.platform] += (image,)
    return images


def read_platforms(manifest: Manifest, repository: str, registry: Registry) -> tuple[Platform, ...]:
    """Return which platforms a published tag has; none where it does not say."""
    listed = _flattened(manifest, ImageReference(registry.host, repository), registry) if manifest.entries else ()
    named = [entry.get("platform") or {} for entry in listed if not is_attestation(entry)]
    if not manifest.is_index and manifest.config:
        named = [_config(repository, manifest, registry)]
    platforms = []
    for name in named:
        try:
            platforms.append(_platform(name))
        except ValueError:
            continue
    return tuple(p for p in platforms if p.os and p.os != "unknown")


def _flattened(index: Manifest, reference: ImageReference, registry: Registry, depth: int = 1) -> Iterator[Descriptor]:
    """Yield the entries of an index, and those of the indexes that it lists."""
    if not index.entries and index.json.get("manifests") != []:
        raise NotAnImageError(reference, index.media_type)
    for entry in index.entries:
        if Manifest(str(entry.get("mediaType")), b"").is_index:
            inner = registry.manifest(reference.repository, entry["digest"]) if depth < _DEEPEST else None
            if inner is None:
                raise NotAnImageError(reference.with_digest(entry["digest"]), "an index that cannot be followed")
            yield from _flattened(inner, reference, registry, depth + 1)
        else:
            yield entry


def _child(platform: Platform, reference: ImageReference, entry: Descriptor, registry: Registry) -> Manifest:
    found = registry.manifest(reference.repository, entry["digest"])
    if found is None:
        raise IncompleteMatrixError([(platform, reference.with_digest(entry["digest"]))])
    return found


def _image(
    platform: Platform,
    reference: ImageReference,
    manifest: Manifest,
    entry: Descriptor,
    attestations: tuple[Descriptor, ...],
    registry: Registry,
    shared: _Layers,
) -> StagedImage:
    """Return an image with what there is to know of it."""
    if manifest.config is None or manifest.layers != (manifest.json.get("layers") or []):
        raise NotAnImageError(reference, manifest.media_type)
    config, programs = recall(manifest.digest) or _look(reference, manifest, registry, shared)
    claim = _claim(entry) or str(platform)
    annotations = entry.get("annotations") or {}
    return StagedImage(platform, reference, claim, manifest, config, programs, annotations, attestations)


def _look(
    reference: ImageReference, manifest: Manifest, registry: Registry, shared: _Layers
) -> tuple[dict[str, Any], tuple[Program, ...]]:
    """Read the config of an image, and its layers as far as its program is not found."""
    # A layer that may not be distributed lies elsewhere.
    layers = [shared.reader(layer) for layer in manifest.layers if not layer.get("urls")]
    try:
        with ThreadPoolExecutor(max_workers=_AHEAD + 1) as pool:
            reading = pool.submit(_config, reference.repository, manifest, registry)
            ahead = [pool.submit(layer.prefetch) for layer in layers[-_AHEAD:]]
            config = reading.result()
            for future in ahead:
                future.result()
    except BaseException:
        for layer in layers:
            layer.close()
        raise
    programs = started_programs(config, layers)
    remember(manifest.digest, config, programs)
    return config, programs


def _claim(entry: Descriptor) -> str:
    """Return the platform that an entry of an index names."""
    claimed = entry.get("platform")
    try:
        return str(_platform(claimed)) if claimed else ""
    except ValueError:
        return str(claimed)


def _config(repository: str, manifest: Manifest, registry: Registry) -> dict[str, Any]:
    """Return an image's config (image-spec, config.md); empty when it is none."""
    assert manifest.config is not None  # noqa: S101 (the callers have looked)
    try:
        config = json.loads(registry.blob(repository, manifest.config["digest"], manifest.config.get("size")))
    except ValueError:
        return {}
    return config if isinstance(config, dict) else {}


def _platform(described: Mapping[str, Any]) -> Platform:
    """Read the platform object of a descriptor, or a config. :raises ValueError: no such variant."""
    return Platform.normalised(*(str(described.get(key) or "") for key in ("os", "architecture", "variant")))
