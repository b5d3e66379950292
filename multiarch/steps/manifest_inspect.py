"""``manifest --inspect``: what is published under the tags, as tables; nothing is written."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from multiarch.errors import MultiarchError
from multiarch.publish import inspection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from multiarch.config.project import Project
    from multiarch.image.reference import ImageReference
    from multiarch.run import Run


def run(run: Run) -> tuple[inspection.Line, ...]:
    """Return, for each tag, a line with its digest and media type, and a table of its platforms.

    Where the settings have something signed, both say whether it is.

    :raises NotPublishedError: nothing is under a tag.
    """
    run.start_embedded_registry()
    with _states(run) as states:
        tables = [inspection.inspect(target.settings, run.registries, states) for target in run.project.asked_for]
    return tuple(line for table in tables for line in table)


@contextmanager
def _states(run: Run) -> Iterator[Callable[[Sequence[ImageReference]], Sequence[str]] | None]:
    """Yield what knows of signatures; of none where cosign or the key cannot be used, which is told."""
    if (setting := run.settings.publish.sign) is None:
        yield None
        return
    from multiarch.publish import signing

    with ExitStack() as stack:
        try:
            opened = signing.opened(setting, run.registries, run.settings.publish.registries, run.progress.trace)
            signer, _ = stack.enter_context(opened)
        except MultiarchError as error:
            run.progress.say(f"signatures are not checked: {error}")
            yield lambda references: [signing.State.UNKNOWN.value for _ in references]
        else:
            yield lambda references: [state.value for state in signer.states(references)]


def commands(project: Project) -> list[list[str]]:
    """Return the commands that show the same, for ``--dry``."""
    return [command for target in project.asked_for for command in inspection.commands(target.settings)]
