"""The gate "the base is the base": an image is built on the very images of this project that its contexts name.

Its proof is in what was pushed, wherever that was built: the base's layers begin the image's (``diff_ids``, image-spec,
config.md), or BuildKit's provenance names the base among what the build has used (SLSA, provenance).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multiarch.image.documents import are_texts, parse_object
from multiarch.image.manifest import IMAGES, MOST_DESCRIPTORS, PREDICATE_TYPE
from multiarch.publish.errors import BaseMismatchError, NotAnImageError
from multiarch.publish.staged import StagedImage, flattened, platform_of_entry, read_attestations, read_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from multiarch.image.manifest import Descriptor
    from multiarch.image.platform import Leg
    from multiarch.image.reference import ImageReference
    from multiarch.publish.tags import PublishedTag
    from multiarch.registry.client import Registry

BASE_NAME, BASE_DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
_SLSA = "https://slsa.dev/provenance/"
_LARGEST_PROVENANCE = 8 << 20  # bytes; with mode=max it holds the whole solve, in some hundred kilobytes
_MOST_LOOKED_UP = 16  # digests of one provenance that are looked up; a build uses a handful of images


class StagedBase(Struct, frozen=True):
    """An image of the project that a platform of another one should be built on.

    :ivar context: what the Dockerfile calls it.
    :ivar leg: its own target and platform.
    :ivar reference: where it is: its staging tag, or with the digest of what was just pushed.
    """

    context: str
    leg: Leg
    reference: ImageReference


class BaseImage(Struct, frozen=True):
    """A base as its registry has it.

    :ivar handed_over: the digest under its reference, which its builds were given: of the image, or of an index.
    """

    base: StagedBase
    image: StagedImage
    handed_over: str

    @property
    def reference(self) -> ImageReference:
        """The image of its platform, by digest."""
        return self.base.reference.with_tag("").with_digest(self.image.manifest.digest)

    @property
    def layers(self) -> tuple[str, ...]:
        """The digests of its layers, unpacked, the lowest first."""
        return diff_ids(self.image.config)


def read_base(base: StagedBase, registry: Registry) -> BaseImage:
    """Return a base with its config and its attestations; its layers are not read.

    :raises BaseMismatchError: there is no such image. :raises NotAnImageError: something else is there.
    """
    reference = base.reference
    found = manifest = registry.manifest(reference.repository, reference.digest or reference.tag)
    attestations: tuple[Descriptor, ...] = ()
    if found is not None and found.is_index:
        entries = flattened(found, reference, registry)
        images = [entry for entry in entries if not entry.is_attestation]
        own = [one for one in images if platform_of_entry(one) == base.leg.platform] if len(images) > 1 else images
        manifest = registry.manifest(reference.repository, own[0].digest) if len(own) == 1 else None
        if manifest is not None:
            attestations = read_attestations(reference, manifest.digest, entries, registry)
    if found is None or manifest is None:
        raise BaseMismatchError(f"there is no image for {base.leg} at {reference}, which others are built on")
    if manifest.config is None or manifest.problem or manifest.media_type not in IMAGES:
        raise NotAnImageError(reference, manifest.media_type, manifest.problem)
    config = read_config(reference, manifest.config, registry)
    platform = base.leg.platform
    image = StagedImage(platform, reference, str(platform), manifest, config, (), attestations=attestations)
    return BaseImage(base, image, found.digest)


def check_bases(
    leg: Leg, image: StagedImage, bases: Sequence[BaseImage], registries: Mapping[str, Registry], *, is_seen: bool
) -> BaseImage | None:
    """Check that an image is built on its bases; return the one whose layers it begins with, if one alone does.

    :param is_seen: whether this run has seen its build use them.
    :raises BaseMismatchError: it is not, or that cannot be known.
    """
    if not bases:
        return None
    registry = registries[image.reference.registry]
    layers = diff_ids(image.config)
    if "rootfs" not in image.config and image.manifest.config is not None:  # the cache of images does not keep it
        layers = diff_ids(read_config(image.reference, image.manifest.config, registry))
    below = [base for base in bases if base.layers and layers[: len(base.layers)] == base.layers]
    if not is_seen:
        used = _used_digests(image, registry)
        named = [base for base in bases if _is_used(base, used, registries[base.reference.registry])]
        for base in bases:
            if base not in below and base not in named:
                raise BaseMismatchError(_problem(leg, image, base, has_provenance=used is not None))
        # Another image may have the same layers: what a provenance does not name is not told.
        below = below if used is None else [base for base in below if base in named]
    most = max((len(base.layers) for base in below), default=0)
    highest = {base.reference: base for base in below if len(base.layers) == most}
    return next(iter(highest.values())) if len(highest) == 1 else None


def diff_ids(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the digests of an image's layers, unpacked; none where its config does not tell them as it should."""
    rootfs = config.get("rootfs")
    digests: Any = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return tuple(digests) if are_texts(digests) and len(digests) <= MOST_DESCRIPTORS else ()


