"""The file of a pipeline: written anew, or brought up to date with what else stands in it kept.

A project's own comments, jobs, stages and settings stay, where the CI's file has room for them; what is ours is as the
model says.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError, PipelineError
from multiarch.pipelines import circleci, github, gitlab
from multiarch.pipelines.model import plan
from multiarch.pipelines.travis import writer as travis

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from multiarch.config.settings import Settings
    from multiarch.pipelines.model import Pipeline

_WRITERS = {"travis": travis, "github": github, "gitlab": gitlab, "circleci": circleci}
_HEADING = re.compile(
    r"((?:#.*\n|[^\S\n]*\n)*?)# Written by `\w+ pipeline --ci \w+`.*\n(?:#.*\n)*?# To be set at the CI: .*\n"
)


def write_pipeline(settings: Settings, ci: str, directory: Path, *, program: str) -> Path:
    """Write the file of a CI, or bring it up to date; return its path, below *directory*.

    :param ci: one of `multiarch.config.settings.CIS`.
    :param program: by which the tasks are run.
    :raises PipelineError: what is there cannot be read.
    :raises ConfigurationError: the settings give no file.
    """
    path, there, wanted = pipeline_text(settings, ci, directory, program=program)
    if there != wanted:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted, newline="")
    return path


def check_pipeline(settings: Settings, ci: str, directory: Path, *, program: str) -> Path:
    """Return the path of a file that is as `write_pipeline` would leave it.

    :raises PipelineError: with each mistake and its line, or with the lines that differ.
    """
    path: Path = directory / _writer(ci).PATH
    # Where the settings do not give a file at all, that is the first thing to correct.
    plan(settings, ci, program=program)
    name, again = path.relative_to(directory), f"run: {program} pipeline --ci {ci}"
    if not path.is_file():
        raise PipelineError(f"{name}: there is no such file; {again}")
    if ci == "travis" and (mistakes := _mistakes(path, str(name))):
        raise PipelineError(f"{name} has mistakes that Travis passes over; correct them:", mistakes)
    _, there, wanted = pipeline_text(settings, ci, directory, program=program)
    if there != wanted:
        now, then = (there or "").splitlines(), wanted.splitlines()
        lines = difflib.unified_diff(now, then, str(name), f"{name} as it would be", lineterm="")
        raise PipelineError(f"{name} is not what the settings give; {again}", lines)
    return path


def _mistakes(path: Path, name: str) -> list[str]:
    from multiarch.pipelines.travis import lint as travis_check

    return travis_check.check(path.read_text(), name)


def pipeline_text(settings: Settings, ci: str, directory: Path, *, program: str) -> tuple[Path, str | None, str]:
    """Return the path of a CI's file, the text that is there, and the text that should be."""
    writer = _writer(ci)
    pipeline = plan(settings, ci, program=program)
    path = directory / writer.PATH
    there = _read(path) if path.is_file() else None
    return path, there, _render(writer, pipeline, there, ci)


def _writer(ci: str) -> ModuleType:
    if ci not in _WRITERS:
        names = ", ".join(_WRITERS)
        raise ConfigurationError("--ci", f"{ci!r} is none of {names}" if ci else f"name one of {names}")
    return _WRITERS[ci]


def _read(path: Path) -> str:
    with path.open(newline="") as file:
        return file.read()


def _render(writer: ModuleType, pipeline: Pipeline, there: str | None, ci: str) -> str:
    """Return the text of a file; *there* is the one that it is to be merged into.

    :raises PipelineError: there is no room in it.
    """
    from multiarch.pipelines.yaml_merge import load_file, merged

    text = (there or "").replace("\r\n", "\n")
    ours = _HEADING.match(text)
    body = text[ours.end() :] if ours else text
    blank = body[: len(body) - len(body.lstrip("\n"))]
    body = body.removeprefix(blank)
    data = load_file(body, writer.PATH)
    # What is a project's own file does not tell of us.
    heading = (ours[1] if ours else "") + _heading(writer, pipeline, ci) if ours or data is None else ""
    new = heading + blank + merged(body, data, writer.write(pipeline, data), writer.LISTS, writer.is_ours)
    return new.replace("\n", "\r\n") if "\r\n" in (there or "") else new


def _heading(writer: ModuleType, pipeline: Pipeline, ci: str) -> str:
    """Return what a file of ours says of itself, and of what the CI has to be told."""
    needed = writer.settings_of(pipeline)
    lines = (
        f"Written by `{pipeline.program} pipeline --ci {ci}` from invoke.yaml; run it again when that changes: what is",
        "your own in here stays. A job for each platform, each on a machine of its own, then one that publishes.",
        f"To be set at the CI: {needed or 'nothing'}.",
    )
    return "".join(f"# {line}\n" for line in lines)
