"""Images that take the place of a platform's in published indexes, and the gates for them alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from multiarch.config.checkout import REVISION
from multiarch.publish import gates
from multiarch.publish.errors import NotPublishedError, NotRepairedError
from multiarch.publish.staged import (
    StagedPlatform,
    described,
    flattened,
    platform_of_entry,
    read_attestations,
    read_staged,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multiarch.config.settings import Settings
    from multiarch.image.manifest import Descriptor
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.publish.staged import StagedImage
    from multiarch.registry.client import Registry


class Replacement(Struct, frozen=True):
    """An image for a platform: by its own reference, or by that of an index that lists one for the platform."""

    platform: Platform
    reference: ImageReference

    def __str__(self) -> str:
        return f"{self.platform}={self.reference}"


def read_replacement(
    wanted: Replacement, settings: Settings, registries: Mapping[str, Registry], say: Callable[[str], None]
) -> StagedImage:
    """Return the image with its attestations, once it has passed the gates that look at one image.

    That it is of another commit than this one is said, and let pass: a repair mostly is.

    :param registries: a client for the registry of the image, by host.
    :raises NotPublishedError: there is nothing. :raises NotRepairedError: an index lists none for the platform, or
        several. :raises GateError: it is not for the platform, or does not start.
    """
    image = _read(wanted, registries[wanted.reference.registry])
    gates.check_config(image.platform, image.reference, image.config)
    foreign = next((entry.foreign for entry in settings.matrix if entry.platform == wanted.platform), ())
    findings = gates.check_programs(image.platform, image.reference, image.programs, foreign)
    for note in findings.notes:
        say(f"{wanted.platform}: not checked: {note}")
    for path in findings.foreign:
        say(f"{wanted.platform}: {path} is for another platform on purpose")
    ours, theirs = settings.build.labels.get(REVISION, ""), revision_of(image)
    if ours and theirs != ours:
        say(f"{wanted.platform}: built from commit {theirs or 'unknown'}, and this is {ours}")
    return image


def revision_of(image: StagedImage) -> str:
    """Return the commit that an image says that it was built from; empty where it does not."""
    return str(((image.config.get("config") or {}).get("Labels") or {}).get(REVISION) or "")


def _read(wanted: Replacement, registry: Registry) -> StagedImage:
    """Return the image that takes a place, with its attestations. :raises NotPublishedError: it is not there."""
    reference = wanted.reference
    manifest = registry.manifest(reference.repository, reference.digest or reference.tag)
    if manifest is None:
        raise NotPublishedError(reference)
    entries = flattened(manifest, reference, registry) if manifest.is_index else [manifest.descriptor]
    entry = _entry_for(wanted, entries, registry) if manifest.is_index else manifest.descriptor
    exact = reference.with_digest(entry.digest)
    (place,) = read_staged([StagedPlatform(wanted.platform, exact)], registry)
    if not place.images:
        raise NotPublishedError(exact)
    attestations = read_attestations(exact, entry.digest, entries, registry)
    return replace(place.images[0], annotations=entry.annotations, attestations=attestations)


def _entry_for(wanted: Replacement, entries: list[Descriptor], registry: Registry) -> Descriptor:
    images = [entry for entry in entries if not entry.is_attestation]
    known = [(entry, described(entry, wanted.reference, registry)) for entry in images]
    fitting = [entry for entry, one in known if one and platform_of_entry(one) == wanted.platform]
    if len(fitting) != 1:
        number = "several images" if fitting else "no image"
        raise NotRepairedError(f"{wanted.reference} lists {number} for {wanted.platform}; name one by its digest")
    return fitting[0]
