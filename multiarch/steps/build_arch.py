"""Step 4, ``build-arch``: build and push the image of one platform (the document, "Building Images")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.buildkit import build, buildctl, command, schedule
from multiarch.buildkit.address import check_address, dry_address, running_address
from multiarch.registry import embedded

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.buildkit.build import PushedImage
    from multiarch.config.settings import Settings, Target
    from multiarch.run import Run
from multiarch.run import not_pushed, push_checks


def build_one(run: Run, target: Target) -> PushedImage | Path | None:
    """Build one platform on what is there already: the server that start-buildkit left, the client that is found.

    :returns: what was pushed, or the path that was written; None where nothing was to be.
    """
    settings = run.settings
    build.check_paths(settings, target)
    if settings.embedded and settings.output.type == "image":
        embedded.start_registry(run.host)
    client = buildctl.find_buildctl(settings)
    address = target.builder or running_address(settings, run.host)
    check_address(address, run.host)

    def build_target() -> PushedImage | Path | None:
        return build.build_arch(
            settings,
            target,
            buildctl=client,
            address=address,
            policy=run.policy,
            observer=run.progress,
            solves=run.solves,
        )

    try:
        run.progress.begin({target.platform: schedule.is_emulated(target, run.machine)})
        built: PushedImage | Path | None = run.together([build_target, *push_checks(run, settings.images[:1])])[0]
    finally:
        run.progress.end()
    if settings.output.type == "none":
        run.progress.say(not_pushed(settings))
    if isinstance(built, build.PushedImage):
        run.images[target.platform] = built.digest, 0
    return built


def build_commands(settings: Settings, target: Target) -> list[list[str]]:
    """Return the document's command for one platform, with the client and the address that steps 2 and 3 give."""
    address = target.builder or dry_address(settings)
    return command.commands(settings, target, buildctl=buildctl.default_path(settings), address=address)
