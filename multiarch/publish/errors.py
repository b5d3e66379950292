"""Errors of the gates, and of tags that are not moved.

``str(error)`` says what is wrong, where, and what to do; `SmokeError` adds the last lines of the image's output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.errors import MultiarchError, indented, listed, unbroken

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class MissingImage(Struct, frozen=True):
    """A platform without an image, and the reference where that should be."""

    platform: object
    reference: object


class DroppedPlatforms(Struct, frozen=True):
    """A published tag, and the platforms that it would lose."""

    reference: object
    platforms: tuple[object, ...]


class UnrestoredTag(Struct, frozen=True):
    """A tag that was moved and could not be put back.

    :ivar current: the digest that it was moved to.
    :ivar previous: its digest before; ``nothing`` where it was not there.
    :ivar problem: why it could not be put back.
    """

    reference: object
    current: str
    previous: str
    problem: str


class TakenTag(Struct, frozen=True):
    """A tag that another publisher moved after us, so that it is not ours to put back.

    :ivar current: the digest that it has now.
    """

    reference: object
    current: str


class GateError(MultiarchError):
    """A gate that was not passed, between "every platform is pushed" and "the tag moves"; the tag is as it was."""

    gate = ""

    def __init__(self, problem: str) -> None:
        super().__init__(f"not published, gate {self.gate!r}: {problem}")


class IncompleteMatrixError(GateError):
    """Platforms of the matrix without an image for the index."""

    gate = "the set is exact"

    def __init__(self, missing: Iterable[MissingImage]) -> None:
        images = [f"{image.platform} ({image.reference})" for image in missing]
        super().__init__(
            f"no image for {listed(images)}; run build-arch for it first, or narrow the matrix: --platform"
        )


class SurplusImageError(GateError):
    """A staging tag with several images, where one platform's should be alone."""

    gate = "the set is exact"

    def __init__(self, platform: object, reference: object, claims: Iterable[object]) -> None:
        super().__init__(
            f"{reference} should hold an image for {platform} alone, and holds {listed(claims)}; rebuild it"
        )


class AddedPlatformError(GateError):
    """An image that is to be added for a platform which has another image already."""

    gate = "the set is exact"

    def __init__(self, reference: object, platform: object) -> None:
        super().__init__(f"{reference} of `add` is for {platform}, which has an image already; leave one of them out")


class DroppedPlatformError(GateError):
    """A tag that would lose platforms that it has today."""

    gate = "nothing is dropped"

    def __init__(self, dropped: Iterable[DroppedPlatforms]) -> None:
        tags = [f"{tag.reference} has {listed(tag.platforms)} today" for tag in dropped]
        super().__init__(
            f"{'; '.join(tags)}; add what is missing to the matrix, or its image to `add`, or pass --allow-dropping"
        )


class PlatformMismatchError(GateError):
    """An image whose own config is for another platform.

    :param is_variant: whether the variant alone is another one.
    """

    gate = "the config matches"

    def __init__(self, reference: object, expected: object, actual: object, *, is_variant: bool = False) -> None:
        remedy = "rebuild it with build-arch (is the base image in the Dockerfile pinned to a platform or a digest?)"
        if is_variant:
            remedy = (
                f"rebuild it FROM an image whose config says {expected}: the variant is that of the base image, which"
                " BuildKit takes over, so only its publisher can correct it"
            )
        super().__init__(f"{reference} should be for {expected}, but its config says {actual}; {remedy}")


class OtherCommitError(GateError):
    """An image that was built from another commit than the one that is published."""

    gate = "the commit matches"

    def __init__(self, reference: object, expected: str, actual: str) -> None:
        problem = f"{reference} was built from commit {actual}, and this is {expected}"
        super().__init__(f"{problem}; run build-arch here, or put {{build}} into arch_tag so that builds never mix")


class ForeignProgramError(GateError):
    """An image that starts a program of another architecture than its own."""

    gate = "the program matches"

    def __init__(self, reference: object, platform: object, program: str, actual: str) -> None:
        problem = f"{reference} is for {platform}, but its {program} is a program for {actual}"
        hint = "is a file from the context, or a stage of $BUILDPLATFORM, copied as it is?"
        remedy = f"build or copy the one for $TARGETARCH in the Dockerfile ({hint})"
        super().__init__(f"{problem}; {remedy}, or name it in `foreign` where something in the image emulates it")


