"""Step 6, ``release``: the chain of the other five."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from multiarch.buildkit import schedule
from multiarch.buildkit.bases import BuiltImage
from multiarch.buildkit.buildctl import default_path, find_buildctl
from multiarch.buildkit.builder import Builder, builder_of
from multiarch.config.settings import CacheKind, OutputKind
from multiarch.errors import BuildctlMissingError, ConfigurationError, MultiarchError
from multiarch.registry import embedded
from multiarch.steps import build_arch, copy_buildctl, manifest, setup_binfmt, start_buildkit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from multiarch.buildkit.build import Client, PushedImage
    from multiarch.config.project import Project, Target
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.platform import Platform
    from multiarch.publish.publication import Published
    from multiarch.publish.tags import PublishedTag
    from multiarch.run import Run


def run(run: Run) -> tuple[PublishedTag, ...]:
    """Prepare as far as needed, build all platforms at once, and publish their index.

    The tags move at the end, when every platform is pushed; any failure before leaves them as they were. The first
    platform to fail stops the others.

    :returns: the tags; none with the output ``none``, which builds and pushes nothing.
    :raises MultiarchError: what the failing step raised.
    """
    from multiarch.buildkit.build import check_paths

    settings, output = run.settings, run.settings.build.output
    if output.kind not in (OutputKind.IMAGE, OutputKind.NONE):
        raise ConfigurationError("output", f"release publishes images; for {output.kind.value} run build-arch")
    targets = manifest.published_targets(run.project)
    for target in targets:
        target.settings.publish.check()
    for target in run.project:
        target.settings.platforms  # noqa: B018 (an empty matrix is an error)
        for entry in target.settings.matrix:
            check_paths(target.settings, entry)
    with run.progress.section("prepare"):
        client, local = _prepare(run)
    with run.progress.section("build"):
        digests = _build(run, client, local)
    if not targets:
        _show_table(run)
        run.progress.say(f"built; nothing is pushed{settings.publish.push.reason}")
        return ()
    with run.progress.section("publish"):
        published = manifest.publish(run, targets, digests)
    _tell(run, targets, published)
    return tuple(tag for one in published for tag in one.tags)


def commands(project: Project) -> list[list[str]]:
    """Return the document's commands for the whole chain, for a local Linux Docker host like this machine."""
    settings = project.settings
    lines = embedded.commands() if settings.publish.embedded else []
    if settings.starts_buildkit or settings.tries_images:
        lines += setup_binfmt.commands(project)
    if settings.starts_buildkit:
        lines += start_buildkit.commands(project)
    lines += copy_buildctl.commands(project)
    lines += [build_arch.command_of(project, target, entry) for target in project for entry in target.settings.matrix]
    return lines + manifest.commands(project)


def _prepare(run: Run) -> tuple[Client, Builder]:
    """Do of steps 1 to 3 what this run needs and is not done yet; return the client and the local builder."""
    settings, host = run.settings, run.host
    jobs: list[Callable[[], Any]] = [run.start_embedded_registry] if settings.publish.embedded else []
    if settings.starts_buildkit:
        host.info  # noqa: B018 (asked for once, before several threads want it)
    if settings.starts_buildkit or settings.tries_images:
        jobs.append(partial(setup_binfmt.run, run))
    for address in {entry.builder for entry in settings.matrix if entry.builder}:
        Builder(address).check(host)
    client, local = run.together([partial(_server_and_client, run), *jobs])[0]
    return client, local


def _server_and_client(run: Run) -> tuple[Client, Builder]:
    settings = run.settings
    address = start_buildkit.run(run)[0] if settings.local_platforms else ""
    return run.client(_buildctl(run)), Builder(address, run.machine)


