"""Staging tags that are left over, and why others are not.

The age of a staged image is when its build ended, by its provenance. Its config does not tell it: `created` is that of
the commit with SOURCE_DATE_EPOCH, and of a former build where all came out of the cache. What is published of a build
that is under way is in a staging tag first, so what is not known to be old is young.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from multiarch.buildkit.rawjson import seconds
from multiarch.concurrency import each
from multiarch.errors import MultiarchError, StoppedError
from multiarch.image.manifest import IMAGE_CONFIGS, IMAGES, PREDICATE_TYPE
from multiarch.image.provenance import LARGEST, PROVENANCE, read_end
from multiarch.publish.reachable import subject_of
from multiarch.publish.staged import platform_of_entry, read_config

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from multiarch.image.manifest import Manifest
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.publish.reachable import Walk
    from multiarch.publish.staging_names import StagingName

_LIMIT = 16  # requests at a time


class Leftover(Struct, frozen=True):
    """A staging tag, and what becomes of it.

    :ivar reference: its tag and digest.
    :ivar build: the build that its name has; empty where it names none.
    :ivar ended: when its build ended, in seconds since the epoch; None where that is not known.
    :ivar kept: why it stays; empty where it goes.
    :ivar is_reached: whether a tag that stays reaches its manifest, so that the tag goes alone.
    """

    reference: ImageReference
    platform: Platform
    build: str
    ended: float | None = None
    kept: str = ""
    is_reached: bool = False


def find_leftovers(
    walk: Walk, tags: Mapping[str, str], names: Mapping[str, StagingName], before: float | None
) -> list[Leftover]:
    """Return the staging tags of a repository, those that go and those that stay.

    :param tags: the digest of each tag, as the walk found it.
    :param names: what the staging tags among them name.
    :param before: seconds since the epoch; a build that ended later stays. None where the age does not matter.
    :raises UnknownReachError: it is not known what the other tags reach.
    """
    found = each(lambda tag: _leftover(walk, tag, tags[tag], names[tag], before), names, limit=_LIMIT)
    going = {one.reference.tag for one in found if not one.kept}
    reached = walk.reach({tag: digest for tag, digest in tags.items() if tag not in going}) if going else set()
    return [one if one.kept else replace(one, is_reached=one.reference.digest in reached) for one in found]


def parts_of(walk: Walk, digest: str, reached: Collection[str]) -> set[str]:
    """Return the digests that go with a staged manifest: what it lists, but for what is reached, or refers to that."""
    listed = [entry.digest for entry in walk.known(digest).entries if entry.digest not in reached]
    return {one for one in listed if _may_go(walk, one, reached)}


def _may_go(walk: Walk, digest: str, reached: Collection[str]) -> bool:
    manifest = walk.find(digest)
    subject = subject_of(manifest) if manifest else None
    return manifest is not None and (subject is None or subject.digest not in reached)


def _leftover(walk: Walk, tag: str, digest: str, name: StagingName, before: float | None) -> Leftover:
    """Return a staging tag as a leftover, and why it is kept, if it is.

    :param before: Unix time; what ended later is kept. None: of any age.
    """
    one = Leftover(walk.place.with_tag(tag).with_digest(digest), name.platform, name.build)
    manifest = walk.known(digest)
    try:
        if _platform(walk, manifest) != name.platform:
            return replace(one, kept=f"it holds something else than one image of {name.platform}")
        if before is None:
            return one
        one = replace(one, ended=_end(walk, manifest))
    except StoppedError:
        raise
    except MultiarchError as error:
        return replace(one, kept=f"it cannot be read: {error}")
    if one.ended is None:
        return replace(one, kept="its age is not known, for want of provenance; name its build with --build")
    return one if one.ended < before else replace(one, kept="it is young")


def _platform(walk: Walk, manifest: Manifest) -> Platform | None:
    """Return the platform of the one image that is staged; None where it is not one, or does not say."""
    if manifest.is_index:
        images = [entry for entry in manifest.entries if not entry.is_attestation]
        is_one = len(images) == 1 and all(entry.media_type in IMAGES for entry in manifest.entries)
        return platform_of_entry(images[0]) if is_one else None
    if manifest.config is None or manifest.config.media_type not in IMAGE_CONFIGS:
        return None  # a cache, a signature, a chart
    config = read_config(walk.place.with_digest(manifest.digest), manifest.config, walk.registry)
    return platform_of_entry(replace(manifest.config, platform=config))


def _end(walk: Walk, manifest: Manifest) -> float | None:
    """Return when the build of what is staged ended, in seconds since the epoch; None where it does not say."""
    for attestation in (entry for entry in manifest.entries if entry.is_attestation):
        for layer in walk.manifest(attestation.digest).layers:
            if layer.annotations.get(PREDICATE_TYPE, "").startswith(PROVENANCE) and layer.size <= LARGEST:
                content = walk.registry.blob(walk.place.repository, layer.digest, layer.size)
                try:
                    return seconds(read_end(content))
                except ValueError:
                    return None
    return None
