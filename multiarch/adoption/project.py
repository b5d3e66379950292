"""Adoption of a project: its ``invoke.yaml`` with what its files say, and a ``tasks.py`` where there is none."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from multiarch.adoption.block import KEY, is_of_targets, settings_of, with_block
from multiarch.adoption.errors import AdoptionError
from multiarch.adoption.evidence import NO_CHECKOUT, gather, read_block
from multiarch.config.project import load_project
from multiarch.errors import ConfigurationError
from multiarch.pipelines.errors import PipelineError
from multiarch.pipelines.text_file import read_text, write_text
from multiarch.pipelines.yaml_merge import load_file

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.adoption.findings import Doubt, Evidence, FoundImage

# In the order in which Invoke looks for them.
_NAMES = ("invoke.yaml", "invoke.yml")
_OTHERS = ("invoke.json", "invoke.py")
_TASKS = "tasks.py"
_TASKS_TEXT = '"""Tasks of this project; `invoke --list` shows them."""\n\nfrom multiarch import ns  # noqa: F401\n'
_OWN_NAMESPACE = re.compile(r"^(?:ns|namespace)\s*=", re.MULTILINE)
_ADOPTED = re.compile(r"^\s*(?:from|import)\s+multiarch\b", re.MULTILINE)
_LINES = ("from multiarch import ns", "ns.add_task(TASK)  # one such line for each task of yours")
_LINES_OF_OWN = ("from multiarch import ns as multiarch", 'ns.add_collection(multiarch, "multiarch")')


class AdoptedFile(Struct, frozen=True):
    """File that adoption writes. :ivar existing: its text as it is; None where there is no file."""

    name: str
    existing: str | None
    wanted: str


class Adoption(Struct, frozen=True):
    """What adopting a project comes to.

    :ivar files: in the order in which they are written; the first is Invoke's.
    :ivar lines: where each value comes from, what is in doubt, and what is left to do, for a person.
    """

    files: tuple[AdoptedFile, ...]
    lines: tuple[str, ...]


def plan_adoption(directory: Path) -> Adoption:
    """Return what adopting the project in a directory comes to, and write nothing.

    :raises AdoptionError: its invoke.yaml cannot be read, or has no room; what was found does not fit together.
    """
    name, existing = _invoke_file(directory)
    known = _block(existing or "", name)
    evidence = gather(directory, known)
    images = {image.name: image for image in known.images}
    block = settings_of(evidence, images)
    wanted = with_block(existing or "", block, _named_doubts(evidence), name)
    _check_settings(wanted, name, directory)
    files, hints = [AdoptedFile(name, existing, wanted)], list[str]()
    tasks = _tasks(directory)
    if tasks is None:
        files.append(AdoptedFile(_TASKS, None, _TASKS_TEXT))
    elif not _ADOPTED.search(tasks):
        lines = _LINES_OF_OWN if _OWN_NAMESPACE.search(tasks) else _LINES
        hints = [f"{_TASKS}: it is yours; add to its end:", *(f"  {line}" for line in lines)]
    told = _told(evidence, images)
    return Adoption(tuple(files), (*told, *hints))


def adopt(adoption: Adoption, directory: Path) -> None:
    """Write the files that are not as they should be. :raises AdoptionError: one cannot be written."""
    for file in adoption.files:
        if file.existing != file.wanted:
            try:
                write_text(directory, file.name, file.wanted)
            except PipelineError as error:
                raise AdoptionError(str(error)) from None


def check_adoption(adoption: Adoption, command: str) -> None:
    """Check that all files are as `adopt` would leave them. :raises AdoptionError: with the lines that differ."""
    for file in adoption.files:
        if file.existing is None:
            raise AdoptionError(f"{file.name}: there is no such file; run: {command}")
        if file.existing != file.wanted:
            lines = difflib.unified_diff(
                file.existing.splitlines(),
                file.wanted.splitlines(),
                file.name,
                f"{file.name} as it would be",
                lineterm="",
            )
            raise AdoptionError(f"{file.name} is not what the project's files give; run: {command}", lines)


def _invoke_file(directory: Path) -> tuple[str, str | None]:
    """Return the name of Invoke's file and its text. :raises AdoptionError: it is in another language than YAML."""
    try:
        for name in _NAMES:
            if (text := read_text(directory, name)) is not None:
                return name, text
        for name in _OTHERS:
            if (directory / name).exists():
                raise AdoptionError(f"{name}: init writes YAML only; move what is in it to {_NAMES[0]}")
    except PipelineError as error:
        raise AdoptionError(str(error)) from None
    return _NAMES[0], None


def _block(text: str, name: str) -> Evidence:
    try:
        data = load_file(text.removeprefix("\ufeff").replace("\r\n", "\n"), name)
    except PipelineError as error:
        raise AdoptionError(str(error)) from None
    return read_block(_plain((data or {}).get(KEY)), name)


def _check_settings(text: str, name: str, directory: Path) -> None:
    """Check that a file's settings are valid together. :raises AdoptionError: they are not."""
    data = load_file(text.removeprefix("\ufeff").replace("\r\n", "\n"), name)
    try:
        load_project(_plain(data.get(KEY)), {}, {}, directory=directory / NO_CHECKOUT)
    except ConfigurationError as error:
        raise AdoptionError(f"what was found does not fit together, and nothing is written: {error}") from None


def _plain(value: Any) -> Any:
    """Return data without the parser's own types, which keep comments."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _tasks(directory: Path) -> str | None:
    """Return the text of the project's tasks; None where it has none."""
    try:
        text = read_text(directory, _TASKS)
        return read_text(directory, "tasks/__init__.py") if text is None else text
    except PipelineError as error:
        raise AdoptionError(str(error)) from None


def _path(image: FoundImage, setting: str, evidence: Evidence) -> str:
    return f"{KEY}.targets.{image.name}.{setting}" if is_of_targets(evidence) else f"{KEY}.{setting}"


def _named_doubts(evidence: Evidence) -> list[Doubt]:
    """Return all doubts, those of a target with its name in front."""
    of_images = [
        replace(doubt, setting=doubt.setting and _path(image, doubt.setting, evidence).removeprefix(f"{KEY}."))
        for image in evidence.images
        for doubt in image.doubts
    ]
    return [*of_images, *evidence.doubts]


def _told(evidence: Evidence, known: dict[str, FoundImage]) -> list[str]:
    """Return lines for people: where each new setting comes from, and what is in doubt."""
    lines = []
    for image in evidence.images:
        former = known[image.name].findings if image.name in known else {}
        for setting, finding in image.findings.items():
            if setting not in former:
                lines.append(f"{finding.place} -> {_path(image, setting, evidence)}")
    for doubt in _named_doubts(evidence):
        subject = f"{doubt.setting}: not sure: " if doubt.setting else ""
        lines.append(f"{doubt.place}: {subject}{doubt.reason}" if doubt.place else f"{subject}{doubt.reason}")
    return lines
