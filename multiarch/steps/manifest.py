"""Step 5, ``manifest``: one index over the platforms' images, under the published tags ("Pushing manifest")."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from multiarch.config.settings import OutputKind
from multiarch.publish import commands as dry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.config.settings import Settings
    from multiarch.image.platform import Platform
    from multiarch.publish.publication import Published
    from multiarch.publish.staged import StagedImage
    from multiarch.publish.tags import PublishedTag
    from multiarch.run import Run


def run(run: Run) -> tuple[PublishedTag, ...]:
    """Publish the images under the staging tags; nothing where nothing is pushed, as for a pull request.

    :raises GateError: they may not be published.
    :raises TagsNotMovedError: a tag could not be moved.
    """
    output, push = run.settings.build.output, run.settings.publish.push
    if output.kind is OutputKind.NONE or (push.withheld and not push.wanted):
        run.progress.say(f"nothing is published{push.reason}")
        return ()
    push.check()
    return publish(run).tags


def commands(settings: Settings) -> list[list[str]]:
    """Return the document's commands for this step."""
    return [] if settings.build.output.kind is OutputKind.NONE else dry.commands(settings)


def publish(run: Run, digests: Mapping[Platform, str] | None = None) -> Published:
    """Publish the matrix.

    :param digests: what was just pushed for each platform; None for what is under the staging tags.
    """
    from multiarch.publish.publication import publish_matrix

    settings = run.settings
    if settings.platforms:
        run.start_embedded_registry()
    with run.progress.detached():
        return publish_matrix(
            settings,
            run.registries,
            digests,
            say=run.progress.say,
            try_images=partial(_try_images, run),
            on_moved=run.on_moved,
        )


def _try_images(run: Run, images: Sequence[StagedImage]) -> None:
    """Run the images that have a smoke command, all at once; the first failure ends the others."""
    tried = [(entry, image) for entry, image in zip(run.settings.matrix, images, strict=True) if entry.smoke]
    if tried:
        from multiarch.publish import smoke

        seconds = run.settings.publish.smoke_seconds
        run.together([partial(smoke.check_runs, entry, image, seconds, run.host) for entry, image in tried])
