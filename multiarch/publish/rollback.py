"""Published tags back on what they were before they were published last, all of them or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.concurrency import each
from multiarch.errors import MultiarchError
from multiarch.interrupts import nothing
from multiarch.publish.errors import MovedMeanwhileError, NotPublishedError, NotRepairedError
from multiarch.publish.previous import forget_moves, previous_digests
from multiarch.publish.staged import flattened, read_platforms
from multiarch.publish.tags import Plan, PublishedTag, TagState, move_tags
from multiarch.registry.client import stop_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multiarch.image.manifest import Manifest
    from multiarch.image.reference import ImageReference
    from multiarch.publish.tags import Sign
    from multiarch.registry.client import Registry


class Rollback(Struct, frozen=True):
    """The way back of tags.

    :param registries: a client for the registry of each tag, by host.
    :ivar to: the digest to put them back on; empty for what each was before.
    :ivar say: takes what is noteworthy.
    """

    references: Sequence[ImageReference]
    to: str
    registries: Mapping[str, Registry]
    say: Callable[[str], None]

    def run(self, on_moved: Callable[[], object] = nothing, sign: Sign | None = None) -> tuple[PublishedTag, ...]:
        """Put all tags back, or none; return them in their order.

        :param on_moved: called when all tags have moved.
        :param sign: signs what they were before, where it is not signed; None where nobody does.
        :raises NotRepairedError: it is not known what a tag was, or that is not whole any more, or somebody moves it.
        :raises TagsNotMovedError: a registry refuses; the tags are as before.
        """
        plans = self.plans()
        forget_moves(move_tags(plans, self.registries, on_moved, sign))
        return tuple(tag for plan in plans for tag in plan.tags)

    def commands(self) -> list[list[str]]:
        """Return the commands that do the same, for the tags that would move."""
        return [
            ["docker", "buildx", "imagetools", "create", "--tag", str(tag.reference), str(published)]
            for plan in self.plans()
            for tag, published in zip(plan.existing_tags, self._sources(plan), strict=True)
            if tag.manifest != plan.index
        ]

    def plans(self) -> list[Plan]:
        """Return a plan for each tag, whose former index is there with all its images: nothing can fail but the move.

        :raises NotPublishedError: there is no such tag. :raises NotRepairedError: as of `run`.
        """
        return each(self._plan, self.references, on_failure=self._stop)

    def _plan(self, reference: ImageReference) -> Plan:
        """Return the plan that puts a tag back to what it was before.

        :raises NotPublishedError: it is not there. :raises NotRepairedError: what it was is not known.
        """
        registry = self.registries[reference.registry]
        current = registry.manifest(reference.repository, reference.tag)
        if current is None:
            raise NotPublishedError(reference)
        digest = self.to or next(iter(previous_digests(reference, current)), "")
        if not digest:
            problem = f"{reference}: neither the index {current.digest} nor this machine knows what was there before"
            raise NotRepairedError(f"{problem}; name it: --rollback --to sha256:…")
        former = self._whole(reference.with_tag("").with_digest(digest), registry)
        self._tell_lost(reference, current, former)
        return Plan(former, (), (TagState(reference, current),), self._look_again)

    def _whole(self, reference: ImageReference, registry: Registry) -> Manifest:
        """Return what is under a digest, once all that it lists is there too."""
        manifest = registry.manifest(reference.repository, reference.digest)
        if manifest is None:
            raise NotRepairedError(f"{reference} is not in the registry any more; name another digest with --to")
        if manifest.problem:
            raise NotRepairedError(f"{reference} is no image and no index ({manifest.problem}); name another with --to")
        if manifest.is_index:
            entries = flattened(manifest, reference, registry)
            there = each(lambda one: registry.has_manifest(reference.repository, one.digest), entries)
            if missing := [entry.digest for entry, is_there in zip(entries, there, strict=True) if not is_there]:
                raise NotRepairedError(
                    f"{reference} is not whole any more: the registry has no {missing[0]}; name another with --to"
                )
        return manifest

    def _tell_lost(self, reference: ImageReference, current: Manifest, former: Manifest) -> None:
        """Show which platforms are gone with the way back, as far as both sides say what they have."""
        registry = self.registries[reference.registry]
        try:
            now, then = (set(read_platforms(one, reference.repository, registry)) for one in (current, former))
        except MultiarchError:
            return
        if lost := sorted(map(str, now - then)):
            self.say(f"{reference} loses {', '.join(lost)}")

    def _look_again(self, tags: Sequence[TagState]) -> Sequence[TagState]:
        for tag in tags:
            registry = self.registries[tag.reference.registry]
            if registry.manifest(tag.reference.repository, tag.reference.tag) != tag.manifest:
                raise MovedMeanwhileError(tag.reference)
        return tags

    def _sources(self, plan: Plan) -> list[ImageReference]:
        return [tag.reference.with_tag("").with_digest(tag.digest) for tag in plan.tags]

    def _stop(self) -> None:
        stop_all(self.registries.values())
