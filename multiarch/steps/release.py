"""Step 6, ``release``: the chain of the other five; and what a step run alone takes over from those before it."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from multiarch.buildkit import build, buildctl, schedule
from multiarch.buildkit.address import check_address
from multiarch.display.summary import summarise
from multiarch.errors import BuildctlMissingError, ConfigurationError
from multiarch.publish import publication
from multiarch.registry import embedded
from multiarch.run import not_pushed, push_checks
from multiarch.steps import copy_buildctl, manifest, setup_binfmt, start_buildkit
from multiarch.steps.build_arch import build_commands

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from multiarch.buildkit.build import PushedImage
    from multiarch.config.settings import Settings, Target
    from multiarch.image.platform import Platform
    from multiarch.publish.tags import PublishedTag
    from multiarch.run import Run


def release(run: Run) -> tuple[PublishedTag, ...]:
    """Prepare as far as needed, build all platforms at once, and publish their index.

    The tags move at the end, when every platform is pushed; any failure before leaves them as they were. The first
    platform to fail stops the others.

    :returns: the tags; none with the output ``none``, which builds and pushes nothing.
    :raises MultiarchError: what the failing step raised.
    """
    settings = run.settings
    if settings.output.type not in ("image", "none"):
        raise ConfigurationError("output", f"release publishes images; for {settings.output.type} run build-arch")
    for target in settings.matrix:
        build.check_paths(settings, target)
    with run.progress.section("prepare"):
        client, address = _prepare(run)
    with run.progress.section("build"):
        digests = _build(run, client, address)
    if settings.output.type == "none":
        run.progress.table(summarise(settings.matrix, run.solves, run.images, run.machine))
        run.progress.say(not_pushed(settings))
        return ()
    with run.progress.section("publish"):
        published = manifest.publish(run, digests)
    run.images |= {i.platform: (i.manifest.digest, i.manifest.size) for i in published.images}
    run.progress.table(summarise(settings.matrix, run.solves, run.images, run.machine))
    return published.tags


def _build(run: Run, client: Path, address: str) -> dict[Platform, str]:
    """Build the matrix; return the digest of what was pushed for each platform."""
    settings = run.settings
    machine = run.machine
    slots = settings.jobs or schedule.default_jobs(run.host.info if settings.starts_buildkit else {})
    room = schedule.Slots(slots)

    def build_group(group: tuple[Target, ...]) -> tuple[PushedImage, ...]:
        with room.take(schedule.weight(group, machine)):
            return build.build_together(
                settings,
                group,
                buildctl=client,
                address=group[0].builder or address,
                policy=run.policy,
                observer=run.progress,
                solves=run.solves,
            )

    apart = settings.keep_going or settings.cache != "none"
    groups = schedule.groups(settings.matrix, slots, machine, apart=apart)
    jobs: list[Callable[[], Any]] = [partial(build_group, group) for group in groups]
    jobs += push_checks(run, settings.images)
    try:
        run.progress.begin({t.platform: schedule.is_emulated(t, machine) for t in settings.matrix})
        built = run.together(jobs, keep_going=settings.keep_going)[: len(groups)]
    finally:
        run.progress.end()
    return {image.platform: image.digest for images in built for image in images}


def commands(settings: Settings) -> list[list[str]]:
    """Return the document's commands for the whole chain, for a local Linux Docker host like this machine."""
    machine = os.uname().machine
    lines = embedded.commands() if settings.embedded else []
    ours = settings.starts_buildkit
    if ours or _is_tried(settings):
        lines += setup_binfmt.commands(settings, machine)
    if ours:
        lines += start_buildkit.commands(settings, machine)
    lines += copy_buildctl.commands(settings)
    for target in settings.matrix:
        lines += build_commands(settings, target)
    return lines + (publication.commands(settings) if settings.pushes else [])


def _is_tried(settings: Settings) -> bool:
    """Tell whether any of the images is run on the Docker host."""
    return any(target.smoke for target in settings.matrix)


def _prepare(run: Run) -> tuple[Path, str]:
    """Do of steps 1 to 3 what this run needs and is not done yet; return the client and the local builder's address."""
    settings, host = run.settings, run.host
    jobs: list[Callable[[], Any]] = []
    if settings.embedded:
        jobs.append(lambda: embedded.start_registry(host))
    local = bool(settings.local_platforms)
    if settings.starts_buildkit:
        host.info  # noqa: B018 (asked for once, before several threads want it)
    if (local and not settings.buildkit_host) or _is_tried(settings):
        jobs.append(lambda: setup_binfmt.setup_binfmt(settings, host))
    for address in {target.builder for target in settings.matrix if target.builder}:
        check_address(address, run.host)

    def server_and_client() -> tuple[Path, str]:
        address = start_buildkit.start_buildkit(settings, host) if local else ""
        if not local or settings.buildkit_host:
            try:
                return buildctl.find_buildctl(settings), address
            except BuildctlMissingError:
                return copy_buildctl.copy_buildctl(settings, host), address
        path = buildctl.default_path(settings)
        return (path if path.is_file() else copy_buildctl.copy_buildctl(settings, host)), address

    client, address = run.together([server_and_client, *jobs])[0]
    return client, address
