"""Publication of the matrix: one image index over the platforms' images, under the published tags.

The document: "Pushing manifest": create, annotate, push, here through the registry's API. What the index says of each
platform is read from the image's own config. An image with attestations is an index itself; the published index lists
the image and its attestations. The gates are passed before any tag moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from multiarch.concurrency import each, together
from multiarch.config.checkout import REVISION
from multiarch.interrupts import nothing
from multiarch.publish import gates
from multiarch.publish.index import compose, index_of_one
from multiarch.publish.staged import StagedImage, StagedPlatform, read_platforms, read_staged
from multiarch.publish.tags import TagState, move_tags
from multiarch.registry.client import stop_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multiarch.config.settings import Settings
    from multiarch.image.manifest import Manifest
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.publish.tags import PublishedTag
    from multiarch.registry.client import Registry

# Requests for each platform at the same time: for its config and for its upper layers.
_REQUESTS = 3


@dataclass(frozen=True)
class Published:
    """The tags that were moved, and the images of their index, in the order of the matrix."""

    tags: tuple[PublishedTag, ...]
    images: tuple[StagedImage, ...]


def publish_matrix(
    settings: Settings,
    registries: Mapping[str, Registry],
    digests: Mapping[Platform, str] | None = None,
    *,
    say: Callable[[str], None],
    try_images: Callable[[Sequence[StagedImage]], object] | None = None,
    on_moved: Callable[[], object] = nothing,
) -> Published:
    """Publish the matrix under every tag of every repository.

    The images are read from the first repository. No tag but the staging tags is written before every gate is passed;
    then the tags move, all of them or none.

    :param registries: a client for the registry of each repository, by host.
    :param digests: what was just pushed for each platform; None for what is under the staging tags.
    :param say: takes the notes of the gates.
    :param try_images: runs the images, in the order of the matrix; the last gate.
    :param on_moved: called when all tags have moved, before signals that came meanwhile are handled.
    :raises GateError: the images may not be published.
    :raises TagsNotMovedError: a registry refuses, or a tag reads back as something else; the tags are as before.
    """
    staged, existing_tags = _read(settings, registries, digests)
    for note in check(settings, staged, existing_tags):
        say(note)
    images = [image for place in staged for image in place.images]
    if try_images and settings.tries_images:
        try_images(images)
    index, source = compose(settings, images), settings.publish.images[0]
    look_again = partial(_look_again, settings, registries)
    tags = move_tags(index, images, source, existing_tags, registries, look_again, on_moved)
    return Published(tags, tuple(images))


def check(settings: Settings, staged: Sequence[StagedPlatform], existing_tags: Sequence[TagState]) -> list[str]:
    """Check the images of the matrix at all gates but the last; return the gates' notes.

    :param existing_tags: the tags to publish, before they move.
    :raises GateError: they may not be published.
    """
    gates.check_set(staged)
    gates.check_nothing_dropped(settings.platforms, existing_tags, allowed=settings.publish.allow_dropping)
    images = [image for place in staged for image in place.images]
    for image in images:
        gates.check_config(image.platform, image.reference, image.config)
        gates.check_revision(image.reference, image.config, settings.build.labels.get(REVISION, ""))
    notes = [gates.check_programs(image.platform, image.reference, image.programs) for image in images]
    return [note for note in notes if note]


def _look_again(settings: Settings, registries: Mapping[str, Registry], tags: Sequence[TagState]) -> list[TagState]:
    """Return the tags as they are now. :raises DroppedPlatformError: one that was moved since would lose platforms."""

    def look(tag: TagState) -> TagState:
        manifest = registries[tag.reference.registry].manifest(tag.reference.repository, tag.reference.tag)
        return tag if manifest == tag.manifest else _tag_state(tag.reference, manifest, settings, registries)

    existing_tags = each(look, tags, on_failure=partial(stop_all, registries.values()))
    gates.check_nothing_dropped(settings.platforms, existing_tags, allowed=settings.publish.allow_dropping)
    return existing_tags


def _read(
    settings: Settings, registries: Mapping[str, Registry], digests: Mapping[Platform, str] | None
) -> tuple[list[StagedPlatform], list[TagState]]:
    """Return what is staged, in the order of the matrix, and the tags to publish as they are before."""
    registry = registries[settings.publish.images[0].registry]
    on_failure = partial(stop_all, registries.values())
    groups = _staging(settings, digests)
    jobs: list[Callable[[], Any]] = [partial(read_staged, group, registry) for group in groups]
    jobs += [partial(_read_tag, reference, settings, registries) for reference in settings.publish.references]
    with registry.expecting(_REQUESTS * len(settings.platforms) + len(settings.publish.tags)):
        results = together(jobs, on_failure=on_failure)
        staged = {place.platform: place for group in results[: len(groups)] for place in group}
        if digests:
            # What is built together is pushed by digest alone: `manifest` run by itself finds it under its tag.
            images = [place.images[0] for place in staged.values() if len(place.images) == 1]
            each(partial(_write_staging_tag, registry), images, on_failure=on_failure)
    return [staged[platform] for platform in settings.platforms], results[len(groups) :]


def _staging(settings: Settings, digests: Mapping[Platform, str] | None) -> list[list[StagedPlatform]]:
    """Return the platforms with the places of their images; those that have one place together."""
    groups: dict[str, list[StagedPlatform]] = {}
    for platform, tag in settings.staging.items():
        reference = tag.with_digest(digests[platform]) if digests else tag
        groups.setdefault(reference.digest or reference.tag, []).append(StagedPlatform(platform, reference))
    return list(groups.values())


def _write_staging_tag(registry: Registry, image: StagedImage) -> None:
    registry.put_manifest(image.reference.repository, image.reference.tag, index_of_one(image))


def _read_tag(reference: ImageReference, settings: Settings, registries: Mapping[str, Registry]) -> TagState:
    """Return a tag to publish as it is."""
    manifest = registries[reference.registry].manifest(reference.repository, reference.tag)
    return _tag_state(reference, manifest, settings, registries)


def _tag_state(
    reference: ImageReference, manifest: Manifest | None, settings: Settings, registries: Mapping[str, Registry]
) -> TagState:
    """Return a tag that points to *manifest*; its platforms are not asked for where any may be dropped."""
    if manifest is None or settings.publish.allow_dropping:
        return TagState(reference, manifest)
    return TagState(reference, manifest, read_platforms(manifest, reference.repository, registries[reference.registry]))
