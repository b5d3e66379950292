"""All tags or none: the images copied to every repository, the index staged by digest, and then the tags moved.

A registry moves one tag at a time. So everything that can fail for other reasons is done before the first one moves,
and when one does not, those that did are put back to what they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from multiarch.concurrency import each
from multiarch.errors import MultiarchError, RegistryError
from multiarch.publish.errors import TagsNotMovedError
from multiarch.registry.client import stop_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.image.manifest import Descriptor, Manifest
    from multiarch.image.reference import ImageReference
    from multiarch.publish.staged import StagedImage
    from multiarch.registry.client import Registry

# Threads that copy to one repository.
_UPLOADS = 8


@dataclass(frozen=True)
class PublishedTag:
    """A tag, and the digest of the index that is under it now."""

    reference: ImageReference
    digest: str

    def __str__(self) -> str:
        return str(self.reference.with_digest(self.digest))


@dataclass(frozen=True)
class Move:
    """A tag to be moved: *before* is what is under it, None when it is new."""

    tag: ImageReference
    before: Manifest | None


def publish(
    index: Manifest,
    images: Sequence[StagedImage],
    source: ImageReference,
    moves: Sequence[Move],
    registries: Mapping[str, Registry],
) -> tuple[PublishedTag, ...]:
    """Put the index under all tags; return them. A tag that has it already is not written again.

    :param source: the repository that holds the images.
    :param registries: a client for the registry of each tag.
    :raises TagsNotMovedError: a tag could not be moved; those that were are as before, but for those it names.
    """
    due = [move for move in moves if move.before is None or move.before.digest != index.digest]
    places = list(dict.fromkeys((move.tag.registry, move.tag.repository) for move in due))

    def stage(place: tuple[str, str]) -> None:
        registry, repository = registries[place[0]], place[1]
        if place != (source.registry, source.repository):
            _copy(images, source, registries[source.registry], repository, registry)
        # One tag moves with its index in one request; several move when it is there already.
        if len(due) > 1:
            registry.put_manifest(repository, index.digest, index)

    each(stage, places, on_failure=partial(stop_all, registries.values()))
    _Transaction(index, due, registries).run()
    return tuple(PublishedTag(move.tag, index.digest) for move in moves)


def _copy(
    images: Sequence[StagedImage], source: ImageReference, origin: Registry, repository: str, target: Registry
) -> None:
    """Have the manifests of the images, and what they consist of, in another repository; each blob travels once."""
    read = {image.manifest.digest: image.manifest for image in images}
    attestations = [entry["digest"] for image in images for entry in image.attestations]
    in_parallel = partial(each, on_failure=partial(stop_all, [origin, target]), limit=_UPLOADS)

    def read_missing(digest: str) -> Manifest | None:
        if target.has_manifest(repository, digest):
            return None
        return read.get(digest) or _read(source, digest, origin)

    manifests = [manifest for manifest in in_parallel(read_missing, [*read, *attestations]) if manifest]
    blobs: dict[str, Descriptor] = {}
    for manifest in manifests:
        of_manifest = [*([manifest.config] if manifest.config else []), *manifest.layers]
        blobs |= {blob["digest"]: blob for blob in of_manifest if not blob.get("urls")}
    in_parallel(lambda blob: target.copy_blob(origin, source.repository, repository, blob), blobs.values())
    in_parallel(lambda manifest: target.put_manifest(repository, manifest.digest, manifest), manifests)


def _read(source: ImageReference, digest: str, registry: Registry) -> Manifest:
    found = registry.manifest(source.repository, digest)
    if found is None:
        name = f"GET {registry.host}/{source.repository}/manifests/{digest}"
        raise RegistryError(name, 404, "an attestation is gone", hint="push the image again with build-arch")
    return found


class _Transaction:
    """The moves of one index: all of them, or none.

    :ivar _moved: the tags that have moved (True), or may have without an answer that says so (False).
    """

    def __init__(self, index: Manifest, moves: Sequence[Move], registries: Mapping[str, Registry]) -> None:
        self._index = index
        self._moves = moves
        self._registries = registries
        self._moved: dict[Move, bool] = {}

    def run(self) -> None:
        """Move all, or put back what moved. :raises TagsNotMovedError: one could not be moved."""
        in_parallel = partial(each, on_failure=partial(stop_all, self._registries.values()))
        try:
            # Those that exist go first: a new tag is harder to take back than to set.
            in_parallel(self._put, [move for move in self._moves if move.before])
            in_parallel(self._put, [move for move in self._moves if not move.before])
            in_parallel(self._read_back, self._moves)
        except BaseException as error:
            self._put_back(error)
            raise

    def _put(self, move: Move) -> None:
        self._moved[move] = False
        try:
            self._registries[move.tag.registry].put_manifest(move.tag.repository, move.tag.tag, self._index)
        except RegistryError as error:
            if not error.transient:  # a refusal
                del self._moved[move]
            raise
        self._moved[move] = True

    def _read_back(self, move: Move) -> None:
        before = move.before.digest if move.before else ""
        self._registries[move.tag.registry].read_back(move.tag, self._index.digest, before)

    def _put_back(self, cause: BaseException) -> None:
        """Put back what moved, or may have. :raises TagsNotMovedError: unless it was an interrupt and all went well."""
        moved = list(self._moved)
        problems = each(self._restore, moved)
        left = [
            (move.tag, self._index.digest, move.before.digest if move.before else "nothing", problem)
            for move, problem in zip(moved, problems, strict=True)
            if problem
        ]
        if left or isinstance(cause, MultiarchError):
            kept = [move.tag for move in self._moves if move.tag not in [tag for tag, *_ in left]]
            raise TagsNotMovedError(str(cause) or type(cause).__name__, kept, left) from None

    def _restore(self, move: Move) -> str:
        """Put one tag back; return why that was not possible."""
        registry = self._registries[move.tag.registry].unstoppable()
        repository, tag, before = move.tag.repository, move.tag.tag, move.before
        try:
            found = registry.manifest(repository, tag)
            if found == before and not self._moved[move]:
                return ""
            if found is not None and found.digest != self._index.digest and found != before:
                return ""  # somebody else has moved it since: it is theirs
            if before is not None:
                registry.put_manifest(repository, tag, before)
            else:
                registry.remove_tag(repository, tag)
        except MultiarchError as error:
            return str(error)
        return ""
