"""``manifest --inspect``: what is published under the tags, as tables; nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.publish import inspection

if TYPE_CHECKING:
    from multiarch.config.settings import Settings
    from multiarch.run import Run


def run(run: Run) -> tuple[str, ...]:
    """Return, for each tag, a line with its digest and media type, and a table of its platforms.

    :raises NotPublishedError: nothing is under a tag.
    """
    run.start_embedded_registry()
    return tuple(inspection.inspect(run.settings, run.registries))


def commands(settings: Settings) -> list[list[str]]:
    """Return the commands that show the same, for ``--dry``."""
    return inspection.commands(settings)
