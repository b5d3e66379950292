"""Step 5, ``manifest``: one image index over the platforms' images, under the published tags.

The document: "Pushing manifest": create, annotate, push, here through the registry's API (OCI image-spec,
image-index.md). What each entry says of its platform is read from the image's own config; images with attestations,
which are indexes themselves, are flattened and their attestations carried over.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from multiarch.errors import IncompleteMatrixError, NotAnImageError, PlatformMismatchError, ReadBackError
from multiarch.platforms import Platform
from multiarch.registry import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, Manifest, Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.references import ImageReference
    from multiarch.settings import Settings, Target

# Of an entry that is not an image but tells of one (BuildKit, docs/attestations/attestation-storage.md).
_REFERENCE_TYPE = "vnd.docker.reference.type"
_CONFIG_PLATFORM = ("architecture", "os", "variant", "os.version", "os.features")


@dataclass(frozen=True)
class PublishedTag:
    """A tag, and the digest of the index that is under it now."""

    reference: ImageReference
    digest: str

    def __str__(self) -> str:
        return str(self.reference.with_digest(self.digest))


def manifest(
    settings: Settings, registries: Mapping[str, Registry], digests: Mapping[Platform, str] | None = None
) -> tuple[PublishedTag, ...]:
    """Publish the matrix under every tag of every image; return the tags.

    Nothing is written before every index is composed and checked.

    :param registries: a client for the registry of each image.
    :param digests: what was just pushed for each platform; by default what is under the staging tags.
    :raises IncompleteMatrixError: a platform has no image.
    :raises PlatformMismatchError: an image's config is for another platform than its place in the matrix.
    :raises ReadBackError: a tag, once written, reads back as something else.
    """
    composed = [(image, compose(settings, image, registries[image.registry], digests)) for image in settings.images]
    published = []
    for image, index in composed:
        registry = registries[image.registry]
        for tag in settings.tags:
            registry.put_manifest(image.repository, tag, index)
            found = registry.manifest(image.repository, tag)
            if found is None or found.digest != index.digest:
                raise ReadBackError(image.with_tag(tag), index.digest, found.digest if found else "nothing")
            published.append(PublishedTag(image.with_tag(tag), index.digest))
    return tuple(published)


def compose(
    settings: Settings,
    image: ImageReference,
    registry: Registry,
    digests: Mapping[Platform, str] | None = None,
) -> Manifest:
    """Read the platforms' images of one repository and return their index. The same images give the same bytes."""
    platforms = settings.platforms
    references = [
        staged.with_digest(digests[staged_for]) if digests else staged
        for staged_for, staged in ((p, settings.staging(image, p)) for p in platforms)
    ]
    with ThreadPoolExecutor(max_workers=len(platforms)) as pool:
        found = list(pool.map(lambda r: registry.manifest(image.repository, r.digest or r.tag), references))
        if missing := [(p, r) for p, r, m in zip(platforms, references, found, strict=True) if m is None]:
            raise IncompleteMatrixError(missing)
        images = [m for m in found if m is not None]
        entries = list(pool.map(lambda t, r, m: _entries(t, r, m, registry), settings.matrix, references, images))
    return _index([entry for of_platform in entries for entry in of_platform])


def commands(settings: Settings) -> list[list[str]]:
    """Return the document's commands for this step."""
    lines = []
    for image in settings.images:
        insecure = ["--insecure"] if image.is_loopback else []
        staged = [settings.staging(image, platform) for platform in settings.platforms]
        for tag in settings.tags:
            name = str(image.with_tag(tag))
            lines.append(["docker", "manifest", "create", *insecure, name, *map(str, staged)])
            for platform, reference in zip(settings.platforms, staged, strict=True):
                words = ["--os", platform.os, "--arch", platform.architecture]
                words += ["--variant", platform.variant] if platform.variant else []
                lines.append(["docker", "manifest", "annotate", *words, name, str(reference)])
            lines.append(["docker", "manifest", "push", "--purge", *insecure, name])
    return lines


def _entries(
    target: Target, reference: ImageReference, manifest: Manifest, registry: Registry
) -> Sequence[dict[str, Any]]:
    """Return the entries of one platform: its image, then the attestations that came with it."""
    if not manifest.is_index:
        return [_entry(target, reference, manifest, registry)]
    listed = _mapping(reference, manifest).get("manifests")
    if not isinstance(listed, list):
        raise NotAnImageError(reference, manifest.media_type)
    attestations = [entry for entry in listed if _REFERENCE_TYPE in entry.get("annotations", {})]
    images = []
    for descriptor in listed:
        if descriptor not in attestations:
            child = registry.manifest(reference.repository, descriptor["digest"])
            if child is None:
                raise IncompleteMatrixError([(target.platform, reference.with_digest(descriptor["digest"]))])
            images.append(_entry(target, reference, child, registry))
    if not images:
        raise IncompleteMatrixError([(target.platform, reference)])
    return [*images, *attestations]


def _entry(target: Target, reference: ImageReference, manifest: Manifest, registry: Registry) -> dict[str, Any]:
    """Return the descriptor of an image (image-spec, image-index.md), its platform as its config has it."""
    described_by = _mapping(reference, manifest).get("config")
    if not isinstance(described_by, dict):
        raise NotAnImageError(reference, manifest.media_type)
    config = json.loads(registry.blob(reference.repository, described_by["digest"]))
    names = [str(config.get(key) or "") for key in ("os", "architecture", "variant")]
    try:
        actual = str(Platform.normalised(*names))
    except ValueError:
        actual = "/".join(filter(None, names))
    if actual != str(target.platform):
        raise PlatformMismatchError(reference, target.platform, actual or "nothing")
    described = {key: config[key] for key in _CONFIG_PLATFORM if config.get(key)}
    if target.platform.variant:
        described.setdefault("variant", target.platform.variant)
    return {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.body),
        "platform": described,
    }


def _mapping(reference: ImageReference, manifest: Manifest) -> dict[str, Any]:
    try:
        body = manifest.json
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        raise NotAnImageError(reference, manifest.media_type)
    return body


def _index(entries: Sequence[Mapping[str, Any]]) -> Manifest:
    """A list of Docker's own type is what old clients expect of images of Docker's type."""
    media_type = DOCKER_LIST if all(e["mediaType"] == DOCKER_MANIFEST for e in entries) else OCI_INDEX
    body = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return Manifest(media_type, json.dumps(body, indent=2).encode())
