"""The gates between "every platform is pushed" and "the tag moves".

Each is a small function, and raises the error with its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multiarch.config.checkout import REVISION
from multiarch.image.elf import architectures_of
from multiarch.image.platform import Platform, runs_natively
from multiarch.publish.errors import (
    DroppedPlatformError,
    DroppedPlatforms,
    ForeignProgramError,
    IncompleteMatrixError,
    MissingImage,
    OtherCommitError,
    PlatformMismatchError,
    SurplusImageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from multiarch.image.programs import Program
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
        raise PlatformMismatchError(reference, platform, actual or "nothing")


def check_revision(reference: ImageReference, config: Mapping[str, Any], revision: str) -> None:
    """Check that an image is of the commit that is published; one without a label passes.

    :param revision: the commit; empty where it is not known.
    :raises OtherCommitError: its label names another.
    """
    labels = (config.get("config") or {}).get("Labels") or {}
    actual = str(labels.get(REVISION) or "")
    if revision and actual and actual != revision:
        raise OtherCommitError(reference, revision, actual)


def check_programs(platform: Platform, reference: ImageReference, programs: Sequence[Program]) -> str:
    """Check that the programs which an image starts are of its platform.

    :returns: a note where no program was found, or not all were looked for, else nothing.
    :raises ForeignProgramError: it is one of another.
    """
    for program in programs:
        architectures = architectures_of(program.elf) if program.elf else ()
        if program.elf and not any(runs_natively(Platform("linux", a), platform.architecture) for a in architectures):
            actual = "/".join(architectures) or f"ELF machine {program.elf.machine}"
            raise ForeignProgramError(reference, platform, program.path, actual)
    first, *others = programs
    if not first.elf:
        return f"{platform}: its program was not checked: {first.note}"
    notes = [program.note for program in others if not program.elf]
    return f"{platform}: not all of its programs were checked: {'; '.join(notes)}" if notes else ""
