"""Step 5, ``manifest``: one index over the platforms' images, under the published tags ("Pushing manifest")."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from multiarch.buildkit.buildctl import find_buildctl
from multiarch.buildkit.builder import Builder
from multiarch.config.checkout import Checkout
from multiarch.config.load import working_directory
from multiarch.config.settings import OutputKind
from multiarch.image.platform import Leg
from multiarch.publish import commands as dry

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from multiarch.config.project import Project, Target
    from multiarch.config.settings import Settings
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.publish.bases import StagedBase
    from multiarch.publish.changes import Verdict
    from multiarch.publish.publication import Part, Published
    from multiarch.publish.staged import StagedImage
    from multiarch.publish.tags import PublishedTag
    from multiarch.run import Run


def run(run: Run) -> tuple[PublishedTag, ...]:
    """Publish the images under the staging tags; nothing where nothing is pushed, as for a pull request.

    :raises GateError: they may not be published.
    :raises TagsNotMovedError: a tag could not be moved.
    """
    if published_targets(run.project) and any(entry.smoke and entry.builders for entry in run.project.matrix):
        run.ask_builders(find_buildctl(run.settings))
    targets = published_targets(run.project)
    if not targets:
        run.progress.say(f"nothing is published{run.settings.publish.push.reason}")
        return ()
    for target in targets:
        target.settings.publish.push.check()
    return tuple(tag for published in publish(run, targets) for tag in published.tags)


def commands(project: Project) -> list[list[str]]:
    """Return the document's commands for this step."""
    return [command for target in published_targets(project) for command in dry.commands(target.settings)]


def published_targets(project: Project) -> tuple[Target, ...]:
    """Return the targets whose tags move."""
    return tuple(target for target in project.asked_for if target.settings.publish.tags and _is_pushed(target.settings))


def _is_pushed(settings: Settings) -> bool:
    output, push = settings.build.output, settings.publish.push
    return output.kind not in (OutputKind.NONE, OutputKind.DOCKER) and (push.wanted or not push.withheld)


def publish(
    run: Run,
    targets: Sequence[Target],
    digests: Mapping[str, Mapping[Platform, str]] | None = None,
    verdicts: Mapping[str, Verdict] | None = None,
) -> tuple[Published, ...]:
    """Publish targets, all of their tags or none.

    :param digests: what was just pushed, by target and platform; None for what is under the staging tags, or was handed
        over.
    :param verdicts: by target, whether it is published already, and else what it was built from, to be recorded.
    """
    from multiarch.publish import publication

    parts, pushed = [], _with_published(run.project, digests, verdicts or {})
    for target in targets:
        target.settings.publish.check()
        target.settings.platforms  # noqa: B018 (an empty matrix is an error)
        parts.append(_part(run.project, target, pushed, (verdicts or {}).get(target.name)))
    run.start_embedded_registry()
    with run.progress.detached(), run.signing(_references(targets)) as sign:
        published = publication.publish(
            parts,
            run.registries,
            say=run.progress.say,
            try_images=partial(try_images, run, targets),
            sign=sign,
            on_moved=run.on_moved,
            is_ancestor=Checkout(os.environ, working_directory()).is_ancestor,
            tagged=partial(_tagged, run),
        )
        _remove_staging_tags(run, targets, published)
    _note(run, targets, published)
    return published


def _tagged(run: Run) -> Collection[Leg]:
    """Return whose staging tags this run has written, when no more are being written."""
    run.aside.wait()
    return run.tagged


def _note(run: Run, targets: Sequence[Target], published: Sequence[Published]) -> None:
    """Note in the run what was published, and what the gates found."""
    for target, one in zip(targets, published, strict=True):
        found = {entry.leg: one.findings.get(entry.platform) for entry in target.settings.matrix}
        run.findings |= {leg: findings for leg, findings in found.items() if findings}
        sizes = [(image.manifest.digest, image.manifest.size) for image in one.images]
        run.images |= dict(zip(found, sizes, strict=True))


