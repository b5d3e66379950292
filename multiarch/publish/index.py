"""Indexes (OCI image-spec, image-index.md), composed from the platforms' images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from multiarch.image.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, PLATFORM_FIELDS, Descriptor, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.config.settings import Settings
    from multiarch.image.platform import Platform
    from multiarch.publish.staged import StagedImage


def index_of_one(image: StagedImage) -> Manifest:
    """Return what is to be under the staging tag of an image: the image, or an index of it and its attestations."""
    if not image.attestations:
        return image.manifest
    platform = {key: value for key in ("os", "architecture", "variant") if (value := image.config.get(key))}
    return _index(OCI_INDEX, [replace(image.manifest.descriptor, platform=platform), *image.attestations], {})


def index_of_descriptors(entries: Sequence[Descriptor], annotations: Mapping[str, str]) -> Manifest:
    """Return an index of what is there already, with annotations."""
    return _index(OCI_INDEX, entries, annotations)


def lists_image(manifest: Manifest | None, image: StagedImage) -> bool:
    """Whether a manifest is an index of an image and its attestations, and of nothing else."""
    own = [image.manifest.digest, *(entry.digest for entry in image.attestations)]
    return manifest is not None and own == [entry.digest for entry in manifest.entries]


def compose(
    settings: Settings,
    images: Sequence[StagedImage],
    bases: Mapping[Platform, Mapping[str, str]] | None = None,
    base: Mapping[str, str] | None = None,
) -> Manifest:
    """Return the index of the images. The same images and annotations give the same bytes.

    :param bases: annotations about what each platform is built on; those of the settings and of the image win.
    :param base: the same about the index.
    """
    entries = [entry for image in images for entry in entries_of(settings, image)]
    # A list of Docker's own type is what old clients expect of images of Docker's type; it has no annotations.
    is_plain = all(one.media_type == DOCKER_MANIFEST and not one.annotations for one in entries)
    media_type = DOCKER_LIST if is_plain and not settings.publish.annotations else OCI_INDEX
    annotations = settings.publish.annotations
    if media_type == OCI_INDEX and bases and not any(key in annotations for about in bases.values() for key in about):
        by_digest = {image.manifest.digest: bases.get(image.platform, {}) for image in images}
        entries = [_about(entry, by_digest.get(entry.digest, {})) for entry in entries]
        annotations = {**(base or {}), **annotations}
    return _index(media_type, entries, annotations)


def entries_of(settings: Settings, image: StagedImage) -> list[Descriptor]:
    """Return the entries of an image and its attestations."""
    # None of an image that was built elsewhere
    entry = next((entry for entry in settings.matrix if entry.platform == image.platform), None)
    platform = {key: image.config[key] for key in PLATFORM_FIELDS if image.config.get(key)}
    if entry and entry.platform.variant:
        platform.setdefault("variant", entry.platform.variant)
    own = dict(sorted({**image.annotations, **(entry.annotations if entry else {})}.items()))
    return [replace(image.manifest.descriptor, platform=platform, annotations=own), *image.attestations]


def _about(entry: Descriptor, annotations: Mapping[str, str]) -> Descriptor:
    """Return an entry with annotations more; all of them, or none where one is there."""
    if not annotations or any(key in entry.annotations for key in annotations):
        return entry
    return replace(entry, annotations=dict(sorted({**entry.annotations, **annotations}.items())))


def _index(media_type: str, entries: Sequence[Descriptor], annotations: Mapping[str, str]) -> Manifest:
    body: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_type}
    body["manifests"] = [entry.json for entry in entries]
    if annotations:
        body["annotations"] = dict(sorted(annotations.items()))
    return Manifest(media_type, json.dumps(body, indent=2).encode())