class UnstartableError(GateError):
    """An image that starts something which starts on no machine."""

    gate = "the program starts"

    def __init__(self, reference: object, platform: object, fault: str) -> None:
        super().__init__(f"{reference} for {platform} fails wherever it runs: {fault}")


class BaseMismatchError(GateError):
    """An image that is not, or not known to be, built on the image of the project that its contexts name."""

    gate = "the base is the base"


class SmokeError(GateError):
    """An image that failed its smoke command."""

    gate = "it runs"

    def __init__(self, platform: object, command: str, problem: str, log: Sequence[str] = ()) -> None:
        super().__init__("\n".join([f"{platform}: {command}: {unbroken(problem)}", *indented(log)]))


class NotAnImageError(MultiarchError):
    """A staging tag that holds no image which an index can list.

    :ivar actual: what it holds.
    """

    def __init__(self, reference: object, media_type: str, problem: str = "") -> None:
        actual = (media_type or "something without a media type") + (f" ({problem})" if problem else "")
        self.actual = actual
        super().__init__(f"not published: {reference} holds no image but {actual}; push it again with build-arch")


class UnreadableTagError(MultiarchError):
    """A published tag that cannot be read, so that it is not known which platforms it has."""

    def __init__(self, reference: object, problem: str) -> None:
        remedy = "look at what is there, or pass --allow-dropping to replace it"
        super().__init__(f"{reference}: its platforms are not known: {problem}; {remedy}")


class NotPublishedError(MultiarchError):
    """A tag that is to be shown, and does not exist."""

    def __init__(self, reference: object) -> None:
        super().__init__(f"{reference} is not published: there is no such tag")


class NotRepairedError(MultiarchError):
    """A published tag that is not repaired or put back; no tag was moved."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"no tag was moved: {problem}")


class MovedMeanwhileError(NotRepairedError):
    """A tag that somebody else has moved since it was read, so that what was planned with it may be wrong."""

    def __init__(self, reference: object) -> None:
        super().__init__(f"{reference} was moved by somebody else meanwhile; look at what is there, and run this again")


class UnkeptRepairError(MultiarchError):
    """A repair that was written, and is not there any more, or may not be."""

    def __init__(self, reference: object, problem: str) -> None:
        super().__init__(f"{reference} was repaired, and {problem}; look with manifest --inspect, and run this again")


class TagsNotMovedError(MultiarchError):
    """A tag could not be moved, so none was, but for those that could not be put back, or are another publisher's."""

    def __init__(self, failure: str, kept: Iterable[object], others: Iterable[UnrestoredTag | TakenTag] = ()) -> None:
        others = list(others)
        left = [
            f"{tag.reference} is {tag.current} and was {tag.previous} ({unbroken(tag.problem)})"
            for tag in others
            if isinstance(tag, UnrestoredTag)
        ]
        taken = [f"{tag.reference} is {tag.current}" for tag in others if isinstance(tag, TakenTag)]
        parts = [f"{'not all tags are as before' if others else 'no tag was moved'}: {failure}"]
        parts += [f"as before: {names}"] if (names := listed(kept)) else []
        parts += [f"could not be put back: {'; '.join(left)}"] if left else []
        parts += [f"left alone, as somebody else has moved it since: {'; '.join(taken)}"] if taken else []
        super().__init__("; ".join(parts))


class CosignMissingError(MultiarchError):
    """The program that is to sign is not there, or cannot be started."""

    def __init__(self, reason: str, program: object = "cosign") -> None:
        remedy = "install cosign 3 (docs.sigstore.dev, System Configuration), or take sign out of the settings"
        super().__init__(f"cannot sign with {program}: {reason}; {remedy}")


class CosignVersionError(MultiarchError):
    """The program that is to sign is older than what is needed, or does not say its version."""

    def __init__(self, program: object, version: str, oldest: int) -> None:
        problem = f"it is {version}" if version else "it does not say its version"
        super().__init__(f"cannot sign with {program}: {problem}, and {oldest} or newer is needed; install that")


class SigningError(MultiarchError):
    """Something could not be signed, and no tag has moved."""

    def __init__(self, reference: object, reason: str) -> None:
        super().__init__(f"not published: cosign cannot sign {reference}: {reason}; the tags are as before")
