"""Publication of the matrix: one image index over the platforms' images, under the published tags.

The document: "Pushing manifest": create, annotate, push, here through the registry's API. What the index says of each
platform is read from the image's own config. An image with attestations is an index itself; the published index lists
the image and its attestations. The gates are passed before any tag moves.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from multiarch.concurrency import each, together
from multiarch.config.checkout import REVISION
from multiarch.image.platform import Leg
from multiarch.interrupts import nothing
from multiarch.publish import gates
from multiarch.publish.added import check_added, read_added
from multiarch.publish.bases import annotations_of, annotations_of_all, check_bases, read_base
from multiarch.publish.existing_tags import ExistingTags
from multiarch.publish.index import compose, index_of_one, lists_image
from multiarch.publish.previous import note_moves, noting_previous
from multiarch.publish.staged import StagedImage, StagedPlatform, read_staged
from multiarch.publish.tags import Plan, move_tags
from multiarch.registry.client import stop_all

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from multiarch.config.settings import Settings
    from multiarch.image.manifest import Manifest
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.image.suitability import Findings
    from multiarch.publish.bases import BaseImage, StagedBase
    from multiarch.publish.existing_tags import IsAncestor
    from multiarch.publish.tags import PublishedTag, Sign, TagState
    from multiarch.registry.client import Registry

# Requests for each platform at the same time: for its config and for its upper layers.
_REQUESTS = 3
# Connections to one registry that are begun before they are needed.
_MOST_AHEAD = 64


class Part(Struct, frozen=True):
    """One image of what is published together.

    :ivar digests: what was just pushed for each platform; None for what is under the staging tags.
    :ivar name: of its target.
    :ivar bases: what each platform should be built on.
    :ivar is_seen: whether this run has seen that the builds used their bases.
    :ivar published: the index of images that are published already, which gets the tags as it is.
    """

    settings: Settings
    digests: Mapping[Platform, str] | None = None
    name: str = ""
    bases: Mapping[Platform, tuple[StagedBase, ...]] = field(default_factory=dict)
    is_seen: bool = False
    published: Manifest | None = None


class Published(Struct, frozen=True):
    """The tags that were moved, and the images of their index, in the order of the matrix.

    :ivar findings: what the gates found of each image's programs.
    """

    tags: tuple[PublishedTag, ...]
    images: tuple[StagedImage, ...]
    findings: Mapping[Platform, Findings]


def publish(
    parts: Sequence[Part],
    registries: Mapping[str, Registry],
    *,
    say: Callable[[str], None],
    try_images: Callable[[Sequence[Sequence[StagedImage]]], object] | None = None,
    sign: Sign | None = None,
    on_moved: Callable[[], object] = nothing,
    is_ancestor: IsAncestor | None = None,
    tagged: Callable[[], Collection[Leg]] = tuple,
) -> tuple[Published, ...]:
    """Publish each part under every tag of every repository of its own.

    The images are read from the first repository of each. No tag but the staging tags is written before every gate of
    every part is passed; then the tags move, all of them or none, but for those of a newer commit.

    :param registries: by host, a client for each repository's registry. :param say: takes the notes of the gates.
    :param try_images: runs the images of each part, in the order of its matrix; the last gate, or None.
    :param on_moved: called when all tags have moved, before signals are handled. :param sign: signs before they move.
    :param is_ancestor: knows the newer of two commits, or None. :param tagged: returns whose staging tags were written.
    :raises GateError: the images may not be published.
    :raises TagsNotMovedError: a registry refuses, or a tag reads back as something else; the tags are as before.
    """
    tags = ExistingTags(registries, say, is_ancestor)
    read = _read_all(parts, registries, tags, tagged)
    bases = _read_bases(parts, registries, tagged)
    indexes: dict[str, PublishedTag | None] = {}
    plans, published = list[Plan](), list[Published]()
    for part, (staged, existing_tags, added) in zip(parts, read, strict=True):
        findings = check(part, staged, existing_tags, added)
        _say_findings(part.settings, findings, say)
        images = tuple(image for place in staged for image in place.images)
        below = _check_bases(part, images, bases, registries)
        plans.append(plan := _plan(part, images, added, existing_tags, tags, below, indexes))
        indexes[part.name] = next(iter(plan.tags), None)
        published.append(Published(plan.tags, images, findings))
    if try_images:
        try_images([one.images for one in published])
    note_moves(move_tags(plans, registries, on_moved, sign))
    return _without(tags.newer, published)


def _without(newer: Collection[ImageReference], published: Sequence[Published]) -> tuple[Published, ...]:
    """Return what was published without the tags that stay."""
    return tuple(replace(one, tags=tuple(tag for tag in one.tags if tag.reference not in newer)) for one in published)


def _plan(
    part: Part,
    images: Sequence[StagedImage],
    added: Sequence[StagedImage],
    existing_tags: Sequence[TagState],
    tags: ExistingTags,
    below: Mapping[Platform, BaseImage | None],
    indexes: Mapping[str, PublishedTag | None],
) -> Plan:
    """Return the plan of a part.

    :param added: images of the index that were built elsewhere.
    :param below: what each platform begins with.
    :param indexes: of the targets before, the first tag of each.
    """
    settings = part.settings
    about = {platform: annotations_of(base, indexes) for platform, base in below.items() if base}
    about_all = annotations_of_all([*below.values(), *(None for _ in added)], indexes)
    platforms = [*settings.platforms, *(image.platform for image in added)]
    look_again = partial(tags.look_again, settings, platforms)
    compose_with = partial(compose, images=[*images, *added], bases=about, base=about_all)
    index = part.published or noting_previous(settings, existing_tags, compose_with)
    return Plan(index, [*images, *added], existing_tags, look_again)


def _read_bases(
    parts: Sequence[Part], registries: Mapping[str, Registry], tagged: Callable[[], Collection[Leg]]
) -> dict[StagedBase, BaseImage]:
    """Return what is built on, each read once; one that only others are for gets its staging tag, as they do."""
    on_failure = partial(stop_all, registries.values())
    published, written = {part.name for part in parts}, tagged()

    def read(base: StagedBase) -> BaseImage:
        registry = registries[base.reference.registry]
        found = read_base(base, registry)
        is_tagged = base.leg in written or base.leg.target in published
        if base.reference.tag and base.reference.digest and not is_tagged:
            write_staging_tag(registry, found.image)
        return found

    wanted = dict.fromkeys(base for part in parts for bases in part.bases.values() for base in bases)
    unlike = {(base.leg, base.reference): base for base in wanted}
    found = dict(zip(unlike, each(read, unlike.values(), on_failure=on_failure), strict=True))
    return {base: replace(found[base.leg, base.reference], base=base) for base in wanted}


def _check_bases(
    part: Part,
    images: Sequence[StagedImage],
    bases: Mapping[StagedBase, BaseImage],
    registries: Mapping[str, Registry],
) -> dict[Platform, BaseImage | None]:
    """Return what each platform's layers begin with. :raises BaseMismatchError: it is built on something else."""

    def check(image: StagedImage) -> BaseImage | None:
        own = [bases[base] for base in part.bases.get(image.platform, ())]
        return check_bases(Leg(image.platform, part.name), image, own, registries, is_seen=part.is_seen)

    on_failure = partial(stop_all, registries.values())
    return dict(zip([image.platform for image in images], each(check, images, on_failure=on_failure), strict=True))


