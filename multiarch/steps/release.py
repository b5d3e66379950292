"""Step 6, ``release``: the chain of the other five."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from multiarch.buildkit import schedule
from multiarch.buildkit.buildctl import default_path, find_buildctl
from multiarch.buildkit.builder import Builder, builder_of
from multiarch.buildkit.command import record
from multiarch.config.settings import CacheKind, OutputKind
from multiarch.errors import BuildctlMissingError, ConfigurationError, MultiarchError
from multiarch.registry import embedded
from multiarch.steps import build_arch, copy_buildctl, manifest, setup_binfmt, start_buildkit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from multiarch.buildkit.build import Client, PushedImage
    from multiarch.config.settings import MatrixEntry, Settings
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.publish.publication import Published
    from multiarch.publish.tags import PublishedTag
    from multiarch.run import Run

    Group = tuple[MatrixEntry, ...]

T = TypeVar("T")


def run(run: Run) -> tuple[PublishedTag | Path | ImageReference, ...]:
    """Prepare as far as needed, build all platforms at once, and publish their index.

    The tags move at the end, when every platform is pushed; any failure before leaves them as they were. The first
    platform to fail stops the others.

    :returns: the tags; what was written or loaded with another output, and nothing with the output ``none``.
    :raises MultiarchError: what the failing step raised.
    """
    from multiarch.buildkit.inputs import check_inputs

    settings, output = run.settings, run.settings.build.output
    _check_output(settings)
    if settings.publish.push.wanted:
        settings.publish.check()
    for entry in settings.matrix:
        check_inputs(settings, entry)
    with run.progress.section("prepare"):
        client, local = _prepare(run)
    with run.progress.section("build"):
        if output.kind in (OutputKind.DOCKER, OutputKind.OCI):
            return _build_here(run, client, local)
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
    if settings.build.output.kind is OutputKind.OCI:
        # What joins the archives of several solves is no command.
        groups = schedule.groups(settings.matrix, len(settings.matrix) * 2, "")
        return lines + [build_arch.archive_command(settings, group, n, len(groups)) for n, group in enumerate(groups)]
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
    if settings.starts_buildkit:
        path = default_path(settings)
        return path if path.is_file() else copy_buildctl.run(run)[0]
    try:
        return find_buildctl(settings)
    except BuildctlMissingError:
        return copy_buildctl.run(run)[0]


def _check_output(settings: Settings) -> None:
    kind = settings.build.output.kind
    if kind is OutputKind.LOCAL:
        raise ConfigurationError("output", "release writes images; for local run build-arch")
    if kind is OutputKind.DOCKER and len(settings.platforms) > 1:
        known = ", ".join(map(str, settings.platforms))
        raise ConfigurationError("output", f"docker loads one platform; name it: --platform, one of {known}")


def _build(run: Run, client: Client, local: Builder) -> dict[Platform, str]:
    """Build the matrix; return the digest of what was pushed for each platform."""
    from multiarch.buildkit.build import build_together

    settings = run.settings

    def build(group: Group, builder: Builder) -> tuple[PushedImage, ...]:
        return build_together(settings, group, client, builder)

    built = _build_groups(run, local, build, run.push_checks(settings.publish.images))
    digests = {image.platform: image.digest for images in built for image in images}
    is_pushed = settings.build.output.kind is OutputKind.IMAGE
    if is_pushed and (unknown := [p for p in settings.platforms if not digests.get(p)]):
        # What is under their staging tags may be of an earlier run.
        raise MultiarchError(f"not published: it is not known what was pushed for {', '.join(map(str, unknown))}")
    return digests


def _build_here(run: Run, client: Client, local: Builder) -> tuple[Path | ImageReference, ...]:
    """Build the matrix into one archive, or one platform into the Docker host; return the path, or the tags."""
    from multiarch.buildkit.archive import join_archives
    from multiarch.buildkit.build import build_archive

    settings = run.settings
    if settings.build.output.dest is None:
        (loaded,) = _build_groups(run, local, lambda group, builder: build_arch.load(run, group[0], client, builder))
        return loaded
    path = Path(settings.build.output.dest)

    def build(group: Group, builder: Builder) -> Path:
        archive = directory / f"{group[0].platform.slug}.tar"
        build_archive(settings, group, record("type=oci", f"dest={archive}", *settings.build.exporter), client, builder)
        return archive

    with _directory_beside(path) as directory:
        join_archives(_build_groups(run, local, build), path)
    return (path,)


@contextmanager
def _directory_beside(path: Path) -> Iterator[Path]:
    """Yield a directory on the file system of a path, which has room for what will be there; remove it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        directory = tempfile.TemporaryDirectory(prefix=".multiarch-", dir=path.parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigurationError("--output", f"cannot write to {path}: {error.strerror}") from None
    with directory as name:
        yield Path(name)


def _build_groups(
    run: Run, local: Builder, build: Callable[[Group, Builder], T], checks: Sequence[Callable[[], Any]] = ()
) -> list[T]:
    """Build the matrix in as few solves as it needs, as many at a time as there is room for; return their results.

    :param build: runs one solve.
    :param checks: jobs that run meanwhile.
    """
    settings, machine = run.settings, run.machine
    slots = settings.builder.jobs or schedule.default_jobs(run.host.info if settings.starts_buildkit else None)
    room = schedule.Slots(slots)

    def build_group(group: Group) -> T:
        with room.take(schedule.weight(group, machine)):
            return build(group, builder_of(group[0], local))

    apart = settings.build.keep_going or settings.build.cache is not CacheKind.NONE
    groups = schedule.groups(settings.matrix, slots, machine, apart=apart)
    jobs: list[Callable[[], Any]] = [*(partial(build_group, group) for group in groups), *checks]
    try:
        run.progress.begin({entry.platform: schedule.is_emulated(entry, machine) for entry in settings.matrix})
        return run.together(jobs, keep_going=settings.build.keep_going)[: len(groups)]
    finally:
        run.progress.end()


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
