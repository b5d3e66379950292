"""The inputs of a target's build, each as a digest: the record by which `--only-changed` knows an image again.

It is an annotation of the published index, so that no other place has to be kept, and any clone will do.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

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
_BASES = "bases"  # the input that all of what an image is built on counts as

_Platforms: TypeAlias = "frozenset[Platform] | None"  # None for all that a target has
KnownInputs: TypeAlias = "dict[tuple[str, _Platforms], dict[str, str]]"


class UnknownInputsError(Exception):
    """What an image is built from cannot be known. ``str(error)`` says why, for the line of the target."""


def read_inputs(project: Project, target: Target, commit: str, sent: SentFiles | None = None) -> dict[str, str]:
    """Return the digest of each input of a target, by its name.

    :param commit: what is checked out, for contexts that a ``.git`` is sent with.
    :param sent: reads the files that are sent, and may have read them already.
    :raises UnknownInputsError: there is one that this machine cannot know.
    """
    return _read(project, target, None, commit, sent or SentFiles(), {})


def inputs_of_platform(
    project: Project, target: Target, platform: Platform, commit: str, sent: SentFiles, known: KnownInputs
) -> dict[str, str]:
    """Return the digest of each input of one platform of a target, by its name; the commit is one of them.

    :param sent: reads the files.
    :param known: what was read so far of the project, by the same files: each is read once, whatever is built on it.
    :raises UnknownInputsError: there is one that this machine cannot know.
    """
    return {**_read(project, target, frozenset([platform]), commit, sent, known), COMMIT: commit}


def are_own_inputs(inputs: Mapping[str, str], target: Target, platform: Platform, commit: str, sent: SentFiles) -> bool:
    """Whether the inputs of a platform still are those of its target; what it is built on was built, and stays.

    :raises UnknownInputsError: there is one that this machine cannot know.
    """
    own = _digests(_own_parts(target, frozenset([platform]), commit, sent))
    return own == {name: value for name, value in inputs.items() if name not in (_BASES, COMMIT)}


def _read(
    project: Project, target: Target, platforms: _Platforms, commit: str, sent: SentFiles, known: KnownInputs
) -> dict[str, str]:
    """Return the inputs of some platforms of a target, with those of what these are built on."""
    key = (target.name, platforms)
    if key not in known:
        own = _digests(_own_parts(target, platforms, commit, sent))
        bases = {}
        for context, name in target.bases.items():
            base = project.target(name)
            below = platforms and frozenset(target.base_platform(base, platform) for platform in platforms)
            bases[context] = _read(project, base, below, commit, sent, known)
        known[key] = {**own, **_digests({_BASES: bases})}
    return known[key]


def _own_parts(target: Target, platforms: _Platforms, commit: str, sent: SentFiles) -> dict[str, Any]:
    """Return the inputs of a build but for its bases, by name.

    :raises UnknownInputsError: one cannot be compared or read.
    """
    settings = target.settings
    matrix = [entry for entry in settings.matrix if platforms is None or entry.platform in platforms]
    build = settings.build
    parts: dict[str, Any] = {
        "version": _VERSION,
        "platforms": [str(entry.platform) for entry in matrix],
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
        for entry in matrix:
            for name, value in _entry_parts(entry, commit, sent).items():
                parts.setdefault(name, {})[str(entry.platform)] = value
    except UnreadableFileError as error:
        raise UnknownInputsError(str(error)) from None
    except OSError as error:  # of a look at what may be there, such as through a link that leads nowhere
        raise UnknownInputsError(f"{error.filename}: {error.strerror}") from None
    return parts


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


def _digests(parts: Mapping[str, object]) -> dict[str, str]:
    return {name: _digest(value) for name, value in parts.items()}


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
