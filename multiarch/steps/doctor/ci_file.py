"""The file of a CI: whether it is as the settings give it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.errors import MultiarchError
from multiarch.formatting import one_line
from multiarch.steps.doctor.finding import Finding, failure, ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multiarch.run import Run

NAME = "ci-file"


def examine(run: Run) -> Iterator[Finding]:
    """Yield for each CI whose file runs our steps whether it is up to date."""
    from multiarch.pipelines import update

    here = Path.cwd()
    program = "invoke" if (here / "tasks.py").is_file() else "multiarch"
    try:
        kinds = update.existing_pipelines(here)
    except MultiarchError as error:
        yield failure(NAME, one_line(str(error)))
        return
    for ci in kinds:
        try:
            path = update.check_pipeline(run.project, ci, here, program=program)
        except MultiarchError as error:
            # The first line is the problem with its remedy; the lines that differ follow.
            yield failure(NAME, one_line(str(error).splitlines()[0]), f"see {program} pipeline --ci {ci} --check")
        else:
            yield ok(NAME, f"{path.relative_to(here)} is what the settings give")
