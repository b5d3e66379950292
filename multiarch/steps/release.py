"""Step 6, ``release``: the chain of the other five."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from multiarch.buildkit import schedule
from multiarch.buildkit.bases import BuiltImage
from multiarch.buildkit.builder import Builder
from multiarch.buildkit.command import record
from multiarch.config.settings import CacheKind, OutputKind
from multiarch.errors import ConfigurationError, MultiarchError
from multiarch.fleet import planning
from multiarch.paths import directory_beside
from multiarch.registry import embedded
from multiarch.steps import build_arch, copy_buildctl, manifest, only_changed, setup_binfmt, start_buildkit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multiarch.buildkit.bases import Base
    from multiarch.buildkit.build import Client, PushedImage
    from multiarch.config.project import Project, Target
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.publish.publication import Published
    from multiarch.publish.tags import PublishedTag
    from multiarch.run import Run

    Group = tuple[MatrixEntry, ...]

T = TypeVar("T")


def run(run: Run) -> tuple[PublishedTag | Path | ImageReference, ...]:
    """Prepare as far as needed, build all platforms of all targets at once, and publish their indexes.

    The tags move at the end, when every platform is pushed; any failure before leaves them as they were. The first
    platform to fail stops the others.

    :returns: the tags; what was written or loaded with another output, and nothing with the output ``none``.
    :raises MultiarchError: what the failing step raised.
    """
    output = run.settings.build.output
    _check(run.project)
    whole = run.project
    verdicts = only_changed.leave_out(run) if run.settings.build.only_changed else {}
    digests = {}
    if run.project.targets:
        with run.progress.section("prepare"):
            client, local = _prepare(run)
        with run.progress.section("build"):
            if output.kind in (OutputKind.DOCKER, OutputKind.OCI):
                return _build_here(run, client, local)
            digests = _build(run, client, local)
    if verdicts:
        verdicts = only_changed.take_in(run, whole, verdicts)
    targets = manifest.published_targets(run.project)  # the builders have said what is built where
    if not targets:
        _show_table(run)
        run.progress.say(f"built; nothing is pushed{run.settings.publish.push.reason}")
        return ()
    with run.progress.section("publish"):
        published = manifest.publish(run, targets, digests, verdicts)
    _tell(run, targets, published)
    return tuple(tag for one in published for tag in one.tags)


def commands(project: Project) -> list[list[str]]:
    """Return the document's commands for the whole chain, for a local Linux Docker host like this machine."""
    settings = project.settings
    lines = embedded.commands(settings.publish.embedded) if settings.publish.embedded else []
    if settings.starts_buildkit or settings.tries_images:
        lines += setup_binfmt.commands(project)
    if settings.starts_buildkit:
        lines += start_buildkit.commands(project)
    lines += [*copy_buildctl.commands(project), *planning.commands(project.matrix)]
    if settings.build.output.kind is OutputKind.OCI:
        (target,) = project.asked_for
        matrix = target.settings.matrix
        # What joins the archives of several solves is no command.
        groups = list(enumerate(schedule.groups(matrix, len(matrix) * 2, "")))
        return lines + [build_arch.archive_command(project, target, one, n, len(groups)) for n, one in groups]
    lines += [build_arch.command_of(project, target, entry) for target in project for entry in target.settings.matrix]
    return lines + manifest.commands(project)


def _prepare(run: Run) -> tuple[Client, Builder]:
    """Do of steps 1 to 3 what this run needs and is not done yet; return the client and the local builder."""
    from multiarch.steps.doctor.checks import check_host

    if any(entry.builders for entry in run.project.matrix) or not run.settings.builder.emulate:
        run.ask_builders(copy_buildctl.ensure(run))
    settings, host = run.settings, run.host
    jobs: list[Callable[[], Any]] = [run.start_embedded_registry] if settings.publish.embedded else []
    if settings.starts_buildkit:
        host.info  # noqa: B018 (asked for once, before several threads want it)
        check_host(run)
    if settings.starts_buildkit or settings.tries_images:
        jobs.append(partial(setup_binfmt.run, run))
    client, local = run.together([partial(_server_and_client, run), *jobs])[0]
    return client, local


def _server_and_client(run: Run) -> tuple[Client, Builder]:
    settings = run.settings
    address = start_buildkit.run(run)[0] if settings.local_platforms else ""
    return run.client(copy_buildctl.ensure(run)), Builder(address, run.machine)


