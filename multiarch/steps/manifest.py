"""Step 5 in a run: the images checked, tried where that is asked for, and published; and what is published shown."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from multiarch.errors import MultiarchError
from multiarch.publish import publication as manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.config.settings import Settings
    from multiarch.image.platform import Platform
    from multiarch.publish.publication import Published
    from multiarch.publish.staged import StagedImage
    from multiarch.publish.tags import PublishedTag
    from multiarch.run import Run


def publish_staged(run: Run) -> tuple[PublishedTag, ...]:
    """Publish what is under the staging tags; nothing where nothing is pushed, as for a pull request."""
    settings = run.settings
    if settings.output.type == "none" or (settings.withheld and not settings.pushes):
        run.progress.say(f"nothing is published{f': {settings.withheld}' if settings.withheld else ''}")
        return ()
    if settings.untagged:
        raise MultiarchError(settings.untagged)
    return publish(run).tags


def publish(run: Run, digests: Mapping[Platform, str] | None = None) -> Published:
    """Compose what was pushed for each platform, by default what is under the staging tags, and publish it."""
    settings = run.settings
    if settings.platforms:
        _start_registry(run)
    try_images = partial(_smoke, run)
    return manifest.manifest(settings, run.registries, digests, say=run.progress.say, try_images=try_images)


def inspect(run: Run) -> list[str]:
    """Return the lines that show what is published."""
    from multiarch.publish import inspection

    _start_registry(run)
    return inspection.inspect(run.settings, run.registries)


def commands(settings: Settings, *, inspect: bool) -> list[list[str]]:
    """Return the document's commands, or those that show what is published."""
    from multiarch.publish import inspection

    if inspect:
        return inspection.commands(settings)
    return [] if settings.output.type == "none" else manifest.commands(settings)


def _start_registry(run: Run) -> None:
    if run.settings.embedded:
        from multiarch.registry import embedded

        embedded.start_registry(run.host)


def _smoke(run: Run, images: Sequence[StagedImage]) -> None:
    """Run what there is to run in the images, all at once; the first failure ends the others."""
    tried = [(t, image) for t, image in zip(run.settings.matrix, images, strict=True) if t.smoke]
    if tried:
        from multiarch.publish import smoke

        seconds = run.settings.smoke_seconds
        run.together([partial(smoke.check_runs, t, image, seconds, run.host) for t, image in tried])
