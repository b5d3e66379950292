"""Step 6, ``release``: the chain of the other five."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from multiarch.buildkit import schedule
from multiarch.buildkit.buildctl import buildctl_on_path, check_kind, default_path, find_buildctl
from multiarch.buildkit.builder import Builder, builder_of
from multiarch.config.settings import CacheKind, OutputKind
from multiarch.errors import BuildctlMissingError, BuildctlNotExecutableError, ConfigurationError, MultiarchError
from multiarch.registry import embedded
from multiarch.steps import build_arch, copy_buildctl, manifest, setup_binfmt, start_buildkit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from multiarch.buildkit.build import Client, PushedImage
    from multiarch.config.settings import MatrixEntry, Settings
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
    for entry in settings.matrix:
        check_paths(settings, entry)
    with run.progress.section("prepare"):
        client, local = _prepare(run)
    with run.progress.section("build"):
        digests = _build(run, client, local)
    if output.kind is OutputKind.NONE:
        _show_table(run)
        run.progress.say(f"built; nothing is pushed{settings.publish.push.reason}")
        return ()
    with run.progress.section("publish"):
        published = manifest.publish(run, digests)
    _tell(run, published)
    return published.tags


def commands(settings: Settings) -> list[list[str]]:
    """Return the document's commands for the whole chain, for a local Linux Docker host like this machine."""
    lines = embedded.commands(settings.publish.embedded) if settings.publish.embedded else []
    if settings.starts_buildkit or settings.tries_images:
        lines += setup_binfmt.commands(settings)
    if settings.starts_buildkit:
        lines += start_buildkit.commands(settings)
    lines += copy_buildctl.commands(settings)
    lines += [build_arch.command_of(settings, entry) for entry in settings.matrix]
    return lines + (manifest.commands(settings) if settings.publish.push.wanted else [])


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
    with suppress(BuildctlMissingError, BuildctlNotExecutableError):
        if not settings.starts_buildkit:
            return find_buildctl(settings)
        path = default_path(settings)
        if path.is_file():
            check_kind(path)
            return path
    other = buildctl_on_path()
    # The program in the image is one of Linux.
    if other and sys.platform != "linux":
        return other
    try:
        return copy_buildctl.run(run)[0]
    except BuildctlNotExecutableError:
        if other is None:
            raise
        run.progress.say(f"the client of {settings.builder.image} cannot run here; building with {other}")
        return other


def _build(run: Run, client: Client, local: Builder) -> dict[Platform, str]:
    """Build the matrix; return the digest of what was pushed for each platform."""
    from multiarch.buildkit.build import build_together

    settings, build, machine = run.settings, run.settings.build, run.machine
    slots = settings.builder.jobs or schedule.default_jobs(run.host.info if settings.starts_buildkit else None)
    room = schedule.Slots(slots)

    def build_group(group: tuple[MatrixEntry, ...]) -> tuple[PushedImage, ...]:
        with room.take(schedule.weight(group, machine)):
            return build_together(settings, group, client, builder_of(group[0], local))

    apart = build.keep_going or build.cache is not CacheKind.NONE
    groups = schedule.groups(settings.matrix, slots, machine, apart=apart)
    jobs: list[Callable[[], Any]] = [partial(build_group, group) for group in groups]
    jobs += run.push_checks(settings.publish.images)
    try:
        run.progress.begin({entry.platform: schedule.is_emulated(entry, machine) for entry in settings.matrix})
        built = run.together(jobs, keep_going=build.keep_going)[: len(groups)]
    finally:
        run.progress.end()
    digests = {image.platform: image.digest for images in built for image in images}
    if build.output.kind is OutputKind.IMAGE and (unknown := [p for p in settings.platforms if not digests.get(p)]):
        # What is under their staging tags may be of an earlier run.
        raise MultiarchError(f"not published: it is not known what was pushed for {', '.join(map(str, unknown))}")
    return digests


def _tell(run: Run, published: Published) -> None:
    """Show what was published. The tags have moved: nothing in here makes the release a failed one."""
    try:
        run.images |= {image.platform: (image.manifest.digest, image.manifest.size) for image in published.images}
        _show_table(run)
        for platform in run.settings.platforms:
            run.progress.say(f"run it: docker run --rm --platform {platform} {published.tags[0].reference}")
    except Exception as error:  # noqa: BLE001 (whatever it is, the tags are published)
        run.progress.say(f"published; what follows cannot be shown ({type(error).__name__})")


def _show_table(run: Run) -> None:
    from multiarch.display.summary import summarise

    run.progress.table(summarise(run.settings.matrix, run.solves, run.images, run.machine))
