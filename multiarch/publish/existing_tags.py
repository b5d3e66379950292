"""Published tags as they are before they move, and which of them may move: of two commits the newer one wins."""

from __future__ import annotations

import re
import threading
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct, field

from multiarch.concurrency import each
from multiarch.config.checkout import REVISION
from multiarch.errors import MultiarchError
from multiarch.publish import gates
from multiarch.publish.staged import read_config, read_platforms
from multiarch.publish.tags import TagState
from multiarch.registry.client import stop_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from multiarch.config.settings import Settings
    from multiarch.image.manifest import Manifest
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.registry.client import Registry

    # Whether the first commit is an ancestor of the second; None where that is not known.
    IsAncestor = Callable[[str, str], bool | None]

# Hashes of git, SHA-1 or SHA-256; whatever else an annotation holds is no commit.
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DIGITS = 12  # of a commit, in a line
# Commits of one index that git is asked about, each for up to a minute; a release has one, and repairs add some.
_MOST_COMMITS = 20


class ExistingTags(Struct, frozen=True):
    """Reads the tags that a release is to move, before it and again right before they move.

    :ivar registries: a client for the registry of each tag, by host.
    :ivar is_ancestor: see its type; None where it does not matter which commit is the newer.
    :ivar newer: the tags that stay, because they are of a newer commit.
    """

    registries: Mapping[str, Registry]
    say: Callable[[str], None]
    is_ancestor: IsAncestor | None = None
    newer: set[ImageReference] = field(default_factory=set)
    _told: set[str] = field(default_factory=set)
    # What is asked once, so that right before a tag moves nobody is asked but its registry.
    _commits: dict[tuple[ImageReference, str], list[str]] = field(default_factory=dict)
    _answers: dict[tuple[str, str], bool | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, reference: ImageReference, settings: Settings) -> TagState:
        """Return a tag as it is."""
        manifest = self.registries[reference.registry].manifest(reference.repository, reference.tag)
        return self._state(reference, manifest, settings)

    def due(self, settings: Settings, tags: Sequence[TagState]) -> list[TagState]:
        """Return the tags without those that are of a newer commit than this release, each of which is told."""
        ours = settings.build.labels.get(REVISION, "")
        if self.is_ancestor is None or not settings.publish.newer_wins or not _COMMIT.fullmatch(ours):
            return [*tags]
        return [tag for tag in tags if not self._is_newer(tag, ours, self.is_ancestor)]

    def look_again(self, settings: Settings, kept: Sequence[Platform], tags: Sequence[TagState]) -> Sequence[TagState]:
        """Return the tags that are due as they are now.

        :param kept: the platforms of the new index.
        :raises DroppedPlatformError: one that was moved since would lose platforms.
        """

        def look(tag: TagState) -> TagState:
            reference = tag.reference
            manifest = self.registries[reference.registry].manifest(reference.repository, reference.tag)
            return tag if manifest == tag.manifest else self._state(reference, manifest, settings)

        now = self.due(settings, each(look, tags, on_failure=partial(stop_all, self.registries.values())))
        gates.check_nothing_dropped(kept, now, allowed=settings.publish.allow_dropping)
        return now

    def _state(self, reference: ImageReference, manifest: Manifest | None, settings: Settings) -> TagState:
        """Return a tag that points to *manifest*; its platforms are not asked for where any may be dropped."""
        if manifest is None or settings.publish.allow_dropping:
            return TagState(reference, manifest)
        registry = self.registries[reference.registry]
        return TagState(reference, manifest, read_platforms(manifest, reference.repository, registry))

    def _is_newer(self, tag: TagState, ours: str, is_ancestor: IsAncestor) -> bool:
        """Whether a tag is of a newer commit than *ours*; not where that is not known. The user is told of both."""
        commits = self._commits_of(tag)
        unknown = [*commits[_MOST_COMMITS:]]
        for theirs in commits[:_MOST_COMMITS]:
            answer = theirs != ours and self._ask(ours, theirs, is_ancestor)
            if answer:
                line = (
                    f"{tag.reference} stays as it is: it is of {theirs[:_DIGITS]}, which is newer than {ours[:_DIGITS]}"
                )
                self.newer.add(tag.reference)
                self._tell(f"{line}; newer_wins: false moves it all the same")
                return True
            if answer is None:
                unknown.append(theirs)
        for theirs in unknown[:_MOST_COMMITS]:
            question = f"whether that is newer than {ours[:_DIGITS]} is not known here (is the clone whole?)"
            self._tell(f"{tag.reference} is of {theirs[:_DIGITS]}; {question}: it moves")
        return False

    def _ask(self, ours: str, theirs: str, is_ancestor: IsAncestor) -> bool | None:
        with self._lock:
            if (ours, theirs) not in self._answers:
                self._answers[ours, theirs] = is_ancestor(ours, theirs)
            return self._answers[ours, theirs]

    def _commits_of(self, tag: TagState) -> list[str]:
        """Return the commits that a published index names, for all of it or for one of its images, each once."""
        if tag.manifest is None:
            return []
        place = tag.reference.with_tag(""), tag.manifest.digest
        if place not in self._commits:
            self._commits[place] = [*dict.fromkeys(self._revisions(tag.reference, tag.manifest))]
        return self._commits[place]

    def _revisions(self, reference: ImageReference, index: Manifest) -> Iterator[str]:
        named = [index.annotations.get(REVISION), *(entry.annotations.get(REVISION) for entry in index.entries)]
        if not any(named):
            named = [self._label(reference, index)]
        yield from (name for name in named if name and _COMMIT.fullmatch(name))

    def _label(self, reference: ImageReference, manifest: Manifest) -> str:
        """Return the commit in the label of the first image; empty where there is none, or it cannot be read."""
        registry = self.registries[reference.registry]
        images = [entry for entry in manifest.entries if not entry.is_attestation and not entry.is_index]
        try:
            image = registry.manifest(reference.repository, images[0].digest) if images else manifest
            config = read_config(reference, image.config, registry) if image and image.config else {}
        except MultiarchError as error:
            self._tell(f"{reference}: of which commit it is cannot be read ({error}): it moves")
            return ""
        return str(((config.get("config") or {}).get("Labels") or {}).get(REVISION) or "")

    def _tell(self, line: str) -> None:
        """Show a line once, though the tags are looked at twice."""
        if line not in self._told:
            self._told.add(line)
            self.say(line)
