"""Images that an earlier run has left under staging tags, each with a record of what it was built from: `--resume`.

The record is an annotation of the index under the staging tag, which lists the image of one platform and its
attestations. So any machine finds it; it is believed as far as the staging tag is, and the image passes all gates.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from multiarch.errors import MultiarchError
from multiarch.image.documents import maps_texts, parse_object
from multiarch.publish.built_from import BuiltFrom, MovedError
from multiarch.publish.index import index_of_descriptors
from multiarch.publish.inputs import ANNOTATION, UnknownInputsError, frontends, read_record, write_record
from multiarch.publish.staged import flattened, platform_of_entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.project import Target
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.manifest import Descriptor, Manifest
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.registry.client import Registry

_BASE = "base "  # in front of the name of a context; what follows in the record is the digest of the base's image
_FETCHED = "fetched"  # what a build took from elsewhere, for an image without provenance
_MOST = 1000  # images that a build takes; as of provenance


class LeftImage(Struct, frozen=True):
    """What is under a staging tag, with its record."""

    index: Manifest
    record: Mapping[str, str]

    def base(self, context: str) -> str:
        """The digest of the base's image that it was built on; empty where the record does not tell."""
        return self.record.get(f"{_BASE}{context}", "")


def image_of_platform(
    registry: Registry, reference: ImageReference, platform: Platform
) -> tuple[Descriptor, tuple[Descriptor, ...]] | None:
    """Return the descriptors of a platform's image and of its attestations; None where it has not one.

    :param reference: with the digest of an image, or of an index.
    :raises NotAnImageError: an index that it lists is none.
    """
    manifest = registry.manifest(reference.repository, reference.digest)
    if manifest is None or manifest.problem:
        return None
    if not manifest.is_index:
        fields = {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant}
        named = {name: value for name, value in fields.items() if value}
        return replace(manifest.descriptor, platform=named), ()
    entries = flattened(manifest, reference, registry)
    images = [entry for entry in entries if not entry.is_attestation]
    own = [one for one in images if platform_of_entry(one) == platform] if len(images) > 1 else images
    if len(own) != 1:
        return None
    digest = own[0].digest
    return own[0], tuple(entry for entry in entries if entry.is_attestation and entry.attested_digest == digest)


def index_with_record(
    image: Descriptor,
    attestations: tuple[Descriptor, ...],
    inputs: Mapping[str, str],
    bases: Mapping[str, str],
    fetched: Mapping[str, str] | None,
) -> Manifest:
    """Return what is to be under the staging tag of an image.

    :param bases: by context, the digest of the image that it was built on.
    :param fetched: by name, the digest of each image that its build took from elsewhere; None where that is not known.
    """
    record = {**inputs, **{f"{_BASE}{context}": digest for context, digest in bases.items()}}
    if fetched is not None:
        record[_FETCHED] = json.dumps(dict(sorted(fetched.items())))
    return index_of_descriptors([image, *attestations], {ANNOTATION: write_record(record)})


def find_left(target: Target, entry: MatrixEntry, inputs: Mapping[str, str], built_from: BuiltFrom) -> LeftImage:
    """Return what is under the staging tag of a platform, if it was built from these inputs.

    :raises MovedError: it was not, or that cannot be known. :raises UnknownInputsError: its frontend is not known.
    """
    if target.settings.build.no_cache:
        raise MovedError("no_cache runs every step again")
    staging = entry.staging
    index = built_from.manifest(staging)
    if index is None:
        raise MovedError("nothing is under its staging tag")
    record = read_record(index.annotations.get(ANNOTATION, ""))
    if record is None:
        raise MovedError(f"{staging} does not say what it was built from")
    own = {name: value for name, value in record.items() if not name.startswith(_BASE) and name != _FETCHED}
    if own != inputs:
        # Names that are none of ours may be anything, and any number.
        different = sorted(name for name, value in inputs.items() if own.get(name) != value)
        names = ", ".join(different) or "more of them"
        raise MovedError(f"{staging} was built from other inputs: {names}")
    built_from.check_platforms(staging, index, [entry.platform])
    if any(one.is_attestation for one in index.entries):
        built_from.check_materials(staging, index)
        named = {material.image.name for material in built_from.materials(staging, index) if material.image}
    else:
        named = built_from.check_images(_read_fetched(record.get(_FETCHED, "")))
    if unnamed := sorted(frontends(target) - named):
        raise MovedError(f"it is not known which frontend {unnamed[0]} it was built with")
    for listed in index.entries:
        if built_from.manifest(staging.with_tag("").with_digest(listed.digest)) is None:
            raise MovedError(f"{staging} lists {listed.digest}, which is gone")
    return LeftImage(index, record)


def _read_fetched(text: str) -> dict[str, str]:
    """Return what a build without provenance took from elsewhere. :raises MovedError: the record does not tell."""
    try:
        fetched = parse_object(text.encode())
    except ValueError:
        fetched = None
    if fetched is None or not maps_texts(fetched) or len(fetched) > _MOST:
        raise MovedError("it has no provenance, and its record does not tell which images it was built from")
    return fetched


def reason_against(
    target: Target, entry: MatrixEntry, inputs: Mapping[str, str], built_from: BuiltFrom
) -> LeftImage | str:
    """Return what `find_left` does, or in one line why there is nothing to take."""
    try:
        return find_left(target, entry, inputs, built_from)
    except (MovedError, UnknownInputsError) as error:
        return str(error)
    except MultiarchError as error:
        return f"what is under its staging tag cannot be read ({error})"
