"""Repair of published indexes: the images of some platforms are replaced or removed, the others stay as they are.

Each tag is read, changed and moved; where somebody else has moved it meanwhile, that begins anew with what is there, so
that neither change is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.concurrency import each
from multiarch.errors import MultiarchError
from multiarch.interrupts import nothing
from multiarch.publish.errors import MovedMeanwhileError, NotPublishedError, NotRepairedError, UnkeptRepairError
from multiarch.publish.listing import read_listing
from multiarch.publish.previous import note_moves, previous_of
from multiarch.publish.replacement import read_replacement
from multiarch.publish.tags import Plan, TagState, move_tags
from multiarch.registry.client import stop_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multiarch.config.settings import Settings
    from multiarch.image.manifest import Manifest
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.publish.listing import Listing
    from multiarch.publish.replacement import Replacement
    from multiarch.publish.staged import StagedImage
    from multiarch.publish.tags import PublishedTag, Sign
    from multiarch.registry.client import Registry

# Times that a repair begins anew because a tag was moved meanwhile.
_MOST_ATTEMPTS = 10
# seconds; who has read a tag before it was repaired, and writes it, has done so by then
_SETTLING = 1.0


class Change(Struct, frozen=True):
    """What is done to the tags: images that take the place of those of their platforms, and platforms that go."""

    replacements: tuple[Replacement, ...] = ()
    removed: tuple[Platform, ...] = ()

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """All that are not left as they are."""
        return (*(one.platform for one in self.replacements), *self.removed)


class _State(Struct, frozen=True):
    """A tag, and what its index lists."""

    tag: TagState
    listing: Listing


class Repair(Struct, frozen=True):
    """Repair of the tags of one image.

    :param registries: a client for the registry of each tag and replacement, by host.
    :ivar say: takes what is noteworthy. :ivar wait: waits so many seconds, or until the run is stopped.
    """

    change: Change
    settings: Settings
    registries: Mapping[str, Registry]
    say: Callable[[str], None]
    wait: Callable[[float], object]
    settling: float = _SETTLING

    def run(
        self,
        try_images: Callable[[Sequence[StagedImage]], object] | None = None,
        on_moved: Callable[[], object] = nothing,
        sign: Sign | None = None,
    ) -> tuple[PublishedTag, ...]:
        """Repair all tags, or none; return them in their order.

        :param try_images: runs the images, the last gate. :param on_moved: called when all tags have moved.
        :param sign: signs the indexes and what they list, before any tag moves; None where nobody does.
        :raises GateError: an image may not be published. :raises NotRepairedError: a tag cannot be repaired.
        :raises TagsNotMovedError: a registry refuses; the tags are as before.
        """
        images = self.read_images()
        states = self._read_all()
        self._tell(states)
        plans = self.plans(images, states)
        if try_images:
            try_images(images)
        attempts_left = _MOST_ATTEMPTS
        while problem := self._move(plans, states, on_moved, sign):
            attempts_left -= 1
            if not attempts_left:
                raise problem
            self.say("a tag was moved by somebody else meanwhile: it is read and repaired again")
            states = self._read_all()
            plans = self.plans(images, states)
        found = {tag.reference: tag for plan in plans for tag in plan.tags}
        return tuple(found[state.tag.reference] for state in states)

    def _move(
        self, plans: Sequence[Plan], states: Sequence[_State], on_moved: Callable[[], object], sign: Sign | None
    ) -> MultiarchError | None:
        """Move the tags; return None where they keep what was repaired.

        Where somebody else has moved one meanwhile, return the error to raise unless the repair is tried again.

        :raises UnkeptRepairError: it is not known whether they keep it. :raises TagsNotMovedError: a registry refuses.
        """
        try:
            note_moves(move_tags(plans, self.registries, on_moved, sign))
        except MovedMeanwhileError as error:
            return error
        lost = self._lost(plans, states)
        return (
            UnkeptRepairError(lost, f"somebody else has written it without that {_MOST_ATTEMPTS} times")
            if lost
            else None
        )

    def read_images(self) -> list[StagedImage]:
        """Return the images of the replacements, which have passed their gates."""

        def read(wanted: Replacement) -> StagedImage:
            return read_replacement(wanted, self.settings, self.registries, self.say)

        return each(read, self.change.replacements, on_failure=self._stop)

    def commands(self) -> list[list[str]]:
        """Return the commands that write the same indexes, with the digests that they list; nothing is written."""
        lines = []
        for plan in self.plans(self.read_images(), self._read_all()):
            for tag in plan.existing_tags:
                sources = [str(image.reference) for image in plan.images]
                own = {
                    entry.digest for image in plan.images for entry in (image.manifest.descriptor, *image.attestations)
                }
                kept = [entry.digest for entry in plan.index.entries if entry.digest not in own]
                name = tag.reference.with_tag("")
                words = [*(str(name.with_digest(digest)) for digest in kept), *sources]
                lines.append(["docker", "buildx", "imagetools", "create", "--tag", str(tag.reference), *words])
        return lines

    def plans(self, images: Sequence[StagedImage], states: Sequence[_State]) -> list[Plan]:
        """Return what becomes of the tags: a plan for each index that several of them share."""
        shared: dict[str, list[_State]] = {}
        for state in states:
            if not images and not set(state.listing.images) - set(self.change.removed):
                raise NotRepairedError(f"{state.tag.reference} would have no image left; take another away")
            shared.setdefault(state.listing.index.digest, []).append(state)
        return [self._plan(images, same) for same in shared.values()]

    def _plan(self, images: Sequence[StagedImage], states: Sequence[_State]) -> Plan:
        tags = [state.tag for state in states]
        record = previous_of(tags) if self.settings.publish.note_previous else ""
        index = states[0].listing.changed(self.settings, images, self.change.removed, record)
        return Plan(index, images, tags, self._look_again)

    def _tell(self, states: Sequence[_State]) -> None:
        """Say which platforms are added, or need not be removed, because a tag has none of them."""
        for state in states:
            have = state.listing.images
            reference = state.tag.reference
            for one in self.change.replacements:
                if one.platform not in have:
                    self.say(f"{reference} has no {one.platform} so far: it is added")
            for platform in self.change.removed:
                if platform not in have:
                    self.say(f"{reference} has no {platform}: nothing is removed")

    def _read_all(self) -> list[_State]:
        return each(self._read, self.settings.publish.references, on_failure=self._stop)

    def _read(self, reference: ImageReference) -> _State:
        manifest = self._current(reference)
        if manifest is None:
            raise NotPublishedError(reference)
        listing = read_listing(reference, manifest, self.registries[reference.registry])
        return _State(TagState(reference, manifest, listing.images), listing)

    def _current(self, reference: ImageReference) -> Manifest | None:
        return self.registries[reference.registry].manifest(reference.repository, reference.tag)

    def _look_again(self, tags: Sequence[TagState]) -> Sequence[TagState]:
        for tag in tags:
            if self._current(tag.reference) != tag.manifest:
                raise MovedMeanwhileError(tag.reference)
        return tags

    def _lost(self, plans: Sequence[Plan], states: Sequence[_State]) -> ImageReference | None:
        """Return a tag that somebody who had read it before this repair has written after, without what was repaired.

        :raises UnkeptRepairError: a tag cannot be read.
        """
        indexes = {tag.reference: plan.index for plan in plans for tag in plan.existing_tags}
        moved = [state for state in states if indexes[state.tag.reference] != state.listing.index]
        if moved:
            self.wait(self.settling)
        undone = (state.tag.reference for state in moved if self._is_undone(state, indexes[state.tag.reference]))
        return next(undone, None)

    def _is_undone(self, state: _State, index: Manifest) -> bool:
        try:
            now = self._current(state.tag.reference)
        except MultiarchError as error:
            problem = f"whether somebody else has overwritten that cannot be seen ({error})"
            raise UnkeptRepairError(state.tag.reference, problem) from error
        # What was there before as a whole was put back on purpose, with --rollback; what is gone was removed.
        if now is None or now in (index, state.listing.index):
            return False
        try:
            listing = read_listing(state.tag.reference, now, self.registries[state.tag.reference.registry])
        except MultiarchError:
            return False  # another publication, and not for this one to repair
        return any(listing.digests(one) == state.listing.digests(one) for one in self._changed(state, index))

    def _changed(self, state: _State, index: Manifest) -> list[Platform]:
        """Return the platforms whose images the repair has changed; the others say nothing of who came after it."""
        now = {entry.digest for entry in index.entries}
        added = [one.platform for one in self.change.replacements if not state.listing.digests(one.platform)]
        gone = [one for one in self.change.platforms if set(state.listing.digests(one)) - now]
        return added + gone

    def _stop(self) -> None:
        stop_all(self.registries.values())
