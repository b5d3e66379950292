"""The index of a release (OCI image-spec, image-index.md), composed from the platforms' images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from multiarch.image.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, Manifest
from multiarch.publish.image_cache import CONFIG_PLATFORM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.config.settings import Settings
    from multiarch.publish.staged import StagedImage
from typing import TYPE_CHECKING


def index_of_one(image: StagedImage) -> Manifest:
    """Return what stands under the staging tag of an image: the image, or its index when attestations tell of it."""
    if not image.attestations:
        return image.manifest
    platform = {key: value for key in ("os", "architecture", "variant") if (value := image.config.get(key))}
    entries = [{**image.manifest.descriptor, "platform": platform}, *image.attestations]
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return Manifest(OCI_INDEX, json.dumps(body, indent=2).encode())


def compose(settings: Settings, images: Sequence[StagedImage]) -> Manifest:
    """Return the index of the images. The same images and annotations give the same bytes."""
    entries: list[dict[str, Any]] = []
    for target, image in zip(settings.matrix, images, strict=True):
        described = {key: image.config[key] for key in CONFIG_PLATFORM if image.config.get(key)}
        if target.platform.variant:
            described.setdefault("variant", target.platform.variant)
        entry = {**image.manifest.descriptor, "platform": described}
        if annotations := {**image.annotations, **target.annotations}:
            entry["annotations"] = dict(sorted(annotations.items()))
        entries += [entry, *image.attestations]
    # A list of Docker's own type is what old clients expect of images of Docker's type; it has no annotations.
    plain = all(e["mediaType"] == DOCKER_MANIFEST and "annotations" not in e for e in entries)
    media_type = DOCKER_LIST if plain and not settings.publish.annotations else OCI_INDEX
    body = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    if settings.publish.annotations:
        body["annotations"] = dict(sorted(settings.publish.annotations.items()))
    return Manifest(media_type, json.dumps(body, indent=2).encode())