def annotations_of(base: BaseImage, published: Mapping[str, PublishedTag | None]) -> dict[str, str]:
    """Return what image-spec (annotations.md) has for the image that another one begins with.

    :param published: of the targets that are published too, the first tag.
    """
    tag = published.get(base.base.leg.target)
    name = str(tag.reference) if tag else str(base.reference)
    return {BASE_NAME: name, BASE_DIGEST: base.reference.digest}


def annotations_of_all(
    bases: Iterable[BaseImage | None], published: Mapping[str, PublishedTag | None]
) -> dict[str, str]:
    """Return the same for an index: where all of its images begin with those of one that is published too."""
    targets = {base.base.leg.target if base else "" for base in bases}
    tag = published.get(next(iter(targets))) if len(targets) == 1 else None
    return {BASE_NAME: str(tag.reference), BASE_DIGEST: tag.digest} if tag else {}


def _used_digests(image: StagedImage, registry: Registry) -> list[str] | None:
    """Return the digests of what a build has used, by its provenance; None where that is not there, or not readable."""
    for attestation in image.attestations:
        manifest = registry.manifest(image.reference.repository, attestation.digest)
        for layer in manifest.layers if manifest else ():
            is_provenance = layer.annotations.get(PREDICATE_TYPE, "").startswith(_SLSA)
            if is_provenance and layer.size <= _LARGEST_PROVENANCE:
                content = registry.blob(image.reference.repository, layer.digest, layer.size)
                try:
                    return _materials(parse_object(content), image.manifest.digest)
                except ValueError:
                    return None
    return None


def _materials(statement: Mapping[str, Any], digest: str) -> list[str]:
    """Return the digests of the materials of a statement about an image (SLSA 0.2 and 1).

    :raises ValueError: it is no such statement.
    """
    subjects, predicate = statement.get("subject"), statement.get("predicate")
    if digest not in _digests(subjects) or not isinstance(predicate, dict):
        raise ValueError("it is about something else")
    definition = predicate.get("buildDefinition")
    used = definition.get("resolvedDependencies") if isinstance(definition, dict) else predicate.get("materials")
    return _digests(used)


def _digests(items: object) -> list[str]:
    """Return the digests of items of in-toto (ResourceDescriptor)."""
    sets = [item.get("digest") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    hashes = [one.get("sha256") for one in sets if isinstance(one, dict)]
    return [f"sha256:{text}" for text in hashes if isinstance(text, str)]


def _is_used(base: BaseImage, used: Sequence[str] | None, registry: Registry) -> bool:
    """Whether a base is among the digests that a build has used, itself or in an index that was handed over."""
    digest = base.image.manifest.digest
    known = {base.handed_over, digest}
    if used is None or known & set(used):
        return used is not None
    # A release hands over an index of all platforms, and leaves each platform's image under its staging tag.
    for other in list(dict.fromkeys(used))[:_MOST_LOOKED_UP]:
        if len(other) != len(digest):
            continue
        index = registry.manifest(base.reference.repository, other)
        if index is not None and digest in [entry.digest for entry in index.entries]:
            return True
    return False


def _problem(leg: Leg, image: StagedImage, base: BaseImage, *, has_provenance: bool) -> str:
    context, other = base.base.context, base.base.leg
    remedy = f"does its Dockerfile say FROM {context}? run build-arch again for both, or release"
    if not has_provenance:
        remedy += "; where it only copies from there, provenance tells of that (attestations)"
    return f"{leg} ({image.reference}) is not known to be built on {other} ({base.reference}); {remedy}"
