"""Moving tags to their indexes, all of them or none.

A registry moves one tag at a time. So everything that can fail for other reasons is done before the first tag moves:
images are copied to every repository, and each index is put there under its digest. When a tag cannot be moved then,
those that were moved are put back. Signals wait for the end of that.

Other publishers may move the same tags. So the tags are read again right before the first one moves; between that and
the write nobody can be kept out (the distribution specification has no conditional write of a tag).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.concurrency import each
from multiarch.errors import MultiarchError, RegistryError
from multiarch.interrupts import deferred
from multiarch.publish.errors import MovedMeanwhileError, NotAnImageError, TagsNotMovedError, TakenTag, UnrestoredTag
from multiarch.registry.client import stop_all
from multiarch.retry import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multiarch.image.manifest import Descriptor, Manifest
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.interrupts import Deferred
    from multiarch.publish.staged import StagedImage
    from multiarch.registry.client import Registry

    Sign = Callable[[Sequence[ImageReference]], object]

# Threads that copy to one repository.
_COPIES = 8


class TagState(Struct, frozen=True):
    """A tag to publish, as it is before.

    :ivar manifest: what it points to; None when it is new.
    :ivar platforms: those of the manifest; none where it does not say, or where they are not asked for.
    """

    reference: ImageReference
    manifest: Manifest | None
    platforms: tuple[Platform, ...] = ()


class PublishedTag(Struct, frozen=True):
    """A tag, and the digest of the index that it points to."""

    reference: ImageReference
    digest: str

    def __str__(self) -> str:
        return str(self.reference.with_digest(self.digest))

    @property
    def json(self) -> dict[str, str]:
        """Its fields for programs."""
        return {"reference": str(self), "digest": self.digest}


class Move(Struct, frozen=True):
    """A tag that was moved: the digests of what it pointed to, empty where it is new, and of what it points to now."""

    reference: ImageReference
    previous: str
    digest: str


class Plan(Struct, frozen=True):
    """An index, and the tags that are to point to it.

    :ivar images: those of the index, whose references name the repositories where they are.
    :ivar existing_tags: the tags as they are before.
    :ivar look_again: reads these tags anew, and raises the error of a gate if they may not be moved any more.
    """

    index: Manifest
    images: Sequence[StagedImage]
    existing_tags: Sequence[TagState]
    look_again: Callable[[Sequence[TagState]], Sequence[TagState]]

    @property
    def tags(self) -> tuple[PublishedTag, ...]:
        """The tags, once they have moved."""
        return tuple(PublishedTag(tag.reference, self.index.digest) for tag in self.existing_tags)

    @property
    def signed(self) -> tuple[ImageReference, ...]:
        """What is to be signed: the index and each image that it lists, by digest, in each repository."""
        listed = [entry.digest for entry in self.index.entries if not entry.is_attestation]
        digests = dict.fromkeys([self.index.digest, *listed])
        repositories = dict.fromkeys(tag.reference.with_tag("") for tag in self.existing_tags)
        return tuple(repository.with_digest(digest) for repository in repositories for digest in digests)


def move_tags(
    plans: Sequence[Plan],
    registries: Mapping[str, Registry],
    on_moved: Callable[[], object],
    sign: Sign | None = None,
) -> tuple[Move, ...]:
    """Move the tags of all plans, all of them or none; return those that were written.

    A tag that points to its index already is not written again.

    :param registries: a client for the registry of each tag and image, by host.
    :param on_moved: called when all tags have moved, while signals still wait.
    :param sign: signs the indexes and images, once they are where the tags will be; None where nobody does.
    :raises TagsNotMovedError: a tag could not be moved; all tags are as before, but for those that it names.
    """
    stop = partial(stop_all, registries.values())
    due = [(plan, tag) for plan in plans for tag in _due(plan.existing_tags, plan.index)]
    prepared: set[tuple[str, ImageReference]] = set()
    put = partial(_prepare, registries=registries, by_digest=sign is not None)
    while True:
        jobs = {(plan.index.digest, tag.reference.with_tag("")): plan for plan, tag in due}
        jobs = {key: plan for key, plan in jobs.items() if key not in prepared}
        if not jobs and sign is None:
            break
        each(lambda job: put(job[1], job[0][1]), jobs.items(), on_failure=stop)
        prepared |= jobs.keys()
        if sign:
            sign([reference for plan in plans for reference in plan.signed])
            sign = None
        now = _look_again(plans, stop)
        due = [(plan, tag) for plan, tags in zip(plans, now, strict=True) for tag in _due(tags, plan.index)]
    _Transaction({tag: plan.index for plan, tag in due}, registries).run(on_moved)
    digests = [(tag.manifest.digest if tag.manifest else "", plan.index.digest) for plan, tag in due]
    return tuple(Move(tag.reference, *both) for (_, tag), both in zip(due, digests, strict=True))


def _look_again(plans: Sequence[Plan], stop: Callable[[], object]) -> list[Sequence[TagState]]:
    """Return the tags of each plan as they are now. That one has moved is no fault that ends the requests of a run."""

    def look(plan: Plan) -> Sequence[TagState] | MovedMeanwhileError:
        try:
            return plan.look_again(plan.existing_tags)
        except MovedMeanwhileError as error:
            return error

    now = []
    for tags in each(look, plans, on_failure=stop):
        if isinstance(tags, MovedMeanwhileError):
            raise tags
        now.append(tags)
    return now


def _prepare(plan: Plan, repository: ImageReference, registries: Mapping[str, Registry], *, by_digest: bool) -> None:
    """Put the images of a plan, and its index, where its tags are.

    :param by_digest: whether the index is needed there before its tag is.
    """
    registry = registries[repository.registry]
    for source in dict.fromkeys(image.reference.with_tag("") for image in plan.images):
        if source != repository:
            group = [image for image in plan.images if image.reference.with_tag("") == source]
            _copy(group, source, registries[source.registry], repository.repository, registry)
    # One tag moves with its index in one request; several move when the index is there already.
    if by_digest or len(plan.existing_tags) > 1:
        registry.put_manifest(repository.repository, plan.index.digest, plan.index)


def _due(tags: Sequence[TagState], index: Manifest) -> list[TagState]:
    return [tag for tag in tags if tag.manifest is None or tag.manifest.digest != index.digest]


def _copy(
    images: Sequence[StagedImage], source: ImageReference, origin: Registry, repository: str, target: Registry
) -> None:
    """Copy images with their attestations to another repository; each blob travels once, and none that is there."""
    read = {image.manifest.digest: image.manifest for image in images}
    attestations = [entry.digest for image in images for entry in image.attestations]
    in_parallel = partial(each, on_failure=partial(stop_all, [origin, target]), limit=_COPIES)

    def read_missing(digest: str) -> Manifest | None:
        if target.has_manifest(repository, digest):
            return None
        return read.get(digest) or _read(source, digest, origin)

    manifests = [manifest for manifest in in_parallel(read_missing, [*read, *attestations]) if manifest]
    blobs: dict[str, Descriptor] = {}
    for manifest in manifests:
        descriptors = [*([manifest.config] if manifest.config else []), *manifest.layers]
        blobs |= {descriptor.digest: descriptor for descriptor in descriptors if not descriptor.urls}
    in_parallel(lambda blob: target.copy_blob(origin, source.repository, repository, blob), blobs.values())
    in_parallel(lambda manifest: target.put_manifest(repository, manifest.digest, manifest), manifests)


def _read(source: ImageReference, digest: str, registry: Registry) -> Manifest:
    manifest = registry.manifest(source.repository, digest)
    if manifest is None:
        name = f"GET {registry.host}/{source.repository}/manifests/{digest}"
        raise RegistryError(name, 404, "an attestation is gone", hint="push the image again with build-arch")
    if manifest.problem:
        raise NotAnImageError(source.with_digest(digest), manifest.media_type, manifest.problem)
    return manifest


class _Transaction:
    """The moves of tags to their indexes: all of them, or none.

    :ivar _moved: tags that have moved (True), or may have, because no answer says whether they did (False).
    """

    def __init__(self, indexes: Mapping[TagState, Manifest], registries: Mapping[str, Registry]) -> None:
        self._indexes = indexes
        self._registries = registries
        self._moved: dict[TagState, bool] = {}

    def run(self, on_moved: Callable[[], object]) -> None:
        """Move all tags and call *on_moved*, or put back those that moved.

        :raises TagsNotMovedError: one could not be moved.
        """
        stop = partial(stop_all, self._registries.values())
        in_parallel = partial(each, on_failure=stop)
        with deferred(stop) as signals:
            move = partial(self._move, signals=signals)
            try:
                # Those that exist go first: a new tag is harder to take back than to set.
                in_parallel(move, [tag for tag in self._indexes if tag.manifest])
                in_parallel(move, [tag for tag in self._indexes if not tag.manifest])
                in_parallel(self._read_back, self._indexes)
                signals.check()
            except BaseException as error:
                self._put_back(error, interrupted=signals.first is not None)
                # An error that only the stop has caused is not worth telling.
                signals.check()
                raise
            on_moved()

    def _move(self, tag: TagState, signals: Deferred) -> None:
        """Move one tag. It is noted before as one that may have moved, and forgotten where the registry refuses."""
        signals.check()
        reference = tag.reference
        self._moved[tag] = False
        registry = self._registries[reference.registry]
        try:
            # Cut off when another tag fails, it might still move this one after it was read to be put back.
            registry.put_manifest(reference.repository, reference.tag, self._indexes[tag], awaited=True)
        except RegistryError as error:
            if not error.transient:  # refused
                del self._moved[tag]
            if not (error.forbids_overwriting and self._is_there(tag)):
                raise
            return
        self._moved[tag] = True

    def _is_there(self, tag: TagState) -> bool:
        """Whether a tag points to its index, as somebody else has moved it there meanwhile."""
        reference = tag.reference
        manifest = self._registries[reference.registry].manifest(reference.repository, reference.tag)
        return manifest is not None and manifest.digest == self._indexes[tag].digest

    def _read_back(self, tag: TagState) -> None:
        before = tag.manifest.digest if tag.manifest else ""
        self._registries[tag.reference.registry].read_back(tag.reference, self._indexes[tag].digest, before)

    def _put_back(self, cause: BaseException, *, interrupted: bool) -> None:
        """Put back the tags that moved, or may have.

        :raises TagsNotMovedError: there was no interrupt, or a tag is not as before.
        """
        not_as_before = [tag for tag in each(self._restore, list(self._moved)) if tag]
        if not_as_before or not (interrupted or isinstance(cause, KeyboardInterrupt | SystemExit)):
            left = [tag.reference for tag in not_as_before]
            kept = [tag.reference for tag in self._indexes if tag.reference not in left]
            reason = str(cause) if isinstance(cause, MultiarchError) else f"{type(cause).__name__}: {describe(cause)}"
            raise TagsNotMovedError("interrupted" if interrupted else reason, kept, not_as_before) from cause

    def _restore(self, tag: TagState) -> UnrestoredTag | TakenTag | None:
        """Put one tag back; return None when it is as before, else what it is, and why."""
        reference, before, index = tag.reference, tag.manifest, self._indexes[tag]
        try:
            registry = self._registries[reference.registry].unstoppable()
            current = registry.manifest(reference.repository, reference.tag)
            if current == before and not self._moved[tag]:
                return None
            if current is not None and current.digest != index.digest and current != before:
                return TakenTag(reference, current.digest)
            if before is not None:
                registry.put_manifest(reference.repository, reference.tag, before)
            else:
                registry.remove_tag(reference.repository, reference.tag)
        # Whatever it is: the other tags are put back all the same, and this one is named.
        except BaseException as error:  # noqa: BLE001
            reason = str(error) if isinstance(error, MultiarchError) else describe(error)
            return UnrestoredTag(reference, index.digest, before.digest if before else "nothing", reason)
        return None
