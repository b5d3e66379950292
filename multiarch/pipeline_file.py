"""The file of a pipeline: written anew, or brought up to date with what else stands in it kept.

A project's own comments, jobs, stages and settings stay, where the CI's file has room for them; what is ours is as the
model says.
"""

from __future__ import annotations

import difflib
import io
from typing import TYPE_CHECKING, Any

from multiarch import circleci, github, gitlab, travis, travis_check
from multiarch.errors import ConfigurationError, PipelineError
from multiarch.pipeline import plan

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from multiarch.pipeline import Pipeline
    from multiarch.settings import Settings

_WRITERS = {"travis": travis, "github": github, "gitlab": gitlab, "circleci": circleci}
_WIDTH = 120


def write_pipeline(settings: Settings, ci: str, directory: Path, *, program: str) -> Path:
    """Write the file of a CI, or bring it up to date; return its path, below *directory*.

    :param ci: one of `multiarch.settings.CIS`.
    :param program: by which the tasks are run.
    :raises PipelineError: what is there cannot be read.
    """
    path, there, wanted = pipeline_text(settings, ci, directory, program=program)
    if there != wanted:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted)
    return path


def check_pipeline(settings: Settings, ci: str, directory: Path, *, program: str) -> Path:
    """Return the path of a file that is as `write_pipeline` would leave it.

    :raises PipelineError: with each mistake and its line, or with the lines that differ.
    """
    path: Path = directory / _writer(ci).PATH
    name, again = path.relative_to(directory), f"run: {program} pipeline --ci {ci}"
    if not path.is_file():
        raise PipelineError(f"{name}: there is no such file; {again}")
    if ci == "travis" and (mistakes := travis_check.check(path.read_text(), str(name))):
        raise PipelineError(f"{name} has mistakes that Travis passes over; correct them:", mistakes)
    _, there, wanted = pipeline_text(settings, ci, directory, program=program)
    if there != wanted:
        now, then = (there or "").splitlines(), wanted.splitlines()
        lines = difflib.unified_diff(now, then, str(name), f"{name} as it would be", lineterm="")
        raise PipelineError(f"{name} is not what the settings give; {again}", lines)
    return path


def pipeline_text(settings: Settings, ci: str, directory: Path, *, program: str) -> tuple[Path, str | None, str]:
    """Return the path of a CI's file, the text that is there, and the text that should be."""
    writer = _writer(ci)
    pipeline = plan(settings, ci, program=program)
    path = directory / writer.PATH
    there = path.read_text() if path.is_file() else None
    return path, there, render(writer, pipeline, there, header(pipeline, ci))


def _writer(ci: str) -> ModuleType:
    if ci not in _WRITERS:
        names = ", ".join(_WRITERS)
        raise ConfigurationError("--ci", f"{ci!r} is none of {names}" if ci else f"name one of {names}")
    return _WRITERS[ci]


def header(pipeline: Pipeline, ci: str) -> str:
    """Return what a new file says of itself, and of what the CI has to be told."""
    tell = [*(["INVOKE_MULTIARCH_IMAGE (the repository)"] if pipeline.needs_image else []), *pipeline.secrets]
    return (
        f"Written by `{pipeline.program} pipeline --ci {ci}` from invoke.yaml; run it again when that changes.\n"
        "Comments, and jobs of your own, stay. A job for each platform, each on a machine of its own, then one that\n"
        "publishes what they pushed.\n"
        f"Set in the settings of the CI: {', '.join(tell)}."
    )


def render(writer: ModuleType, pipeline: Pipeline, there: str | None, heading: str) -> str:
    """Return the text of a file.

    :param writer: the module of the CI: ``write``, ``OPEN`` and ``is_ours``.
    :param there: the text that it is to be merged into; None for a new file.
    :raises PipelineError: *there* is no YAML, or no mapping.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    yaml.width = _WIDTH
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), _nothing)
    wanted = writer.write(pipeline)
    try:
        kept = yaml.load(there) if there else None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{writer.PATH}:{mark.line + 1}" if mark else writer.PATH
        raise PipelineError(f"{where}: this is not YAML; correct it, or remove the file") from None
    if kept is None:
        kept = CommentedMap()
        kept.yaml_set_start_comment(heading)
    elif not isinstance(kept, CommentedMap):
        raise PipelineError(f"{writer.PATH}: this is no mapping; correct it, or remove the file")
    _Merge(writer).into(kept, wanted, ())
    out = io.StringIO()
    yaml.dump(kept, out)
    return out.getvalue()


class _Merge:
    """Brings what stands in a file to what is wanted, in place."""

    def __init__(self, writer: ModuleType) -> None:
        self._open = writer.OPEN
        self._is_ours = writer.is_ours

    def into(self, kept: Any, wanted: dict[str, Any], place: tuple[str, ...]) -> None:
        """Merge a mapping."""
        for key in list(kept):
            if key not in wanted and (place not in self._open or self._is_ours(place, key)):
                del kept[key]
        after = 0
        for key, value in wanted.items():
            if key in kept:
                kept[key] = self._merged(kept[key], value, (*place, key))
                after = list(kept).index(key) + 1
            else:
                kept.insert(after, key, self._merged(None, value, (*place, key)))
                after += 1

    def _merged(self, kept: Any, wanted: Any, place: tuple[str, ...]) -> Any:
        """Return what is there, brought to what is wanted; what is equal stays as it is written."""
        from ruamel.yaml.comments import CommentedMap, CommentedSeq
        from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

        if isinstance(wanted, dict):
            mapping = kept if isinstance(kept, CommentedMap) and not kept.merge and _is_alone(kept) else CommentedMap()
            self.into(mapping, wanted, place)
            return mapping
        if isinstance(wanted, list):
            there = list(kept) if isinstance(kept, list) else []
            if place in self._open:
                wanted = [*self._own(there, wanted, place), *wanted]
            same_length = len(there) == len(wanted)
            sequence = kept if isinstance(kept, CommentedSeq) and same_length and _is_alone(kept) else CommentedSeq()
            named = {name: item for item in there if (name := _name(item))}
            olds = [
                named.get(name) if (name := _name(item)) else there[number] if same_length else None
                for number, item in enumerate(wanted)
            ]
            items = [self._merged(old, item, (*place, "[]")) for old, item in zip(olds, wanted, strict=True)]
            sequence[:] = items
            return sequence
        if type(kept) is not type(None) and kept == wanted:
            return kept
        if isinstance(wanted, str) and "\n" in wanted:
            return LiteralScalarString(wanted)
        if isinstance(wanted, str) and wanted.replace(".", "").isdigit():
            return DoubleQuotedScalarString(wanted)
        return wanted

    def _own(self, there: list[Any], wanted: list[Any], place: tuple[str, ...]) -> list[Any]:
        """Return the project's own items of a list, which come first: tests before a release."""
        ours = {_name(item) for item in wanted}
        return [item for item in there if _name(item) not in ours and not self._is_ours(place, item)]


def _is_alone(node: Any) -> bool:
    """Tell whether a node stands in one place, so that it may be changed there."""
    return node.anchor.value is None


def _name(item: Any) -> str:
    """Return what an item of a list is known by, nothing where only its place tells: a job's name, a variable's."""
    if isinstance(item, dict):
        return str(item.get("name") or item.get("platform") or "")
    return str(item).partition("=")[0]


def _nothing(representer: Any, _: None) -> Any:
    """Write ``pull_request:``, with nothing after it."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "")