def _remove_staging_tags(run: Run, targets: Sequence[Target], published: Sequence[Published]) -> None:
    """Remove the staging tags of what was published, as far as the settings say so."""
    if not all(target.settings.publish.keep_staging for target in targets):
        from multiarch.publish.own_staging import remove_own_tags

        remove_own_tags([target.settings for target in targets], published, run.registries, run.progress.say)


def _with_published(
    project: Project, digests: Mapping[str, Mapping[Platform, str]] | None, verdicts: Mapping[str, Verdict]
) -> Mapping[str, Mapping[Platform, str]] | None:
    """Return what was pushed: what is built on an unchanged target is built on what is published of it."""
    if digests is None:
        return None
    known = {target: found.index for target, found in verdicts.items() if found.index}
    platforms = {target.name: target.settings.platforms for target in project}
    return {**{name: dict.fromkeys(platforms[name], index.digest) for name, index in known.items()}, **digests}


def _references(targets: Sequence[Target]) -> list[ImageReference]:
    return [reference for target in targets for reference in target.settings.publish.references]


def _part(
    project: Project, target: Target, pushed: Mapping[str, Mapping[Platform, str]] | None, verdict: Verdict | None
) -> Part:
    """Return a target as it is published: what is published already as it is, else with what it should be built on."""
    from multiarch.publish.publication import Part

    settings, name = target.settings, target.name
    if verdict and verdict.index:
        digests = dict.fromkeys(settings.platforms, verdict.index.digest)
        return Part(settings, digests, name, published=verdict.index)
    own = _digests(settings, (pushed or {}).get(name))
    bases = _bases(project, target, pushed or {})
    if verdict and verdict.inputs:
        from multiarch.publish.inputs import ANNOTATION, write_record

        annotations = {**settings.publish.annotations, ANNOTATION: write_record(verdict.inputs)}
        settings = replace(settings, publish=replace(settings.publish, annotations=annotations))
    return Part(settings, own, name, bases, is_seen=pushed is not None)


def _bases(
    project: Project, target: Target, pushed: Mapping[str, Mapping[Platform, str]]
) -> dict[Platform, tuple[StagedBase, ...]]:
    """Return what each platform of a target should be built on: just pushed, handed over, or under staging tags."""
    from multiarch.publish.bases import StagedBase

    found: dict[Platform, list[StagedBase]] = {platform: [] for platform in target.settings.platforms}
    for context, name in target.bases.items():
        base = project.target(name)
        digests = _digests(base.settings, pushed.get(name)) or {}
        for platform in found:
            own = target.base_platform(base, platform)
            reference = base.settings.staging[own]
            if base.settings.publish.digests is not None:
                reference = reference.with_tag("")
            leg = Leg(own, name)
            found[platform].append(StagedBase(context, leg, reference.with_digest(digests.get(own, ""))))
    return {platform: tuple(bases) for platform, bases in found.items()}


def _digests(settings: Settings, pushed: Mapping[Platform, str] | None) -> Mapping[Platform, str] | None:
    """Return the digests to publish, which another job may have handed over; None for those under the staging tags."""
    directory, image = settings.publish.digests, settings.publish.images[0]
    if directory is None:
        return pushed
    from multiarch.publish.digests import read_digests, write_digests

    if pushed is None:
        return read_digests(directory, image, settings.platforms)
    write_digests(directory, image, pushed)
    return pushed


def try_images(run: Run, targets: Sequence[Target], images: Sequence[Sequence[StagedImage]]) -> None:
    """Run the images that have a smoke command, all at once; the first failure ends the others."""
    jobs = []
    for target, of_target in zip(targets, images, strict=True):
        settings = target.settings
        for entry, image in zip(settings.matrix, of_target, strict=True):
            given = settings.publish.smoke
            if entry.smoke and entry.is_local:
                from multiarch.publish import smoke

                jobs.append(partial(smoke.check_runs, entry, image, given, run.host))
            elif entry.smoke:
                from multiarch.publish import builder_smoke

                client = run.client(find_buildctl(settings))
                check = partial(builder_smoke.check_runs, entry, image, given, client)
                jobs.append(partial(run.build_on, [entry], Builder(""), check))
    if jobs:
        run.together(jobs)
