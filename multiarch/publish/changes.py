"""Which targets have changed since they were published: `--only-changed`.

A target is unchanged where one of its tags points to an index whose record names the very inputs of today, and every
image that it was built from is still what its tag points to. Whatever cannot be known is a change. What a package
manager fetches within a ``RUN`` is not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from multiarch.concurrency import each
from multiarch.errors import MultiarchError
from multiarch.publish.built_from import BuiltFrom, MovedError
from multiarch.publish.inputs import ANNOTATION, UnknownInputsError, frontends, read_inputs, read_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.project import Project, Target
    from multiarch.image.manifest import Manifest


_USUAL = "latest"


class Verdict(Struct, frozen=True):
    """What is known of a target.

    :ivar reason: why it is built; empty where it is unchanged.
    :ivar index: what is published of an unchanged one; None of a changed one.
    :ivar inputs: what it is built from; empty where that is not known, and nothing is recorded.
    """

    reason: str
    index: Manifest | None
    inputs: Mapping[str, str]


def verdicts(project: Project, commit: str, built_from: BuiltFrom) -> dict[str, Verdict]:
    """Return what is known of each target, by its name.

    :param commit: what is checked out; empty where git does not know.
    :param built_from: tells what published images were built from.
    """
    found: dict[str, Verdict] = {}
    alone = each(lambda target: _verdict(project, target, commit, built_from), project.targets)
    for target, verdict in zip(project, alone, strict=True):
        reason = verdict.reason or _reason_of_bases(project, target, verdict, found, built_from)
        found[target.name] = Verdict(reason, None, verdict.inputs) if reason else verdict
    return found


def _verdict(project: Project, target: Target, commit: str, built_from: BuiltFrom) -> Verdict:
    """Return what is known of a target, apart from what it is built on."""
    inputs: dict[str, str] = {}
    try:
        inputs = read_inputs(project, target, commit)
        index = _published(target, inputs, built_from)
        return Verdict("", index, inputs)
    except (MovedError, UnknownInputsError) as error:
        return Verdict(str(error), None, inputs)
    except MultiarchError as error:
        return Verdict(f"what is published cannot be read ({error})", None, inputs)


def _published(target: Target, inputs: Mapping[str, str], built_from: BuiltFrom) -> Manifest:
    """Return the published index that was built from these inputs. :raises MovedError: there is none."""
    settings = target.settings
    if settings.build.no_cache:
        raise MovedError("no_cache runs every step again")
    if settings.publish.add:
        raise MovedError("images that were built elsewhere are added to it")
    if not settings.publish.tags:
        raise MovedError("it has no tags")
    reason = "nothing is published under its tags"
    # A new version of what has not changed finds it under the tag that most have.
    for tag in dict.fromkeys((*settings.publish.tags, _USUAL)):
        reference = settings.publish.images[0].with_tag(tag)
        index = built_from.manifest(reference)
        if index is None:
            continue
        record = read_record(index.annotations.get(ANNOTATION, ""))
        if record is None:
            reason = f"{reference} does not say what it was built from"
            continue
        different = sorted(name for name in record.keys() | inputs.keys() if record.get(name) != inputs.get(name))
        if different:
            reason = f"{reference} was built from other inputs: {', '.join(different)}"
            continue
        built_from.check(reference, index, settings.platforms)
        named = {material.image.name for material in built_from.materials(reference, index) if material.image}
        if unnamed := sorted(frontends(target) - named):
            raise MovedError(f"the provenance does not tell of its frontend {unnamed[0]}")
        return index
    raise MovedError(reason)


def _reason_of_bases(
    project: Project, target: Target, verdict: Verdict, found: Mapping[str, Verdict], built_from: BuiltFrom
) -> str:
    """Return why a target has changed with what it is built on; nothing where it has not."""
    for name in dict.fromkeys(target.bases.values()):
        base = project.target(name)
        if is_published(base) and found[name].reason:
            return f"{name}, which it is built on, has changed"
        reference = target.settings.publish.images[0].with_tag(target.settings.publish.tags[0])
        repository = base.settings.publish.images[0]
        published = found[name].index if is_published(base) else None
        try:
            if verdict.index:
                built_from.check_base(reference, verdict.index, repository, published)
        except MovedError as error:
            return f"{name}, which it is built on: {error}"
        except MultiarchError as error:
            return f"{name}, which it is built on, cannot be read ({error})"
    return ""


def is_published(target: Target) -> bool:
    """Whether tags of a target move in this run; else it may be for those that are built on it alone."""
    return target.is_asked_for and bool(target.settings.publish.tags)


def to_build(project: Project, found: Mapping[str, Verdict]) -> Project:
    """Return the project with the targets to build: those that have changed, and bases without tags of these."""
    asked_for = [target for target in project.asked_for if target.settings.publish.tags] or project.asked_for
    wanted = {target.name for target in asked_for if found[target.name].reason}
    for target in reversed(project.targets):
        if target.name in wanted:
            wanted |= {base for base in target.bases.values() if found[base].reason}
    return replace(project, targets=tuple(target for target in project if target.name in wanted))


def confirmed(project: Project, found: Mapping[str, Verdict], commit: str) -> dict[str, Verdict]:
    """Return the verdicts, without the inputs that became others while they were built: no record is of those."""

    def confirm(target: Target) -> Verdict:
        verdict = found[target.name]
        try:
            is_same = verdict.index is not None or read_inputs(project, target, commit) == verdict.inputs
        except UnknownInputsError:
            is_same = False
        return verdict if is_same else replace(verdict, inputs={})

    return {target.name: confirm(target) for target in project}
