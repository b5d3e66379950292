"""Step 5, ``manifest``: one image index over the platforms' images, under the published tags.

The document: "Pushing manifest": create, annotate, push, here through the registry's API (OCI image-spec,
image-index.md). What each entry says of its platform is read from the image's own config; images with attestations,
which are indexes themselves, are flattened and their attestations carried over. Before any tag moves stand the gates.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from multiarch.config.checkout import REVISION
from multiarch.publish import gates, smoke
from multiarch.publish import tags as publication
from multiarch.publish.index import compose, index_of_one
from multiarch.publish.staged import StagedImage, read_platforms, read_staged
from multiarch.registry.client import stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multiarch.config.settings import Settings
    from multiarch.image.manifest import Manifest
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.publish.tags import PublishedTag
    from multiarch.registry.client import Registry


# Requests for each platform at the same time: its config and its layers.
_AT_ONCE = 3


@dataclass(frozen=True)
class Published:
    """The tags, and the images that are in their index, in the order of the matrix."""

    tags: tuple[PublishedTag, ...]
    images: tuple[StagedImage, ...]


def manifest(
    settings: Settings,
    registries: Mapping[str, Registry],
    digests: Mapping[Platform, str] | None = None,
    *,
    say: Callable[[str], None],
    try_images: Callable[[Sequence[StagedImage]], object] | None = None,
) -> Published:
    """Publish the matrix under every tag of every image; return what is published.

    The images are read from the first repository. No tag but the staging tags is written before every gate is passed;
    then the tags move, all of them or none.

    :param registries: a client for the registry of each image.
    :param digests: what was just pushed for each platform; by default what is under the staging tags.
    :param say: takes one line for each thing worth knowing.
    :param try_images: runs the images, in the order of the matrix; the last gate.
    :raises GateError: the images are not what may be published.
    :raises TagsNotMovedError: a registry refuses, or a tag reads back as something else; the tags are as before.
    """
    source = settings.publish.images[0]
    tags = [image.with_tag(tag) for image in settings.publish.images for tag in settings.publish.tags]
    registry = registries[source.registry]
    places = _places(settings, digests)
    together: dict[str, dict[Platform, ImageReference]] = {}
    for platform, place in places.items():
        together.setdefault(place.digest or place.tag, {})[platform] = place
    at_once = _AT_ONCE * len(places) + len(settings.publish.tags)
    with (
        registry.expecting(at_once),
        ThreadPoolExecutor(max_workers=len(places) + len(tags)) as pool,
        stopping(registries.values()),
    ):
        reading = [pool.submit(read_staged, alike, registry) for alike in together.values()]
        looking = pool.submit(_today, settings, tags, registries)
        read = {p: images for future in reading for p, images in future.result().items()}
        found = {place: read[place[0]] for place in places.items()}
        if digests:
            # What was built together was pushed by digest alone: `manifest` run by itself finds it under its tag.
            staged = [(place.tag, index_of_one(*images)) for (_, place), images in found.items() if len(images) == 1]
            list(pool.map(lambda s: registry.put_manifest(source.repository, *s), staged))
        today = looking.result()
    for note in check(settings, found, today):
        say(note)
    images = [image for (image,) in found.values()]
    if try_images and any(target.smoke for target in settings.matrix):
        try_images(images)
        # That may have taken minutes, in which somebody else may have moved a tag.
        today = _today(settings, tags, registries)
        check(settings, found, today)
    index = compose(settings, images)
    moves = [publication.Move(tag, before) for tag, (before, _) in today.items()]
    return Published(publication.publish(index, images, source, moves, registries), tuple(images))


def check(
    settings: Settings,
    found: Mapping[tuple[Platform, ImageReference], Sequence[StagedImage]],
    today: Mapping[ImageReference, tuple[Manifest | None, Sequence[Platform]]],
) -> list[str]:
    """Let what was found for each platform pass the gates, in order; return their notes.

    :param found: the images under the reference where each platform's should be.
    :param today: what is under the tags before they move, and for which platforms that is.
    :raises GateError: it may not be published.
    """
    images = [image for of_platform in found.values() for image in of_platform]
    gates.check_set([(p, r, [image.claim for image in claimed]) for (p, r), claimed in found.items()])
    held = [(tag, platforms) for tag, (_, platforms) in today.items()]
    gates.check_nothing_dropped(settings.platforms, held, allowed=settings.publish.allow_dropping)
    for image in images:
        gates.check_config(image.platform, image.reference, image.config)
        gates.check_revision(image.reference, image.config, settings.build.labels.get(REVISION, ""))
    notes = [gates.check_programs(image.platform, image.reference, image.programs) for image in images]
    return [note for note in notes if note]


def commands(settings: Settings) -> list[list[str]]:
    """Return the document's commands for this step.

    ``docker manifest create`` refuses images with attestations; buildx takes them, and copies across registries.
    """
    source = settings.publish.images[0]
    staged = list(settings.staging.values())
    names = [str(image.with_tag(tag)) for image in settings.publish.images for tag in settings.publish.tags]
    lines = smoke.commands(settings)
    if settings.build.attestations or settings.publish.annotations or len(settings.publish.images) > 1:
        words = [word for name in names for word in ("--tag", name)]
        for key, value in sorted(settings.publish.annotations.items()):
            words += ["--annotation", f"index:{key}={value}"]
        return [*lines, ["docker", "buildx", "imagetools", "create", *words, *map(str, staged)]]
    insecure = settings.publish.insecure_flag(source)
    for name in names:
        lines.append(["docker", "manifest", "create", *insecure, name, *map(str, staged)])
        for platform, reference in zip(settings.platforms, staged, strict=True):
            words = ["--os", platform.os, "--arch", platform.architecture]
            words += ["--variant", platform.variant] if platform.variant else []
            lines.append(["docker", "manifest", "annotate", *words, name, str(reference)])
        lines.append(["docker", "manifest", "push", "--purge", *insecure, name])
    return lines


def _places(settings: Settings, digests: Mapping[Platform, str] | None) -> dict[Platform, ImageReference]:
    """Return where each platform's image is: under its staging tag, or its digest if that is known."""
    return {p: place.with_digest(digests[p]) if digests else place for p, place in settings.staging.items()}


def _today(
    settings: Settings, tags: Sequence[ImageReference], registries: Mapping[str, Registry]
) -> dict[ImageReference, tuple[Manifest | None, tuple[Platform, ...]]]:
    """Return what is under the tags, and for which platforms that is; which is not asked where any may be dropped."""

    def look(tag: ImageReference) -> tuple[Manifest | None, tuple[Platform, ...]]:
        registry = registries[tag.registry]
        found = registry.manifest(tag.repository, tag.tag)
        wanted = found is not None and not settings.publish.allow_dropping
        return found, read_platforms(found, tag.repository, registry) if found and wanted else ()

    with ThreadPoolExecutor(max_workers=len(tags)) as pool, stopping(registries.values()):
        return dict(zip(tags, pool.map(look, tags), strict=True))
