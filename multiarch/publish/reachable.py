"""What the tags of a repository reach: indexes, the manifests that they list, and the subjects of these.

A walk knows a repository as far as it could be read. What could not leaves open what is reached, so it is an error:
whoever removes anything has to know all of it.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, TypeVar

from multiarch.concurrency import each
from multiarch.errors import MultiarchError
from multiarch.image.manifest import IMAGES, MANIFESTS, Descriptor, Manifest
from multiarch.interrupts import nothing
from multiarch.publish.previous import previous_digests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from multiarch.image.reference import ImageReference
    from multiarch.registry.client import Registry

T = TypeVar("T")

_LIMIT = 16  # requests at a time: more than a browser has, fewer than a registry takes for an attack
_MOST_BYTES = 512 << 20  # of all manifests of a repository; an index of ten platforms has 5 KiB
_DEEPEST = 8  # indexes within indexes; the image-spec names no bound, and nobody nests more than two
# The tag of what refers to a digest, in registries without the referrers API (distribution-spec, "Referrers Tag
# Schema"), and those of cosign, with a suffix.
_REFERRERS = re.compile(r"(sha256)-([0-9a-f]{64})(?:\..*)?")


class UnknownReachError(MultiarchError):
    """It is not known what a repository's tags reach."""

    def __init__(self, place: object, problem: str) -> None:
        super().__init__(f"{place}: {problem}; nothing of its repository is removed while that is not known")


class Walk:
    """A walk over one repository. Manifests are read once; tags as often as `look` is called."""

    def __init__(self, registry: Registry, place: ImageReference) -> None:
        self.registry = registry
        self.place = place.with_tag("")
        self._manifests: dict[str, Manifest] = {}
        self._bytes = 0
        self._lock = threading.Lock()
        self._is_known = False

    def look(self) -> dict[str, str]:
        """Return the digest that each tag points to now, by tag; a tag that is removed meanwhile is left out.

        :raises UnknownReachError: a tag is listed and has no manifest, or none that can be read.
        :raises MultiarchError: the registry does not answer.
        """
        tags = self.registry.tags(self.place.repository)
        digests = dict(zip(tags, self._each(self.digest_of, tags), strict=True))
        self._is_known = True
        if lost := [tag for tag in tags if not digests[tag]]:
            # Removed meanwhile, or there and not to be read.
            there = set(self.registry.tags(self.place.repository))
            for tag in lost:
                if tag in there:
                    raise UnknownReachError(self.place.with_tag(tag), "the tag is listed, and has no manifest")
        return {tag: digest for tag, digest in digests.items() if digest}

    def reach(self, tags: Mapping[str, str]) -> set[str]:
        """Return the digests that tags point to, list, have as their subject, or name as what they refer to.

        With them what each tag was before, as far as that is known, which it may be put back on (``--rollback``).

        :param tags: the digest of each, as `look` returned it.
        :raises UnknownReachError: an index cannot be read, or they are nested without end.
        """
        referred = {f"{match[1]}:{match[2]}" for match in map(_REFERRERS.fullmatch, tags) if match}
        walked: set[str] = set()
        leaves: set[str] = set()
        needed = set(tags.values())
        for tag, digest in tags.items():
            referred.update(previous_digests(self.place.with_tag(tag), self.manifest(digest)))
        optional = referred
        for _ in range(_DEEPEST):
            level = (needed | optional) - walked
            if not level:
                return walked | leaves
            walked |= level
            found = [*self._each(self.manifest, level & needed), *self._each(self.find, level - needed)]
            entries = [entry for manifest in found if manifest for entry in manifest.entries]
            # An image lists no other manifests; what is no image may.
            leaves |= {entry.digest for entry in entries if entry.media_type in IMAGES}
            needed = {entry.digest for entry in entries if entry.media_type not in IMAGES}
            optional = {one.digest for manifest in found if manifest and (one := subject_of(manifest))}
        raise UnknownReachError(self.place, f"indexes are nested more than {_DEEPEST} deep")

    def manifest(self, digest: str) -> Manifest:
        """Return a manifest of the repository. :raises UnknownReachError: it is not there, or cannot be read."""
        manifest = self.find(digest)
        if manifest is None:
            raise UnknownReachError(self.place.with_digest(digest), "an index lists it, and it is not there")
        return manifest

    def find(self, digest: str) -> Manifest | None:
        """Return a manifest of the repository; None where it is not there, as what somebody refers to need not be.

        :raises UnknownReachError: it cannot be read.
        """
        if known := self._manifests.get(digest):
            return known
        manifest = self.registry.manifest(self.place.repository, digest)
        return self._keep(manifest, self.place.with_digest(digest)) if manifest else None

    def known(self, digest: str) -> Manifest:
        """Return a manifest that was read before."""
        return self._manifests[digest]

    def digest_of(self, tag: str) -> str:
        """Return what a tag points to now, empty where it is gone; its manifest is read where it is not known."""
        if self._is_known:
            head = self.registry.manifest_head(self.place.repository, tag)
            digest = head.header("Docker-Content-Digest")
            if head.status == 404 or digest in self._manifests:
                return "" if head.status == 404 else digest
        manifest = self.registry.manifest(self.place.repository, tag)
        return self._keep(manifest, self.place.with_tag(tag)).digest if manifest else ""

    def _keep(self, manifest: Manifest, reference: ImageReference) -> Manifest:
        if manifest.media_type not in MANIFESTS or manifest.problem:
            raise UnknownReachError(reference, manifest.problem or f"{manifest.media_type[:80]!a} is no image or index")
        with self._lock:
            self._bytes += 0 if manifest.digest in self._manifests else len(manifest.body)
            if self._bytes > _MOST_BYTES:
                raise UnknownReachError(reference, f"its manifests have more than {_MOST_BYTES >> 20} MiB")
            self._manifests[manifest.digest] = manifest
        return manifest

    def _each(self, function: Callable[[str], T], items: Iterable[str]) -> list[T]:
        return each(function, items, on_failure=nothing, limit=_LIMIT)


def subject_of(manifest: Manifest) -> Descriptor | None:
    """Return what a manifest refers to (image-spec, "subject"); None where it is nothing."""
    return Descriptor.parse(manifest.json.get("subject"))
