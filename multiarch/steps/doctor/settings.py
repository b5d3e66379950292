"""Settings, and what they name on this machine: contexts, Dockerfiles, secrets, keys."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from multiarch.config.schema import PREFIX
from multiarch.errors import ConfigurationError, MultiarchError
from multiarch.formatting import one_line
from multiarch.steps.doctor.finding import Finding, failure, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multiarch.config.project import Project
    from multiarch.config.settings import Settings
    from multiarch.run import Run

NAME = "settings"
_RETRY_SECONDS = 1.0  # a fault that passes by itself within it is none; one that lasts is told soon


def load(configured: object, environ: Mapping[str, str], flags: Mapping[str, Any]) -> tuple[Project, str]:
    """Read the project, which retries for a moment only; with the problem of its settings, empty where all is well.

    With a problem it is the project of no settings, so that what does not depend on them can be checked.

    :raises ConfigurationError: not even that can be read.
    """
    from multiarch.config.project import load_project

    problem = ""
    try:
        project = load_project(configured, environ, flags)
    except ConfigurationError as error:
        plain = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
        project, problem = load_project({}, plain, {"platforms": [os.uname().machine]}), one_line(str(error))
    seconds = min(_RETRY_SECONDS, project.settings.retry_seconds)
    return replace(project, settings=replace(project.settings, retry_seconds=seconds)), problem


def examine(run: Run) -> Iterator[Finding]:
    """Yield each thing that a release would refuse before it builds, and what was taken otherwise than written."""
    problems: dict[str, None] = {}
    for target in run.project:
        problems |= dict.fromkeys(_problems(target.settings, pushes=target.is_asked_for))
    yield from (failure(NAME, problem) for problem in problems)
    yield from (warning(NAME, one_line(note), "write it so, or leave it") for note in run.settings.notes)
    if not problems:
        platforms = ", ".join(map(str, dict.fromkeys(entry.platform for entry in run.project.matrix)))
        yield ok(NAME, f"{platforms} for {', '.join(map(str, run.settings.publish.images))}")


def _problems(settings: Settings, *, pushes: bool) -> Iterator[str]:
    """Yield what is wrong with the settings of a target."""
    from multiarch.buildkit.inputs import check_inputs

    checks = [lambda: settings.platforms, settings.publish.check]
    checks += [settings.publish.push.check] if pushes and settings.publish.push.wanted else []
    checks += [lambda entry=entry: check_inputs(settings, entry) for entry in settings.matrix]  # type: ignore[misc]
    for check in checks:
        try:
            check()
        except MultiarchError as error:
            yield one_line(str(error))
