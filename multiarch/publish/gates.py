"""The gates: what stands between "every platform is pushed" and "the tag moves".

Each is a small function over what was staged, and raises the error that bears its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multiarch.config.checkout import REVISION
from multiarch.image.elf import architectures_of
from multiarch.image.platform import Platform, runs_natively
from multiarch.publish.errors import (
    DroppedPlatformError,
    ForeignProgramError,
    IncompleteMatrixError,
    OtherCommitError,
    PlatformMismatchError,
    SurplusImageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from multiarch.image.programs import Program
    from multiarch.image.reference import ImageReference


def check_set(found: Sequence[tuple[Platform, ImageReference, Sequence[str]]]) -> None:
    """Every platform asked for is there once, and only those.

    :param found: for each platform, where its image should be, and what the images there claim to be for.
    :raises IncompleteMatrixError: a platform has none.
    :raises SurplusImageError: a platform has several.
    """
    if missing := [(platform, reference) for platform, reference, claims in found if not claims]:
        raise IncompleteMatrixError(missing)
    for platform, reference, claims in found:
        if len(claims) > 1:
            raise SurplusImageError(platform, reference, claims)


def check_nothing_dropped(
    asked: Iterable[Platform], today: Iterable[tuple[ImageReference, Iterable[Platform]]], *, allowed: bool
) -> None:
    """No tag loses a platform that it has today, unless that is *allowed*.

    :raises DroppedPlatformError: one would.
    """
    kept = set(asked)
    dropped = [(reference, sorted(set(platforms) - kept)) for reference, platforms in today]
    if not allowed and any(lost for _, lost in dropped):
        raise DroppedPlatformError((reference, lost) for reference, lost in dropped if lost)


def check_config(platform: Platform, reference: ImageReference, config: Mapping[str, Any]) -> None:
    """The image's own config is for the platform that it is listed for.

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
    """The image is of the commit that is being published; one without a label passes.

    :param revision: the commit; empty where it is not known.
    :raises OtherCommitError: its label names another.
    """
    labels = (config.get("config") or {}).get("Labels") or {}
    actual = str(labels.get(REVISION) or "")
    if revision and actual and actual != revision:
        raise OtherCommitError(reference, revision, actual)


def check_programs(platform: Platform, reference: ImageReference, programs: Sequence[Program]) -> str:
    """What the image starts is a program of its platform; return a note where there is no program to look at.

    :raises ForeignProgramError: it is one of another.
    """
    for program in programs:
        architectures = architectures_of(program.elf) if program.elf else ()
        if program.elf and not any(runs_natively(Platform("linux", a), platform.architecture) for a in architectures):
            actual = "/".join(architectures) or f"ELF machine {program.elf.machine}"
            raise ForeignProgramError(reference, platform, program.path, actual)
    first = programs[0]
    return "" if first.elf else f"{platform}: its program was not checked: {first.note}"
