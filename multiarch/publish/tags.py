"""All tags or none: the images copied to every repository, the index staged by digest, and then the tags moved.

A registry moves one tag at a time. So everything that can fail for other reasons is done before the first one moves,
and when one does not, those that did are put back to what they were.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from multiarch.errors import MultiarchError, RegistryError
from multiarch.publish.errors import TagsNotMovedError
from multiarch.registry.client import stopping
from multiarch.retry import is_transient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from multiarch.image.manifest import Descriptor, Manifest
    from multiarch.image.reference import ImageReference
    from multiarch.publish.staged import StagedImage
    from multiarch.registry.client import Registry

T = TypeVar("T")
# Uploads at the same time.
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

    with ThreadPoolExecutor(max_workers=max(len(places), 1)) as pool, stopping(registries.values()):
        list(pool.map(stage, places))
    _Transaction(index, due, registries).run()
    return tuple(PublishedTag(move.tag, index.digest) for move in moves)


def _copy(
    images: Sequence[StagedImage], source: ImageReference, origin: Registry, repository: str, target: Registry
) -> None:
    """Have the manifests of the images, and what they consist of, in another repository; each blob travels once."""
    digests = [image.manifest.digest for image in images]
    digests += [entry["digest"] for image in images for entry in image.attestations]
    with ThreadPoolExecutor(max_workers=_UPLOADS) as pool, stopping([origin, target]):
        there = list(pool.map(lambda digest: target.has_manifest(repository, digest), digests))
        missing = [digest for digest, is_there in zip(digests, there, strict=True) if not is_there]
        read = {image.manifest.digest: image.manifest for image in images}
        manifests = list(pool.map(lambda d: read.get(d) or _read(source, d, origin), missing))
        blobs: dict[str, Descriptor] = {}
        for manifest in manifests:
            of_manifest = [*([manifest.config] if manifest.config else []), *manifest.layers]
            blobs |= {blob["digest"]: blob for blob in of_manifest if not blob.get("urls")}
        list(pool.map(lambda b: target.copy_blob(origin, source.repository, repository, b), blobs.values()))
        list(pool.map(lambda m: target.put_manifest(repository, m.digest, m), manifests))


def _read(source: ImageReference, digest: str, registry: Registry) -> Manifest:
    found = registry.manifest(source.repository, digest)
    if found is None:
        name = f"GET {registry.host}/{source.repository}/manifests/{digest}"
        raise RegistryError(name, 404, "an attestation is gone", hint="push the image again with build-arch")
    return found


class _Transaction:
    """The moves of one index."""

    def __init__(self, index: Manifest, moves: Sequence[Move], registries: Mapping[str, Registry]) -> None:
        self.index = index
        self.moves = moves
        self.registries = registries

    def run(self) -> None:
        """Move all, or put back what moved. Those that exist go first: a new tag is harder to take back than to set."""
        begun: dict[Move, Future[str] | None] = {}
        read: dict[Move, Future[None] | None] = {}
        try:
            for wave in ([m for m in self.moves if m.before], [m for m in self.moves if not m.before]):
                self._together(self._put, wave, begun)
            self._together(self._read_back, self.moves, read)
        except BaseException as error:
            self._put_back(begun, error)
            raise

    def _together(
        self, function: Callable[[Move], T], moves: Sequence[Move], begun: dict[Move, Future[T] | None]
    ) -> None:
        """Call a function for each move at the same time; note what was begun. :raises MultiarchError: one failed."""
        with ThreadPoolExecutor(max_workers=max(len(moves), 1)) as pool, stopping(self.registries.values()):
            # Noted before they are begun: an interrupt may come at any time.
            begun |= dict.fromkeys(moves)
            futures = [pool.submit(function, move) for move in moves]
            begun |= zip(moves, futures, strict=True)
            wait(futures)
        for future in futures:
            future.result()

    def _put(self, move: Move) -> str:
        return self.registries[move.tag.registry].put_manifest(move.tag.repository, move.tag.tag, self.index)

    def _read_back(self, move: Move) -> None:
        before = move.before.digest if move.before else ""
        self.registries[move.tag.registry].read_back(move.tag, self.index.digest, before)

    def _put_back(self, begun: Mapping[Move, Future[str] | None], cause: BaseException) -> None:
        """Put back what moved, or may have. :raises TagsNotMovedError: unless it was an interrupt and all went well."""
        moved = [move for move, future in begun.items() if _may_have_moved(future)]
        with ThreadPoolExecutor(max_workers=max(len(moved), 1)) as pool:
            problems = list(pool.map(lambda m: self._restore(m, certain=_has_moved(begun[m])), moved))
        left = [
            (move.tag, self.index.digest, move.before.digest if move.before else "nothing", problem)
            for move, problem in zip(moved, problems, strict=True)
            if problem
        ]
        if left or isinstance(cause, MultiarchError):
            kept = [move.tag for move in self.moves if move.tag not in [tag for tag, *_ in left]]
            raise TagsNotMovedError(str(cause) or type(cause).__name__, kept, left) from None

    def _restore(self, move: Move, *, certain: bool) -> str:
        """Put one tag back, that has moved (*certain*) or may have; return why that was not possible."""
        registry = self.registries[move.tag.registry].unstoppable()
        repository, tag, before = move.tag.repository, move.tag.tag, move.before
        try:
            found = registry.manifest(repository, tag)
            if found == before and not certain:
                return ""
            if found is not None and found.digest != self.index.digest and found != before:
                return ""  # somebody else has moved it since: it is theirs
            if before is not None:
                registry.put_manifest(repository, tag, before)
            else:
                registry.remove_tag(repository, tag)
        except MultiarchError as error:
            return str(error)
        return ""


def _has_moved(future: Future[str] | None) -> bool:
    return future is not None and future.exception() is None


def _may_have_moved(future: Future[str] | None) -> bool:
    """Tell whether a tag has moved, or may have although no answer came; a refusal is certain."""
    error = future.exception() if future else None
    return error is None or not isinstance(error, RegistryError) or is_transient(error)
