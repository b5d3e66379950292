"""Step 5 in a run: the images checked, tried where that is asked for, and published; and what is published shown."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from multiarch import manifest
from multiarch.errors import MultiarchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.config.settings import Settings
    from multiarch.image.platform import Platform
    from multiarch.manifest import Published
    from multiarch.publication import PublishedTag
    from multiarch.session import Session
    from multiarch.staged import StagedImage


def publish_staged(session: Session) -> tuple[PublishedTag, ...]:
    """Publish what is under the staging tags; nothing where nothing is pushed, as for a pull request."""
    settings = session.settings
    if settings.output.type == "none" or (settings.withheld and not settings.pushes):
        session.progress.say(f"nothing is published{f': {settings.withheld}' if settings.withheld else ''}")
        return ()
    if settings.untagged:
        raise MultiarchError(settings.untagged)
    return publish(session).tags


def publish(session: Session, digests: Mapping[Platform, str] | None = None) -> Published:
    """Compose what was pushed for each platform, by default what is under the staging tags, and publish it."""
    settings = session.settings
    if settings.platforms:
        _start_registry(session)
    try_images = partial(_smoke, session)
    return manifest.manifest(settings, session.registries, digests, say=session.progress.say, try_images=try_images)


def inspect(session: Session) -> list[str]:
    """Return the lines that show what is published."""
    from multiarch import inspection

    _start_registry(session)
    return inspection.inspect(session.settings, session.registries)


def commands(settings: Settings, *, inspect: bool) -> list[list[str]]:
    """Return the document's commands, or those that show what is published."""
    from multiarch import inspection

    if inspect:
        return inspection.commands(settings)
    return [] if settings.output.type == "none" else manifest.commands(settings)


def _start_registry(session: Session) -> None:
    if session.settings.embedded:
        from multiarch.registry import embedded

        embedded.start_registry(session.host)


def _smoke(session: Session, images: Sequence[StagedImage]) -> None:
    """Run what there is to run in the images, all at once; the first failure ends the others."""
    tried = [(t, image) for t, image in zip(session.settings.matrix, images, strict=True) if t.smoke]
    if tried:
        from multiarch import smoke

        seconds = session.settings.smoke_seconds
        session.together([partial(smoke.check_runs, t, image, seconds, session.host) for t, image in tried])
