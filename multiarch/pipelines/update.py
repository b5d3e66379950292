"""File of a pipeline, written anew or brought up to date.

A project's own comments, jobs, stages and settings stay, where the CI's file has room for them.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from multiarch.errors import ConfigurationError
from multiarch.pipelines import circleci, github, gitlab
from multiarch.pipelines.builder_secrets import notes
from multiarch.pipelines.errors import PipelineError
from multiarch.pipelines.model import plan
from multiarch.pipelines.text_file import read_text, write_text
from multiarch.pipelines.travis import writer as travis

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from multiarch.config.project import Project
    from multiarch.pipelines.model import Pipeline
    from multiarch.pipelines.yaml_merge import Place

# It is looked for in so many lines, and has a few of its own, whatever a file holds.
_HEADING = re.compile(
    r"((?:#.*\n|[^\S\n]*\n){0,1000}?)"
    r"# Written by `\w+ pipeline --ci \w+`.*\n(?:#.*\n){0,9}?# To be set at the CI: .*\n"
)
# The step that each of our jobs runs, which is nobody else's word.
_STEP = re.compile(r"\b(?:invoke|multiarch) build-arch --platform\b")
_BLANK = re.compile(r"(?:[ \t]*\n)*")
_BYTE_ORDER_MARK = "\ufeff"


class Writer(Protocol):
    """Module that writes the file of one CI; its functions have no *self* (PEP 544).

    :ivar PATH: of the file, in a repository.
    :ivar LISTS: the places of lists that hold a project's jobs or stages beside ours.
    """

    PATH: str
    LISTS: frozenset[Place]

    def write(self, pipeline: Pipeline, existing: dict[str, Any] | None) -> dict[str, Any]:
        """Return the part of the file that is ours, as plain data.

        :param existing: the file as it is; None for none.
        :raises PipelineError: it has no room for ours.
        """

    def is_ours(self, place: Place, key: str, value: Any) -> bool:
        """Whether a part of the file that is not written any more is ours, and to be removed.

        :param place: where it stands.
        :param key: its key, or the name of an item of a list.
        """

    def settings_of(self, pipeline: Pipeline) -> str:
        """Return what has to be set at the CI; empty for nothing."""


# By the names of `multiarch.config.settings.CIS`.
_WRITERS: Mapping[str, Writer] = {"travis": travis, "github": github, "gitlab": gitlab, "circleci": circleci}


class PipelineFile(Struct, frozen=True):
    """File of a CI.

    :ivar existing: the text that is in it; None where there is no file.
    :ivar wanted: the text that should be in it.
    """

    path: Path
    existing: str | None
    wanted: str


def write_pipeline(project: Project, ci: str, directory: Path, *, program: str) -> Path:
    """Write the file of a CI, or bring it up to date; return its path, below *directory*.

    :param ci: one of `multiarch.config.settings.CIS`.
    :param program: the program that runs the tasks.
    :raises ConfigurationError: the settings make no file for this CI.
    :raises PipelineError: the existing file cannot be read, or has no room.
    """
    file = pipeline_file(project, ci, directory, program=program)
    if file.existing != file.wanted:
        write_text(directory, _writer(ci).PATH, file.wanted)
    return file.path


def check_pipeline(project: Project, ci: str, directory: Path, *, program: str) -> Path:
    """Check that a file is as `write_pipeline` would leave it; return its path.

    :raises ConfigurationError: the settings make no file for this CI.
    :raises PipelineError: with each mistake and its line, or with the lines that differ.
    """
    writer = _writer(ci)
    pipeline = plan(project, ci, program=program)
    path, remedy = directory / writer.PATH, f"run: {pipeline.command}"
    existing = read_text(directory, writer.PATH)
    if existing is None:
        raise PipelineError(f"{writer.PATH}: there is no such file; {remedy}")
    if ci == "travis" and (mistakes := _mistakes(existing, writer.PATH)):
        raise PipelineError(f"{writer.PATH} has mistakes that Travis passes over; correct them:", mistakes)
    file = _file(writer, pipeline, directory)
    if file.existing != file.wanted:
        lines = difflib.unified_diff(
            (file.existing or "").splitlines(),
            file.wanted.splitlines(),
            writer.PATH,
            f"{writer.PATH} as it would be",
            lineterm="",
        )
        raise PipelineError(f"{writer.PATH} is not what the settings give; {remedy}", lines)
    return path


def _mistakes(text: str, name: str) -> list[str]:
    from multiarch.pipelines.travis import lint

    return lint.check(text, name)


def existing_pipelines(directory: Path) -> list[str]:
    """Return the CIs whose file in a directory runs our steps, whether or not it is up to date.

    :raises PipelineError: a file cannot be read.
    """
    texts = {ci: read_text(directory, writer.PATH) or "" for ci, writer in _WRITERS.items()}
    return [ci for ci, text in texts.items() if _HEADING.match(text) or _STEP.search(text)]


def pipeline_file(project: Project, ci: str, directory: Path, *, program: str) -> PipelineFile:
    """Return the file of a CI, and write nothing. Parameters and errors are those of `write_pipeline`."""
    writer = _writer(ci)
    return _file(writer, plan(project, ci, program=program), directory)


def _writer(ci: str) -> Writer:
    if ci not in _WRITERS:
        names = ", ".join(_WRITERS)
        raise ConfigurationError("--ci", f"{ci!r} is none of {names}" if ci else f"name one of {names}")
    return _WRITERS[ci]


def _file(writer: Writer, pipeline: Pipeline, directory: Path) -> PipelineFile:
    existing = read_text(directory, writer.PATH)
    wanted = _render(writer, pipeline, existing)
    # The parser does not write all of YAML as it read it: what comes to rest only at the next run may have lost more.
    if existing and not _is_stable(writer, pipeline, wanted):
        raise PipelineError(f"{writer.PATH}: ours cannot be merged into it as it is written; write it more simply")
    return PipelineFile(directory / writer.PATH, existing, wanted)


def _is_stable(writer: Writer, pipeline: Pipeline, text: str) -> bool:
    """Whether a file is as it would be written again."""
    try:
        return _render(writer, pipeline, text) == text
    except PipelineError:
        return False


def _render(writer: Writer, pipeline: Pipeline, existing: str | None) -> str:
    """Return the text of a file.

    :param existing: the text to merge it into.
    :raises PipelineError: there is no room in that.
    """
    from multiarch.pipelines.yaml_merge import load_file, merged

    mark = _BYTE_ORDER_MARK if (existing or "").startswith(_BYTE_ORDER_MARK) else ""
    text = (existing or "").removeprefix(mark).replace("\r\n", "\n")
    # A comment in a last line without an end would take ours in.
    text += "\n" if text and not text.endswith("\n") else ""
    former = _HEADING.match(text)
    body = text[former.end() :] if former else text
    lines = _BLANK.match(body)
    # Blanks in them are left out: the parser takes no tabs there.
    blank = "\n" * (lines[0].count("\n") if lines else 0)
    body = body.removeprefix(blank)
    data = load_file(body, writer.PATH)
    if not (existing or "\n").endswith("\n") and data != load_file(body.removesuffix("\n"), writer.PATH):
        # The end of a block of text that has none: with one, it says something else.
        raise PipelineError(f"{writer.PATH}: its last line has no end, and is of a text in a block; end it")
    # The file of a project that has none of ours says nothing of us.
    heading = (former[1] if former else "") + _heading(writer, pipeline) if former or data is None else ""
    new = heading + blank + merged(body, data, writer.write(pipeline, data), writer.LISTS, writer.is_ours)
    return mark + (new.replace("\n", "\r\n") if "\r\n" in (existing or "") else new)


def _heading(writer: Writer, pipeline: Pipeline) -> str:
    """Return the comment above a file of ours: where it comes from, and what has to be set at the CI."""
    jobs = "A job for each platform, each on a machine of its own, then one that publishes."
    if pipeline.has_targets:
        jobs = "A job for each platform of what is built on each other, then one that publishes all."
    lines = [
        f"Written by `{pipeline.command}` from invoke.yaml; run it again when that changes: what is",
        f"your own in here stays. {jobs}",
        *notes(pipeline.builder_secrets),
        f"To be set at the CI: {writer.settings_of(pipeline) or 'nothing'}.",
    ]
    return "".join(f"# {line}\n" for line in lines)
