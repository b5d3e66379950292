"""What is there to be published: the platforms' images under their staging tags, read for the gates and the index."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from multiarch.errors import IncompleteMatrixError, NotAnImageError
from multiarch.oci import OCI_INDEX, REFERENCE_DIGEST, Descriptor, Manifest, is_attestation
from multiarch.platforms import Platform
from multiarch.programs import Layer, Program, started_programs
from multiarch.references import ImageReference
from multiarch.remembered import recall, remember

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multiarch.registry import Registry

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


def read_staged(
    places: Mapping[Platform, ImageReference], registry: Registry
) -> dict[Platform, tuple[StagedImage, ...]]:
    """Return the images under one tag or digest, by platform: one for each, if all is well.

    :param places: for each platform that should be there, how it is called; all of them name the same content.
    :raises NotAnImageError: something else is there.
    :raises IncompleteMatrixError: an index that names an image which the registry does not have.
    """
    (first, reference), *_ = places.items()
    found = registry.manifest(reference.repository, reference.digest or reference.tag)
    images: dict[Platform, tuple[StagedImage, ...]] = dict.fromkeys(places, ())
    if found is None:
        return images
    if not found.is_index:
        return {p: (_image(p, place, found, {}, (), registry),) for p, place in places.items()}
    entries = list(_flattened(found, reference, registry))

    def read(entry: Descriptor) -> StagedImage:
        claim = _claim(entry)
        platform = next((p for p in places if len(places) > 1 and str(p) == claim), first)
        place = places[platform].with_digest(entry["digest"]) if reference.digest else places[platform]
        manifest = _child(platform, place, entry, registry)
        told = tuple(e for e in entries if (e.get("annotations") or {}).get(REFERENCE_DIGEST) == manifest.digest)
        return _image(platform, place, manifest, entry, told, registry)

    with ThreadPoolExecutor(max_workers=len(entries) or 1) as pool:
        for image in pool.map(read, [entry for entry in entries if not is_attestation(entry)]):
            images[image.platform] += (image,)
    return images


def index_of_one(image: StagedImage) -> Manifest:
    """Return what stands under the staging tag of an image: the image, or its index when attestations tell of it."""
    if not image.attestations:
        return image.manifest
    platform = {key: value for key in ("os", "architecture", "variant") if (value := image.config.get(key))}
    entries = [{**image.manifest.descriptor, "platform": platform}, *image.attestations]
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return Manifest(OCI_INDEX, json.dumps(body, indent=2).encode())


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
) -> StagedImage:
    """Return an image with what there is to know of it."""
    if manifest.config is None or manifest.layers != (manifest.json.get("layers") or []):
        raise NotAnImageError(reference, manifest.media_type)
    config, programs = recall(manifest.digest) or _look(reference, manifest, registry)
    claim = _claim(entry) or str(platform)
    annotations = entry.get("annotations") or {}
    return StagedImage(platform, reference, claim, manifest, config, programs, annotations, attestations)


def _look(
    reference: ImageReference, manifest: Manifest, registry: Registry
) -> tuple[dict[str, Any], tuple[Program, ...]]:
    """Read the config of an image, and its layers as far as its program is not found."""
    layers = [
        Layer(partial(registry.open_blob, reference.repository, layer, first=_FIRST))  # type: ignore[arg-type]
        for layer in manifest.layers
        if not layer.get("urls")  # a layer that may not be distributed lies elsewhere
    ]
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
        config = json.loads(registry.blob(repository, manifest.config["digest"]))
    except ValueError:
        return {}
    return config if isinstance(config, dict) else {}


def _platform(described: Mapping[str, Any]) -> Platform:
    """Read the platform object of a descriptor, or a config. :raises ValueError: no such variant."""
    return Platform.normalised(*(str(described.get(key) or "") for key in ("os", "architecture", "variant")))
