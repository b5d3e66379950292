"""The inputs of a target's build, each as a digest: the record by which `--only-changed` knows an image again.

It is an annotation of the published index, so that no other place has to be kept, and any clone will do.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from multiarch.buildkit.inputs import dockerfile_path
from multiarch.buildkit.sent_files import SentFiles, UnreadableFileError, ignore_file
from multiarch.config.checkout import REVISION
from multiarch.image.documents import maps_texts, parse_object
from multiarch.image.reference import ImageReference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.project import Project, Target
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.platform import Platform

ANNOTATION = "multiarch.inputs"
COMMIT = "commit"  # the input of one platform that says what was checked out
# Raised when what counts as an input changes: records of other versions are those of nothing.
_VERSION = "1"
# A directive, in any comment: more than BuildKit takes for one (frontend/dockerfile/parser/directives.go).
_SYNTAX = re.compile(rb"""["#/\s]syntax["\s]*[=:]\s*"?([^\s",}]+)""", re.IGNORECASE)
_HEAD = 1 << 16  # bytes of a Dockerfile in which directives are looked for
_POLICY = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"
_DIGITS = 32  # of each digest


class UnknownInputsError(Exception):
    """What an image is built from cannot be known. ``str(error)`` says why, for the line of the target."""


def read_inputs(project: Project, target: Target, commit: str, sent: SentFiles | None = None) -> dict[str, str]:
    """Return the digest of each input of a target, by its name.

    :param commit: what is checked out, for contexts that a ``.git`` is sent with.
    :param sent: reads the files that are sent, and may have read them already.
    :raises UnknownInputsError: there is one that this machine cannot know.
    """
    return _read(project, target, commit, sent or SentFiles(), {})


def inputs_of_platform(
    project: Project, target: Target, platform: Platform, commit: str, sent: SentFiles
) -> dict[str, str]:
    """Return the digest of each input of one platform of a target, by its name; the commit is one of them.

    :param sent: reads the files.
    :raises UnknownInputsError: there is one that this machine cannot know.
    """
    kept = {target.name: {platform}}
    for one in reversed(project.targets):
        for base in map(project.target, one.bases.values() if one.name in kept else ()):
            kept.setdefault(base.name, set()).update(one.base_platform(base, own) for own in kept[one.name])
    targets = tuple(_with_platforms(one, kept[one.name]) for one in project if one.name in kept)
    narrow = replace(project, targets=targets)
    return {**read_inputs(narrow, narrow.target(target.name), commit, sent), COMMIT: commit}


def _with_platforms(target: Target, platforms: set[Platform]) -> Target:
    matrix = tuple(entry for entry in target.settings.matrix if entry.platform in platforms)
    return replace(target, settings=replace(target.settings, matrix=matrix))


def _read(
    project: Project, target: Target, commit: str, sent: SentFiles, known: dict[str, dict[str, str]]
) -> dict[str, str]:
    """Return the inputs of a target. :param known: by name, those that were read: several may be built on one."""
    if target.name not in known:
        known[target.name] = _read_own(project, target, commit, sent, known)
    return known[target.name]


def _read_own(
    project: Project, target: Target, commit: str, sent: SentFiles, known: dict[str, dict[str, str]]
) -> dict[str, str]:
    settings = target.settings
    build = settings.build
    parts: dict[str, Any] = {
        "version": _VERSION,
        "platforms": [str(platform) for platform in settings.platforms],
        "labels": {name: value for name, value in build.labels.items() if name != REVISION},
        "annotations": {name: value for name, value in settings.publish.annotations.items() if name != REVISION},
        "frontend": [build.frontend, build.source],
        "exporter": build.exporter,
        "attestations": dict(build.attestations),
        # buildctl passes it on to the frontend by itself (BuildKit, docs/build-repro.md).
        "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", ""),
        "entitlements": [one.value for one in settings.builder.entitlements],
    }
    if os.environ.get(_POLICY):
        raise UnknownInputsError(f"{_POLICY} may put other images in the place of those that it names")
    for name in (*build.secrets, *build.ssh):
        raise UnknownInputsError(f"the secret {name} is not compared")
    try:
        for entry in settings.matrix:
            for name, value in _entry_parts(entry, commit, sent).items():
                parts.setdefault(name, {})[str(entry.platform)] = value
    except UnreadableFileError as error:
        raise UnknownInputsError(str(error)) from None
    except OSError as error:  # of a look at what may be there, such as through a link that leads nowhere
        raise UnknownInputsError(f"{error.filename}: {error.strerror}") from None
    parts["bases"] = {
        context: _read(project, project.target(base), commit, sent, known) for context, base in target.bases.items()
    }
    return {name: _digest(value) for name, value in parts.items()}


def _entry_parts(entry: MatrixEntry, commit: str, sent: SentFiles) -> dict[str, Any]:
    """Return what is built for one platform. :param sent: reads the files, which the platforms share."""
    if not entry.context.is_local:
        raise UnknownInputsError(f"its context is {entry.context.place}")
    if "BUILDKIT_SYNTAX" in entry.build_args:
        raise UnknownInputsError("its frontend is that of the build argument BUILDKIT_SYNTAX")
    dockerfile = dockerfile_path(entry)

    def directory(path: Path, ignored: Path | None) -> list[str]:
        digest, has_git = sent.directory(path, ignored)
        return [digest, *([commit] if has_git else [])]

    context = Path(entry.context.place)
    ignored = ignore_file(context, dockerfile)
    named: dict[str, Any] = {}
    for name, other in entry.contexts.items():
        if not other.is_local and not other.place.startswith("docker-image://"):
            raise UnknownInputsError(f"its context {name} is {other.place}")
        place = Path(other.place)
        # All of its files: whether an ignore file holds for it depends on the version of BuildKit.
        named[name] = directory(place, None) if other.is_local else other.place
    return {
        "context": directory(context, ignored),
        "contexts": named,
        "Dockerfile": sent.file(dockerfile),
        "ignore file": sent.file(ignored) if ignored else "",
        "target": entry.stage,
        "build_args": dict(entry.build_args),
        "annotations of platforms": dict(entry.annotations),
    }


def frontends(target: Target) -> set[str]:
    """Return the repositories of the frontends that Dockerfiles name (``# syntax=``): all that may be taken for one.

    :raises UnknownInputsError: a Dockerfile cannot be read, or names none that can be.
    """
    found: set[str] = set()
    for path in {dockerfile_path(entry) for entry in target.settings.matrix}:
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD)
            found |= {ImageReference.parse(name.decode(errors="replace")).name for name in _SYNTAX.findall(head)}
        except (OSError, ValueError) as error:
            raise UnknownInputsError(f"{path}: {error}") from None
    return found


def write_record(inputs: Mapping[str, str]) -> str:
    """Return the value of the annotation."""
    return json.dumps(dict(sorted(inputs.items())), separators=(",", ":"))


def read_record(text: str) -> dict[str, str] | None:
    """Return the inputs that the annotation of a published index names; None where it is no record."""
    try:
        record = parse_object(text.encode())
    except ValueError:
        return None
    return record if maps_texts(record) else None


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
