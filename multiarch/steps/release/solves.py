"""The solves of a release: each target in as few as it needs, as many at a time as there is room for."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from multiarch.buildkit import schedule
from multiarch.buildkit.bases import BuiltImage
from multiarch.buildkit.command import record
from multiarch.config.settings import CacheKind, OutputKind
from multiarch.errors import MultiarchError
from multiarch.paths import directory_beside
from multiarch.steps import build_arch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multiarch.buildkit.bases import Base
    from multiarch.buildkit.build import Client, PushedImage
    from multiarch.buildkit.builder import Builder
    from multiarch.config.project import Target
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.run import Run
    from multiarch.steps.resume import Resumption

    Group = tuple[MatrixEntry, ...]

T = TypeVar("T")


def build_images(run: Run, client: Client, local: Builder, resumption: Resumption) -> dict[str, dict[Platform, str]]:
    """Build all targets; return the digest of what was pushed, by target and platform.

    :param resumption: knows what need not be built, and remembers what was.
    """
    from multiarch.buildkit.build import build_together

    def build(target: Target, group: Group, builder: Builder, bases: Sequence[Base]) -> tuple[PushedImage, ...]:
        images = build_together(target.settings, group, client, builder, bases)
        if images:
            handed_over = run.handed_over(target, images[0].digest)
            run.bases.built(group, BuiltImage(handed_over, target.settings.publish.images[0]))
        return images

    project = run.project
    firsts = dict.fromkeys(target.settings.publish.images[0] for target in project)
    others = dict.fromkeys(image for target in project.asked_for for image in target.settings.publish.images)
    taken, checks = resumption.take(), run.push_checks(tuple(firsts | others))
    # A check that we may push is to be the first to know that: what takes the processor begins behind it.
    meanwhile = [partial(_check_and_import, check) for check in checks] or [partial(_import_publication)]
    built = _build_groups(run, client, local, build, meanwhile, resumption.remember)
    digests = {**taken, **{image.leg: image.digest for images in built for image in images}}
    pushed = [target for target in project if target.settings.build.output.kind is OutputKind.IMAGE]
    legs = [entry.leg for target in pushed for entry in target.settings.matrix]
    if unknown := [leg for leg in legs if not digests.get(leg)]:
        # What is under their staging tags may be of an earlier run.
        raise MultiarchError(f"not published: it is not known what was pushed for {', '.join(map(str, unknown))}")
    run.images |= {leg: (digests[leg], 0) for leg in legs}
    return {target.name: {e.platform: digests[e.leg] for e in target.settings.matrix} for target in pushed}


def _check_and_import(check: Callable[[], object]) -> None:
    check()
    _import_publication()


def _import_publication() -> None:
    """Import what publishes images, and tells of it, while they are built, rather than when the last one is."""
    from multiarch.display import history, summary  # noqa: F401 (imported for later)
    from multiarch.publish import publication, resumed  # noqa: F401


def build_here(run: Run, client: Client, local: Builder) -> tuple[Path | ImageReference, ...]:
    """Build the matrix into one archive, or one platform into the Docker host; return the path, or the tags."""
    from multiarch.buildkit.archive import join_archives
    from multiarch.buildkit.build import build_archive

    output = run.settings.build.output

    def build_and_load(
        target: Target, group: Group, builder: Builder, bases: Sequence[Base]
    ) -> tuple[ImageReference, ...]:
        return build_arch.load(run, target, group[0], client, builder, bases)

    def build(target: Target, group: Group, builder: Builder, bases: Sequence[Base]) -> Path:
        archive = directory / f"{group[0].platform.slug}.tar"
        exported = record("type=oci", f"dest={archive}", *target.settings.build.exporter)
        build_archive(target.settings, group, exported, client, builder, bases)
        return archive

    if output.dest is None:
        (loaded,) = _build_groups(run, client, local, build_and_load)
        return loaded
    path = Path(output.dest)
    with directory_beside(path) as directory:
        join_archives(_build_groups(run, client, local, build), path)
    return (path,)


def _build_groups(
    run: Run,
    client: Client,
    local: Builder,
    build: Callable[[Target, Group, Builder, Sequence[Base]], T],
    meanwhile: Sequence[Callable[[], Any]] = (),
    on_built: Callable[[Target, Group, T, Sequence[Base]], object] | None = None,
) -> list[T]:
    """Build each target in as few solves as it needs, as many at a time as there is room for; return their results.

    A solve waits for what it is built on, and takes its room only then.

    :param build: runs one solve, for what is not only handed over to others.
    :param meanwhile: jobs that run beside them.
    :param on_built: takes the result of each solve, with what it is built on, when its room is free again.
    """
    settings, machine = run.settings, run.machine
    slots = settings.builder.jobs or schedule.default_jobs(run.host.info if settings.starts_buildkit else None)
    room, keep_going = schedule.Slots(slots), settings.build.keep_going

    jobs: list[Callable[[], Any]] = []
    for target in run.project:
        apart = keep_going or target.settings.build.cache is not CacheKind.NONE
        matrix = [entry for entry in target.settings.matrix if entry.leg not in run.taken]
        here = [entry for entry in matrix if entry.is_local]
        elsewhere = [entry for entry in matrix if not entry.is_local]
        groups = schedule.groups(here, slots, machine, apart=apart)
        groups += run.fleet.groups(elsewhere, apart=apart) if run.fleet else []
        jobs += [partial(_build_group, run, client, local, room, build, target, one, on_built) for one in groups]
    try:
        legs = [entry for entry in run.project.matrix if entry.leg not in run.taken]
        run.progress.begin({entry.leg: run.is_emulated(entry) for entry in legs})
        results = run.together([*jobs, *meanwhile], keep_going=keep_going)[: len(jobs)]
        return [result for of_group in results for result in of_group]
    finally:
        run.progress.end()


def _build_group(
    run: Run,
    client: Client,
    local: Builder,
    room: schedule.Slots,
    build: Callable[[Target, Group, Builder, Sequence[Base]], T],
    target: Target,
    group: Group,
    on_built: Callable[[Target, Group, T, Sequence[Base]], object] | None = None,
) -> list[T]:
    """Run one solve, as soon as what it is built on is there; return its result, none where it is only handed over."""
    from multiarch.buildkit.build import build_layout

    def build_on(builder: Builder) -> list[T]:
        layout = run.bases.layout(target, group)
        if layout is None:
            return [build(target, group, builder, bases)]
        digest = build_layout(target.settings, group, layout, client, builder, bases)
        run.bases.built(group, BuiltImage(digest, group[0].staging, layout))
        return []

    try:
        bases = run.bases.needed(target, group)
        # A builder elsewhere has slots of its own.
        taken = room.take(schedule.weight(group, run.machine)) if group[0].is_local else nullcontext()
        with taken:
            results = run.build_on(group, local, build_on)
        if on_built:
            for result in results:
                on_built(target, group, result, bases)
        return results
    except BaseException:
        run.bases.built(group, None)
        raise
