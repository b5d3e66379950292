"""The gates between "every platform is pushed" and "the tag moves".

Each is a small function, and raises the error with its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multiarch.config.checkout import REVISION
from multiarch.image.platform import Platform
from multiarch.image.suitability import Findings, remark, unsuitable_for
from multiarch.publish.errors import (
    DroppedPlatformError,
    DroppedPlatforms,
    ForeignProgramError,
    IncompleteMatrixError,
    MissingImage,
    OtherCommitError,
    PlatformMismatchError,
    SurplusImageError,
    UnstartableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from multiarch.image.program import Program
    from multiarch.image.reference import ImageReference
    from multiarch.publish.staged import StagedPlatform
    from multiarch.publish.tags import TagState


def check_set(staged: Sequence[StagedPlatform]) -> None:
    """Check that every platform of the matrix has one image.

    :raises IncompleteMatrixError: a platform has none.
    :raises SurplusImageError: a platform has several.
    """
    if missing := [MissingImage(place.platform, place.reference) for place in staged if not place.images]:
        raise IncompleteMatrixError(missing)
    for place in staged:
        if len(place.images) > 1:
            raise SurplusImageError(place.platform, place.reference, [image.claim for image in place.images])


def check_nothing_dropped(matrix: Iterable[Platform], existing_tags: Iterable[TagState], *, allowed: bool) -> None:
    """Check that no tag loses a platform, unless that is *allowed*.

    :raises DroppedPlatformError: one would.
    """
    kept = set(matrix)
    dropped = [
        DroppedPlatforms(tag.reference, tuple(lost))
        for tag in existing_tags
        if (lost := sorted(set(tag.platforms) - kept))
    ]
    if dropped and not allowed:
        raise DroppedPlatformError(dropped)


def check_config(platform: Platform, reference: ImageReference, config: Mapping[str, Any]) -> None:
    """Check that an image's own config is for the platform that the index lists it for.

    :raises PlatformMismatchError: it is for another.
    """
    names = [str(config.get(key) or "") for key in ("os", "architecture", "variant")]
    try:
        actual = str(Platform.normalised(*names))
    except ValueError:
        actual = "/".join(filter(None, names))
    if actual != str(platform):
        is_variant = names[:2] == [platform.os, platform.architecture]
        raise PlatformMismatchError(reference, platform, actual or "nothing", is_variant=is_variant)


def check_revision(reference: ImageReference, config: Mapping[str, Any], revision: str) -> None:
    """Check that an image is of the commit that is published; one without a label passes.

    :param revision: the commit; empty where it is not known.
    :raises OtherCommitError: its label names another.
    """
    labels = (config.get("config") or {}).get("Labels") or {}
    actual = str(labels.get(REVISION) or "")
    if revision and actual and actual != revision:
        raise OtherCommitError(reference, revision, actual)


def check_programs(
    platform: Platform, reference: ImageReference, programs: Sequence[Program], foreign: Sequence[str] = ()
) -> Findings:
    """Check that what an image starts is there, and is of its platform.

    :param foreign: paths of files and directories that are for another platform on purpose.
    :returns: what was not checked, and what was let pass.
    :raises ForeignProgramError: it is of another platform. :raises UnstartableError: it starts nowhere.
    """
    if platform.os != "linux":
        return Findings((f"programs of {platform.os} are not followed",))
    notes: list[str] = []
    passed: list[str] = []
    for program in programs:
        actual = unsuitable_for(platform, program)
        if (actual or program.fault) and any(_is_below(program.path, path) for path in foreign):
            passed.append(program.path)
        elif (actual or program.fault) and not program.is_certain:
            notes.append(f"{program.fault or f'{program.path} is a program for {actual}'}, which may be started")
        elif actual:
            raise ForeignProgramError(reference, platform, program.path, actual)
        elif program.fault:
            raise UnstartableError(reference, platform, program.fault)
        else:
            notes += [note for note in (program.note, remark(platform, program)) if note]
    return Findings(tuple(dict.fromkeys(notes)), tuple(dict.fromkeys(passed)))


def _is_below(path: str, other: str) -> bool:
    """Whether a path is another one, or in that directory."""
    return path == other or path.startswith(f"{other.rstrip('/')}/")