def _check(project: Project) -> None:
    """Check what is known before anything is done: the output, the tags, the contexts and Dockerfiles."""
    from multiarch.buildkit.inputs import check_inputs

    _check_output(project)
    for target in manifest.published_targets(project):
        target.settings.publish.check()
    for target in project:
        target.settings.platforms  # noqa: B018 (an empty matrix is an error)
        for entry in target.settings.matrix:
            check_inputs(target.settings, entry)


def _check_output(project: Project) -> None:
    kind, platforms = project.settings.build.output.kind, project.settings.platforms
    if kind is OutputKind.LOCAL:
        raise ConfigurationError("output", "release writes images; for local run build-arch")
    if kind is OutputKind.DOCKER and len(platforms) > 1:
        known = ", ".join(map(str, platforms))
        raise ConfigurationError("output", f"docker loads one platform; name it: --platform, one of {known}")
    project.check_output()


def _build(run: Run, client: Client, local: Builder) -> dict[str, dict[Platform, str]]:
    """Build all targets; return the digest of what was pushed, by target and platform."""
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
    built = _build_groups(run, client, local, build, run.push_checks(tuple(firsts | others)))
    digests = {image.leg: image.digest for images in built for image in images}
    pushed = [target for target in project if target.settings.build.output.kind is OutputKind.IMAGE]
    legs = [entry.leg for target in pushed for entry in target.settings.matrix]
    if unknown := [leg for leg in legs if not digests.get(leg)]:
        # What is under their staging tags may be of an earlier run.
        raise MultiarchError(f"not published: it is not known what was pushed for {', '.join(map(str, unknown))}")
    run.images |= {leg: (digests[leg], 0) for leg in legs}
    return {target.name: {e.platform: digests[e.leg] for e in target.settings.matrix} for target in pushed}


def _build_here(run: Run, client: Client, local: Builder) -> tuple[Path | ImageReference, ...]:
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
    checks: Sequence[Callable[[], Any]] = (),
) -> list[T]:
    """Build each target in as few solves as it needs, as many at a time as there is room for; return their results.

    A solve waits for what it is built on, and takes its room only then.

    :param build: runs one solve, for what is not only handed over to others.
    :param checks: jobs that run meanwhile.
    """
    settings, machine = run.settings, run.machine
    slots = settings.builder.jobs or schedule.default_jobs(run.host.info if settings.starts_buildkit else None)
    room, keep_going = schedule.Slots(slots), settings.build.keep_going

    jobs: list[Callable[[], Any]] = []
    for target in run.project:
        apart = keep_going or target.settings.build.cache is not CacheKind.NONE
        here = [entry for entry in target.settings.matrix if entry.is_local]
        elsewhere = [entry for entry in target.settings.matrix if not entry.is_local]
        groups = schedule.groups(here, slots, machine, apart=apart)
        groups += run.fleet.groups(elsewhere, apart=apart) if run.fleet else []
        jobs += [partial(_build_group, run, client, local, room, build, target, one) for one in groups]
    try:
        run.progress.begin({entry.leg: run.is_emulated(entry) for entry in run.project.matrix})
        results = run.together([*jobs, *checks], keep_going=keep_going)[: len(jobs)]
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
            return run.build_on(group, local, build_on)
    except BaseException:
        run.bases.built(group, None)
        raise


def _tell(run: Run, targets: Sequence[Target], published: Sequence[Published]) -> None:
    """Show what was published. The tags have moved: nothing in here makes the release a failed one."""
    try:
        for target, one in zip(targets, published, strict=True):
            for entry, image in zip(target.settings.matrix, one.images, strict=True):
                run.images[entry.leg] = image.manifest.digest, image.manifest.size
                if entry.platform in one.findings:
                    run.findings[entry.leg] = one.findings[entry.platform]
        _show_table(run)
        for target, one in zip(targets, published, strict=True):
            # Of several images one platform each: what is to be typed differs in nothing else.
            for platform in target.settings.platforms[: 1 if target.name else None]:
                run.progress.say(f"run it: docker run --rm --platform {platform} {one.tags[0].reference}")
    except Exception as error:  # noqa: BLE001 (whatever it is, the tags are published)
        run.progress.say(f"published; what follows cannot be shown ({type(error).__name__})")


def _show_table(run: Run) -> None:
    from multiarch.display.summary import summarise

    built = {leg for solve in run.solves for leg in solve.legs}
    # Of what was left out of the build there is nothing to tell here.
    matrix = [entry for entry in run.project.matrix if entry.leg in built or not run.settings.build.only_changed]
    run.progress.table(summarise(matrix, run.solves, run.images, run.machine, run.findings))
