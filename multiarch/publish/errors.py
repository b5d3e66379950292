"""Why something is not published: the errors of the gates, and of tags that did not move.

Like all errors: ``str(error)`` says what is wrong, where, and what to do; `SmokeError` adds the image's last lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.errors import MultiarchError, indented, listed, unbroken

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class GateError(MultiarchError):
    """A check between "every platform is pushed" and "the tag moves" that was not passed; the tag is as it was."""

    gate = ""

    def __init__(self, problem: str) -> None:
        super().__init__(f"not published, gate {self.gate!r}: {problem}")


class IncompleteMatrixError(GateError):
    """Platforms of the matrix that have no image to put into the index."""

    gate = "the set is exact"

    def __init__(self, missing: Iterable[tuple[object, object]]) -> None:
        pairs = [f"{platform} ({reference})" for platform, reference in missing]
        super().__init__(f"no image for {listed(pairs)}; run build-arch for it first, or narrow the matrix: --platform")


class SurplusImageError(GateError):
    """A place in the index that several images claim."""

    gate = "the set is exact"

    def __init__(self, platform: object, reference: object, found: Iterable[object]) -> None:
        super().__init__(
            f"{reference} should hold an image for {platform} alone, and holds {listed(found)}; rebuild it"
        )


class DroppedPlatformError(GateError):
    """A tag that would lose platforms that it has today."""

    gate = "nothing is dropped"

    def __init__(self, dropped: Iterable[tuple[object, Iterable[object]]]) -> None:
        pairs = [f"{reference} has {listed(platforms)} today" for reference, platforms in dropped]
        super().__init__(f"{'; '.join(pairs)}; add what is missing to the matrix, or pass --allow-dropping")


class PlatformMismatchError(GateError):
    """An image whose own config says that it is for another platform."""

    gate = "the config matches"

    def __init__(self, reference: object, expected: object, actual: object) -> None:
        remedy = "rebuild it with build-arch (is the base image in the Dockerfile pinned to a platform or a digest?)"
        super().__init__(f"{reference} should be for {expected}, but its config says {actual}; {remedy}")


class OtherCommitError(GateError):
    """An image that was built from another commit than the one that is published."""

    gate = "the commit matches"

    def __init__(self, reference: object, expected: str, actual: str) -> None:
        problem = f"{reference} was built from commit {actual}, and this is {expected}"
        super().__init__(f"{problem}; run build-arch here, or put {{build}} into arch_tag so that builds never mix")


class ForeignProgramError(GateError):
    """An image that starts a program of another architecture than it claims to be for."""

    gate = "the program matches"

    def __init__(self, reference: object, platform: object, program: str, actual: str) -> None:
        problem = f"{reference} is for {platform}, but its {program} is a program for {actual}"
        hint = "is a file from the context, or a stage of $BUILDPLATFORM, copied as it is?"
        super().__init__(f"{problem}; build or copy the one for $TARGETARCH in the Dockerfile ({hint})")


class SmokeError(GateError):
    """An image that does not do what it is tried with."""

    gate = "it runs"

    def __init__(self, platform: object, command: str, problem: str, log: Sequence[str] = ()) -> None:
        super().__init__("\n".join([f"{platform}: {command}: {unbroken(problem)}", *indented(log)]))


class NotAnImageError(MultiarchError):
    """What is under a staging tag is no image that can be listed in an index."""

    def __init__(self, reference: object, media_type: str) -> None:
        actual = media_type or "something without a media type"
        super().__init__(f"not published: {reference} holds no image but {actual}; push it again with build-arch")


class NotPublishedError(MultiarchError):
    """A tag that is to be shown and is not there."""

    def __init__(self, reference: object) -> None:
        super().__init__(f"{reference} is not published: there is no such tag")


class TagsNotMovedError(MultiarchError):
    """A tag could not be moved, so none was, but for those that the registries did not let us put back."""

    def __init__(self, failed: str, kept: Iterable[object], left: Iterable[tuple[object, str, str, str]]) -> None:
        still = [f"{tag} is {now} and was {before} ({unbroken(why)})" for tag, now, before, why in left]
        parts = [f"{'not all tags are as before' if still else 'no tag was moved'}: {failed}"]
        parts += [f"as before: {names}"] if (names := listed(kept)) else []
        parts += [f"could not be put back: {'; '.join(still)}"] if still else []
        super().__init__("; ".join(parts))