def _buildctl(run: Run) -> Path:
    """Return the path of the client: that of our server, which is copied where it is not yet, or any that is found."""
    settings = run.settings
    if settings.starts_buildkit:
        path = default_path(settings)
        return path if path.is_file() else copy_buildctl.run(run)[0]
    try:
        return find_buildctl(settings)
    except BuildctlMissingError:
        return copy_buildctl.run(run)[0]


def _build(run: Run, client: Client, local: Builder) -> dict[str, dict[Platform, str]]:
    """Build all targets; return the digest of what was pushed, by target and platform."""
    project, settings, machine = run.project, run.settings, run.machine
    slots = settings.builder.jobs or schedule.default_jobs(run.host.info if settings.starts_buildkit else None)
    room, keep_going = schedule.Slots(slots), settings.build.keep_going
    builds: list[Callable[[], Any]] = []
    for target in project:
        apart = keep_going or target.settings.build.cache is not CacheKind.NONE
        groups = schedule.groups(target.settings.matrix, slots, machine, apart=apart)
        builds += [partial(_build_group, run, target, one, client, builder_of(one[0], local), room) for one in groups]
    firsts = dict.fromkeys(target.settings.publish.images[0] for target in project)
    others = dict.fromkeys(image for target in project.asked_for for image in target.settings.publish.images)
    try:
        run.progress.begin({entry.leg: schedule.is_emulated(entry, machine) for entry in project.matrix})
        checks = run.push_checks(tuple(firsts | others))
        built = run.together([*builds, *checks], keep_going=keep_going)[: len(builds)]
    finally:
        run.progress.end()
    digests = {image.leg: image.digest for images in built for image in images}
    pushed = [target for target in project if target.settings.build.output.kind is OutputKind.IMAGE]
    legs = [entry.leg for target in pushed for entry in target.settings.matrix]
    if unknown := [leg for leg in legs if not digests.get(leg)]:
        # What is under their staging tags may be of an earlier run.
        raise MultiarchError(f"not published: it is not known what was pushed for {', '.join(map(str, unknown))}")
    run.images |= {leg: (digests[leg], 0) for leg in legs}
    return {target.name: {e.platform: digests[e.leg] for e in target.settings.matrix} for target in pushed}


def _build_group(
    run: Run,
    target: Target,
    group: tuple[MatrixEntry, ...],
    client: Client,
    builder: Builder,
    room: schedule.Slots,
) -> tuple[PushedImage, ...]:
    """Build platforms of a target together, as soon as what they are built on is there."""
    from multiarch.buildkit.build import build_layout, build_together

    image: BuiltImage | None = None
    try:
        # What waits for a base holds no slot that the base may need.
        needed = run.bases.needed(target, group)
        with room.take(schedule.weight(group, run.machine)):
            if layout := run.bases.layout(target, group):
                digest = build_layout(target.settings, group, layout, client, builder, needed)
                image = BuiltImage(digest, group[0].staging, layout)
                return ()
            images = build_together(target.settings, group, client, builder, needed)
        if images:
            image = BuiltImage(images[0].digest, target.settings.publish.images[0])
        return images
    finally:
        run.bases.built(group, image)


def _tell(run: Run, targets: Sequence[Target], published: Sequence[Published]) -> None:
    """Show what was published. The tags have moved: nothing in here makes the release a failed one."""
    try:
        for target, one in zip(targets, published, strict=True):
            for entry, image in zip(target.settings.matrix, one.images, strict=True):
                run.images[entry.leg] = image.manifest.digest, image.manifest.size
        _show_table(run)
        for target, one in zip(targets, published, strict=True):
            for platform in target.settings.platforms:
                run.progress.say(f"run it: docker run --rm --platform {platform} {one.tags[0].reference}")
    except Exception as error:  # noqa: BLE001 (whatever it is, the tags are published)
        run.progress.say(f"published; what follows cannot be shown ({type(error).__name__})")


def _show_table(run: Run) -> None:
    from multiarch.display.summary import summarise

    run.progress.table(summarise(run.project.matrix, run.solves, run.images, run.machine))
