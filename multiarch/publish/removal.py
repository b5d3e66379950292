"""Removal of staging tags that are left over, while others publish.

Registries have no lock. So before each deletion the tags are read again, and what they reach is looked up again; and
after it once more: what another publisher has begun to use meanwhile is put back, as manifests are known and the blobs
are still there. Registries delete these only when they collect garbage.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from multiarch.concurrency import each
from multiarch.errors import MultiarchError, RegistryError
from multiarch.interrupts import deferred
from multiarch.publish.leftovers import Leftover, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from multiarch.image.manifest import Manifest
    from multiarch.image.reference import ImageReference
    from multiarch.publish.reachable import Walk
    from multiarch.registry.client import Registry

_LIMIT = 8  # deletions at a time; Docker's registry looks through all tags for each
_LOOKS = (
    8  # batches at most: the tags of a repository are read twice for each, so that the time grows with their number
)
_LEAST = 32  # digests of a batch; some requests for each, and a second or two
_ATTEMPTS = 5  # to remove a tag for good, while others write theirs
_MOVED = "it has moved meanwhile"
# What those registries have in place of the API's deletion.
_OWN_WAYS = {
    "docker.io": "Docker Hub may delete by its own API alone: remove it at hub.docker.com, under Tags",
    "ghcr.io": "GitHub deletes by its own API alone: use the action actions/delete-package-versions",
}
_REMEDY = (
    "let it delete (the distribution registry with REGISTRY_STORAGE_DELETE_ENABLED=true, then restart it), or use the"
    " registry's own way"
)


class CannotDeleteError(MultiarchError):
    """A registry does not delete."""

    def __init__(self, place: ImageReference, cause: str) -> None:
        super().__init__(f"{place}: the registry does not delete ({cause}); {_OWN_WAYS.get(place.registry, _REMEDY)}")


def delete_manifest(registry: Registry, reference: ImageReference) -> None:
    """Delete a manifest by its digest, with all its tags. :raises CannotDeleteError: the registry does not delete."""
    _explained(reference, lambda: registry.delete(reference.repository, reference.digest))


def remove_tag(registry: Registry, reference: ImageReference) -> None:
    """Remove a tag, not what it points to. :raises CannotDeleteError: the registry does not delete."""
    # Where tags cannot be deleted, most have a way around that; in these it would only leave something behind.
    remove = registry.delete if reference.registry in _OWN_WAYS else registry.remove_tag
    _explained(reference, lambda: remove(reference.repository, reference.tag))


def _explained(reference: ImageReference, delete: Callable[[], object]) -> None:
    try:
        delete()
    except RegistryError as error:
        if error.status in (400, 405):
            raise CannotDeleteError(reference, error.cause or str(error)) from None
        raise


class Removal(Struct):
    """The removal of what is left over in one repository.

    :ivar done: the tags that are gone, and those that stay after all.
    """

    walk: Walk
    done: list[Leftover] = field(default_factory=list)
    _deleted: dict[str, Manifest] = field(default_factory=dict)

    def run(self, leftovers: Sequence[Leftover]) -> None:
        """Remove staging tags, and the manifests that no other tag reaches.

        :raises CannotDeleteError: the registry does not delete.
        :raises UnknownReachError: it is not known any more what the other tags reach.
        """
        for batch in _batches(leftovers):
            # What has begun is looked at until its end: an interrupt waits for it.
            with deferred():
                try:
                    self._remove(batch)
                finally:
                    self._put_back(self.walk.look())

    def _remove(self, batch: Sequence[Leftover]) -> None:
        """Remove the tags of a batch, then the manifests that nothing else reaches."""
        tags = self.walk.look()
        names = {one.reference.tag for one in batch}
        reached = self.walk.reach({tag: digest for tag, digest in tags.items() if tag not in names})
        groups = _by_digest(batch)
        each(partial(self._remove_group, reached), groups.values(), limit=_LIMIT)
        self._finish([one.reference.tag for one in self.done if not one.kept])
        # The tags are gone: what they alone listed is not reached any more, unless somebody has used it meanwhile.
        reached = self.walk.reach(self.walk.look())
        wholes = [digest for digest in groups if digest in self._deleted]
        each(self._delete, {part for whole in wholes for part in parts_of(self.walk, whole, reached)}, limit=_LIMIT)

    def _remove_group(self, reached: Collection[str], group: Sequence[Leftover]) -> None:
        """Remove the tags of one digest, and its manifest, if no tag that stays reaches it."""
        digest = group[0].reference.digest
        still = [one for one in group if self.walk.digest_of(one.reference.tag) in (digest, "")]
        self.done += [replace(one, kept=_MOVED) for one in group if one not in still]
        if digest in reached:
            for one in still:
                remove_tag(self.walk.registry, one.reference)
        elif still:
            self._delete(digest)
        self.done += [replace(one, is_reached=digest in reached) for one in still]

    def _finish(self, removed: Sequence[str]) -> None:
        """Remove tags again that are still listed, and lead nowhere.

        Docker's registry deletes a manifest first, and fails to remove its tags when another tag is just being written
        (distribution 2.8, registry/storage/tagstore.go, Lookup).
        """
        registry, repository = self.walk.registry, self.walk.place.repository
        for _ in range(_ATTEMPTS):
            listed = set(registry.tags(repository))
            lost = [tag for tag in removed if tag in listed and not self.walk.digest_of(tag)]
            if not lost:
                return
            for tag in lost:
                remove_tag(registry, self.walk.place.with_tag(tag))

    def _delete(self, digest: str) -> None:
        self._deleted[digest] = self.walk.known(digest)
        delete_manifest(self.walk.registry, self.walk.place.with_digest(digest))

    def _put_back(self, tags: Mapping[str, str]) -> None:
        """Put back what was deleted and is reached by a tag; what an index lists before the index."""
        if not self._deleted:
            return
        reached = self.walk.reach(tags)
        lost = [self._deleted[digest] for digest in self._deleted if digest in reached]
        for manifest in sorted(lost, key=lambda one: one.is_index):
            self.walk.registry.put_manifest(self.walk.place.repository, manifest.digest, manifest)
            del self._deleted[manifest.digest]


def _by_digest(leftovers: Iterable[Leftover]) -> dict[str, list[Leftover]]:
    groups: dict[str, list[Leftover]] = {}
    for one in leftovers:
        groups.setdefault(one.reference.digest, []).append(one)
    return groups


def _batches(leftovers: Sequence[Leftover]) -> Iterator[list[Leftover]]:
    groups = list(_by_digest(leftovers).values())
    count = max(_LEAST, -(-len(groups) // _LOOKS))
    for start in range(0, len(groups), count):
        yield [one for group in groups[start : start + count] for one in group]