def _say_findings(settings: Settings, findings: Mapping[Platform, Findings], say: Callable[[str], None]) -> None:
    legs = {entry.platform: entry.leg for entry in settings.matrix}
    for platform, found in findings.items():
        for note in found.notes:
            say(f"{legs[platform]}: not checked: {note}")
        for path in found.foreign:
            say(f"{legs[platform]}: {path} is for another platform on purpose")


def check(
    part: Part,
    staged: Sequence[StagedPlatform],
    existing_tags: Sequence[TagState],
    added: Sequence[StagedImage] = (),
) -> dict[Platform, Findings]:
    """Check the images of the matrix at all gates but the last; return what was found of their programs.

    :param existing_tags: the tags to publish, before they move.
    :param added: images of the index that were built elsewhere.
    :raises GateError: they may not be published.
    """
    settings = part.settings
    # What is published already is of the commit that it was built from.
    revision = "" if part.published else settings.build.labels.get(REVISION, "")
    gates.check_set(staged)
    check_added(added, settings.platforms)
    kept = [*settings.platforms, *(image.platform for image in added)]
    gates.check_nothing_dropped(kept, existing_tags, allowed=settings.publish.allow_dropping)
    images = [image for place in staged for image in place.images]
    for image in images:
        gates.check_config(image.platform, image.reference, image.config)
        gates.check_revision(image.reference, image.config, revision)
    foreign = {entry.platform: entry.foreign for entry in settings.matrix}
    return {
        image.platform: gates.check_programs(image.platform, image.reference, image.programs, foreign[image.platform])
        for image in images
    }


