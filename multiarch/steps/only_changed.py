"""`release --only-changed`: what is published as it would be built now is left out of the build, and gets its tags."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec.structs import replace

from multiarch.buildkit.bases import BuiltImage
from multiarch.config.checkout import Checkout
from multiarch.config.load import working_directory
from multiarch.publish import changes
from multiarch.publish.built_from import BuiltFrom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.project import Project
    from multiarch.publish.changes import Verdict
    from multiarch.run import Run


def leave_out(run: Run) -> dict[str, Verdict]:
    """Take what is unchanged out of the project of a run; return what is known of each target, by its name."""
    whole = run.project
    run.start_embedded_registry()
    unpublished = {one.settings.publish.images[0].name for one in whole if not changes.is_published(one)}
    found = changes.verdicts(whole, _commit(), BuiltFrom(run.sources, unpublished))
    for target in whole:
        verdict, name = found[target.name], target.name or "the image"
        if changes.is_published(target):
            run.progress.say(f"{name}: changed: {verdict.reason}" if verdict.reason else f"{name}: unchanged")
        if verdict.index:
            # What is built on it is built on what is published of it.
            image = BuiltImage(verdict.index.digest, target.settings.publish.images[0])
            run.bases.built(target.settings.matrix, image)
    run.project = changes.to_build(whole, found)
    return found


def take_in(run: Run, whole: Project, found: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """Put what was left out back into the project of a run; return what is known of each target after the build."""
    built = {target.name: target for target in run.project}
    run.project = replace(whole, targets=tuple(built.get(target.name, target) for target in whole))
    return changes.confirmed(whole, found, _commit())


def _commit() -> str:
    return Checkout(os.environ, working_directory()).revision
