"""Step 6, ``release``: the chain of the other five; and what a step run alone takes over from those before it."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from multiarch import binfmt, build, buildctl, buildkit, publishing, schedule
from multiarch import manifest as index
from multiarch.errors import BuildctlMissingError, ConfigurationError
from multiarch.registry import embedded
from multiarch.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from multiarch.build import PushedImage
    from multiarch.config.settings import Settings, Target
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.publication import PublishedTag
    from multiarch.session import Session


def build_one(session: Session, target: Target) -> PushedImage | Path | None:
    """Build one platform on what is there already: the server that start-buildkit left, the client that is found.

    :returns: what was pushed, or the path that was written; None where nothing was to be.
    """
    settings = session.settings
    build.check_paths(settings, target)
    if settings.embedded and settings.output.type == "image":
        embedded.start_registry(session.host)
    client = buildctl.find_buildctl(settings)
    address = target.builder or buildkit.running_address(settings, session.host)
    buildkit.check_address(address, session.host)

    def build_target() -> PushedImage | Path | None:
        return build.build_arch(
            settings,
            target,
            buildctl=client,
            address=address,
            policy=session.policy,
            progress=session.progress,
            solves=session.solves,
        )

    try:
        session.progress.begin({target.platform: schedule.is_emulated(target, session.machine)})
        built: PushedImage | Path | None = session.together(
            [build_target, *_push_checks(session, settings.images[:1])]
        )[0]
    finally:
        session.progress.end()
    if settings.output.type == "none":
        session.progress.say(_not_pushed(settings))
    if isinstance(built, build.PushedImage):
        session.images[target.platform] = built.digest, 0
    return built


def release(session: Session) -> tuple[PublishedTag, ...]:
    """Prepare as far as needed, build all platforms at once, and publish their index.

    The tags move at the end, when every platform is pushed; any failure before leaves them as they were. The first
    platform to fail stops the others.

    :returns: the tags; none with the output ``none``, which builds and pushes nothing.
    :raises MultiarchError: what the failing step raised.
    """
    settings = session.settings
    if settings.output.type not in ("image", "none"):
        raise ConfigurationError("output", f"release publishes images; for {settings.output.type} run build-arch")
    for target in settings.matrix:
        build.check_paths(settings, target)
    with session.progress.section("prepare"):
        client, address = _prepare(session)
    with session.progress.section("build"):
        digests = _build(session, client, address)
    if settings.output.type == "none":
        session.progress.table(summarise(settings.matrix, session.solves, session.images, session.machine))
        session.progress.say(_not_pushed(settings))
        return ()
    with session.progress.section("publish"):
        published = publishing.publish(session, digests)
    session.images |= {i.platform: (i.manifest.digest, i.manifest.size) for i in published.images}
    session.progress.table(summarise(settings.matrix, session.solves, session.images, session.machine))
    return published.tags


def _build(session: Session, client: Path, address: str) -> dict[Platform, str]:
    """Build the matrix; return the digest of what was pushed for each platform."""
    settings = session.settings
    machine = session.machine
    slots = settings.jobs or schedule.default_jobs(session.host.info if settings.starts_buildkit else {})
    room = schedule.Slots(slots)

    def build_group(group: tuple[Target, ...]) -> tuple[PushedImage, ...]:
        with room.take(schedule.weight(group, machine)):
            return build.build_together(
                settings,
                group,
                buildctl=client,
                address=group[0].builder or address,
                policy=session.policy,
                progress=session.progress,
                solves=session.solves,
            )

    apart = settings.keep_going or settings.cache != "none"
    groups = schedule.groups(settings.matrix, slots, machine, apart=apart)
    jobs: list[Callable[[], Any]] = [partial(build_group, group) for group in groups]
    jobs += _push_checks(session, settings.images)
    try:
        session.progress.begin({t.platform: schedule.is_emulated(t, machine) for t in settings.matrix})
        built = session.together(jobs, keep_going=settings.keep_going)[: len(groups)]
    finally:
        session.progress.end()
    return {image.platform: image.digest for images in built for image in images}


def commands(settings: Settings) -> list[list[str]]:
    """Return the document's commands for the whole chain, for a local Linux Docker host like this machine."""
    machine = os.uname().machine
    lines = embedded.commands() if settings.embedded else []
    ours = settings.starts_buildkit
    if ours or _is_tried(settings):
        lines += binfmt.commands(settings, machine)
    if ours:
        lines += buildkit.commands(settings, machine)
    lines += buildctl.commands(settings)
    for target in settings.matrix:
        lines += build_commands(settings, target)
    return lines + (index.commands(settings) if settings.pushes else [])


def _is_tried(settings: Settings) -> bool:
    """Tell whether any of the images is run on the Docker host."""
    return any(target.smoke for target in settings.matrix)


def build_commands(settings: Settings, target: Target) -> list[list[str]]:
    """Return the document's command for one platform, with the client and the address that steps 2 and 3 give."""
    address = target.builder or buildkit.dry_address(settings)
    return build.commands(settings, target, buildctl=buildctl.default_path(settings), address=address)


def _not_pushed(settings: Settings) -> str:
    return f"built; nothing is pushed{f': {settings.withheld}' if settings.withheld else ''}"


def _push_checks(session: Session, images: Sequence[ImageReference]) -> list[Callable[[], None]]:
    """Return what is done while it is built: who may not push learns it in the first second."""
    if session.settings.embedded or session.settings.output.type != "image":
        return []
    return [partial(_check_push, session, image) for image in images]


def _check_push(session: Session, image: ImageReference) -> None:
    session.registries[image.registry].check_push(image.repository)


def _prepare(session: Session) -> tuple[Path, str]:
    """Do of steps 1 to 3 what this run needs and is not done yet; return the client and the local builder's address."""
    settings, host = session.settings, session.host
    jobs: list[Callable[[], Any]] = []
    if settings.embedded:
        jobs.append(lambda: embedded.start_registry(host))
    local = bool(settings.local_platforms)
    if settings.starts_buildkit:
        host.info  # noqa: B018 (asked for once, before several threads want it)
    if (local and not settings.buildkit_host) or _is_tried(settings):
        jobs.append(lambda: binfmt.setup_binfmt(settings, host))
    for address in {target.builder for target in settings.matrix if target.builder}:
        buildkit.check_address(address, session.host)

    def server_and_client() -> tuple[Path, str]:
        address = buildkit.start_buildkit(settings, host) if local else ""
        if not local or settings.buildkit_host:
            try:
                return buildctl.find_buildctl(settings), address
            except BuildctlMissingError:
                return buildctl.copy_buildctl(settings, host), address
        path = buildctl.default_path(settings)
        return (path if path.is_file() else buildctl.copy_buildctl(settings, host)), address

    client, address = session.together([server_and_client, *jobs])[0]
    return client, address