def _read_all(
    parts: Sequence[Part], registries: Mapping[str, Registry], tags: ExistingTags, tagged: Callable[[], Collection[Leg]]
) -> list[tuple[list[StagedPlatform], list[TagState], list[StagedImage]]]:
    """Return what `_read` does of each part; all are read at the same time."""
    with _connections_ahead(parts, registries):
        on_failure = partial(stop_all, registries.values())
        return each(lambda part: _read(part, registries, tags, tagged), parts, on_failure=on_failure)


def _read(
    part: Part, registries: Mapping[str, Registry], tags: ExistingTags, tagged: Callable[[], Collection[Leg]]
) -> tuple[list[StagedPlatform], list[TagState], list[StagedImage]]:
    """Return what is staged, in the order of the matrix, the tags to publish as they are before, and what is added."""
    settings, digests = part.settings, part.digests
    registry = registries[settings.publish.images[0].registry]
    on_failure = partial(stop_all, registries.values())
    groups = _staging(settings, digests)
    jobs: list[Callable[[], Any]] = [partial(read_staged, group, registry) for group in groups]
    jobs += [partial(tags.read, reference, settings) for reference in settings.publish.references]
    jobs.append(partial(read_added, settings.publish.add, registries))
    *results, added = together(jobs, on_failure=on_failure)
    staged = {place.platform: place for group in results[: len(groups)] for place in group}
    if digests and settings.publish.digests is None and part.published is None:
        # What is built together is pushed by digest alone: `manifest` run by itself finds it under its tag.
        written = tagged()
        left = [place for place in staged.values() if Leg(place.platform, part.name) not in written]
        images = [place.images[0] for place in left if len(place.images) == 1]
        each(partial(write_staging_tag, registry), images, on_failure=on_failure)
    return [staged[platform] for platform in settings.platforms], tags.due(settings, results[len(groups) :]), added


@contextmanager
def _connections_ahead(parts: Sequence[Part], registries: Mapping[str, Registry]) -> Iterator[None]:
    """Begin connections for what is read at the same time of all parts."""
    expected = Counter(reference.registry for part in parts for reference in part.settings.publish.references)
    for part in parts:
        expected[part.settings.publish.images[0].registry] += _REQUESTS * len(part.settings.platforms)
    with ExitStack() as stack:
        for host, requests in expected.items():
            stack.enter_context(registries[host].expecting(min(requests, _MOST_AHEAD)))
        yield


def _staging(settings: Settings, digests: Mapping[Platform, str] | None) -> list[list[StagedPlatform]]:
    """Return the platforms with the places of their images; those that have one place together."""
    groups: dict[str, list[StagedPlatform]] = {}
    for platform, tag in settings.staging.items():
        reference = tag.with_digest(digests[platform]) if digests else tag
        groups.setdefault(reference.digest or reference.tag, []).append(StagedPlatform(platform, reference))
    return list(groups.values())


def write_staging_tag(registry: Registry, image: StagedImage) -> None:
    """Write the staging tag of an image, unless it points there already: some registries let a tag be set once."""
    repository, tag, manifest = image.reference.repository, image.reference.tag, index_of_one(image)
    existing = registry.manifest(repository, tag)
    # One with a record of what it was built from is left as it is.
    if existing != manifest and not lists_image(existing, image):
        registry.put_manifest(repository, tag, manifest)
