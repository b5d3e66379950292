"""``manifest --inspect``: what is published under the tags, as tables; nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.publish import inspection

if TYPE_CHECKING:
    from multiarch.config.project import Project
    from multiarch.run import Run


def run(run: Run) -> tuple[str, ...]:
    """Return, for each tag, a line with its digest and media type, and a table of its platforms.

    :raises NotPublishedError: nothing is under a tag.
    """
    run.start_embedded_registry()
    return tuple(
        line for target in run.project.asked_for for line in inspection.inspect(target.settings, run.registries)
    )


def commands(project: Project) -> list[list[str]]:
    """Return the commands that show the same, for ``--dry``."""
    return [command for target in project.asked_for for command in inspection.commands(target.settings)]
