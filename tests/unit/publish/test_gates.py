"""The gates, one by one: what passes, and what each refuses in one line that bears its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.checkout import REVISION
from multiarch.image.manifest import OCI_INDEX, OCI_MANIFEST, Manifest
from multiarch.image.platform import Platform
from multiarch.image.program import Program
from multiarch.image.reference import ImageReference
from multiarch.publish.errors import (
    DroppedPlatformError,
    ForeignProgramError,
    GateError,
    IncompleteMatrixError,
    OtherCommitError,
    PlatformMismatchError,
    SurplusImageError,
    UnstartableError,
)
from multiarch.publish.gates import check_config, check_nothing_dropped, check_revision, check_set
from multiarch.publish.staged import StagedImage, StagedPlatform
from multiarch.publish.tags import TagState

if TYPE_CHECKING:
    from collections.abc import Callable

AMD64, ARM64, ARM, I386 = map(Platform.parse, ("amd64", "arm64", "arm/v7", "386"))
LATEST, ONE = ImageReference.parse("someone/app:latest"), ImageReference.parse("ghcr.io/someone/app:1")


def staging(platform: Platform) -> ImageReference:
    """Return where the image of a platform waits."""
    return LATEST.with_tag(f"latest-{platform.slug}")


def place(platform: Platform, *claims: str) -> StagedPlatform:
    """Return what is staged for a platform: images that claim to be for these."""
    images = [
        StagedImage(platform, staging(platform), claim, Manifest(OCI_MANIFEST, b""), {}, (Program("/bin/sh"),))
        for claim in claims
    ]
    return StagedPlatform(platform, staging(platform), tuple(images))


def tag(reference: ImageReference, *platforms: Platform) -> TagState:
    """Return a published tag with these platforms."""
    return TagState(reference, Manifest(OCI_INDEX, b""), platforms)


def refused(error: type[GateError], gate: Callable[[], object]) -> str:
    """Return what a gate says that was not passed, without its name, which comes first; it is one line."""
    with pytest.raises(error) as caught:
        gate()
    (line,) = str(caught.value).splitlines()
    name, _, problem = line.partition(": ")
    assert f"not published, gate '{error.gate}'" == name
    return problem


def test_errors_carry_the_names_of_the_gates() -> None:
    """docs/publishing.md lists the gates by these names."""
    errors = (IncompleteMatrixError, SurplusImageError, DroppedPlatformError, PlatformMismatchError)
    assert [
        "the set is exact",
        "the set is exact",
        "nothing is dropped",
        "the config matches",
        "the commit matches",
        "the program matches",
        "the program starts",
    ] == [error.gate for error in (*errors, OtherCommitError, ForeignProgramError, UnstartableError)]


# The commit matches.


@pytest.mark.parametrize(
    ("config", "revision"),
    [
        ({"config": {"Labels": {REVISION: "c0"}}}, "c0"),
        ({"config": {"Labels": {REVISION: "c0"}}}, ""),
        ({"config": {"Labels": None}}, "c0"),
        ({"config": None}, "c0"),
        ({}, "c0"),
    ],
)
def test_image_of_this_commit_passes(config: dict[str, Any], revision: str) -> None:
    """So does an image without a label, and any image where the commit is not known."""
    check_revision(staging(ARM64), config, revision)


def test_image_of_another_commit_is_refused() -> None:
    """Two builds that share a staging tag must not mix."""
    config = {"config": {"Labels": {REVISION: "c1"}}}
    message = refused(OtherCommitError, lambda: check_revision(staging(ARM64), config, "c0"))
    assert f"{staging(ARM64)} was built from commit c1, and this is c0; run build-arch here," in message


# The set is exact.


def test_one_image_for_each_platform_passes() -> None:
    """The set is exact."""
    check_set([place(platform, str(platform)) for platform in (AMD64, ARM64, ARM)])
    check_set([])


def test_missing_platforms_are_named_with_their_staging_tags() -> None:
    """Platforms that have an image are not."""
    staged = [place(AMD64, "linux/amd64"), place(ARM64), place(ARM)]
    assert (
        "no image for linux/arm64 (docker.io/someone/app:latest-arm64), linux/arm/v7"
        " (docker.io/someone/app:latest-arm-v7); run build-arch for it first, or narrow the matrix: --platform"
    ) == refused(IncompleteMatrixError, lambda: check_set(staged))


@pytest.mark.parametrize(
    ("claims", "named"),
    [
        (["linux/arm64", "linux/amd64"], "linux/arm64, linux/amd64"),
        (["linux/arm64", "linux/arm64"], "linux/arm64, linux/arm64"),
        (["linux/arm64", "linux/arm64/v9", "windows/arm64"], "linux/arm64, linux/arm64/v9, windows/arm64"),
    ],
)
def test_several_images_in_one_place_are_refused(claims: list[str], named: str) -> None:
    """The message names their platforms: an index of several, or of one twice."""
    staged = [place(AMD64, "linux/amd64"), place(ARM64, *claims)]
    assert (
        f"docker.io/someone/app:latest-arm64 should hold an image for linux/arm64 alone, and holds {named}; rebuild it"
    ) == refused(SurplusImageError, lambda: check_set(staged))


def test_missing_images_are_reported_before_surplus_ones() -> None:
    """A build that is not there yet is the likelier cause."""
    staged = [place(AMD64, "linux/amd64", "linux/amd64"), place(ARM64)]
    assert "no image for linux/arm64 (" in refused(IncompleteMatrixError, lambda: check_set(staged))


# Nothing is dropped.


@pytest.mark.parametrize(
    "existing_tags",
    [
        [],
        [tag(LATEST)],
        [tag(LATEST, AMD64)],
        [tag(LATEST, ARM64, AMD64)],
        [tag(LATEST, AMD64, AMD64)],
        [tag(LATEST, AMD64, ARM64), tag(ONE)],
    ],
    ids=["no tag", "a new tag", "fewer", "the same", "twice the same", "several tags"],
)
@pytest.mark.parametrize("allowed", [False, True])
def test_tag_that_keeps_its_platforms_passes(existing_tags: list[TagState], allowed: bool) -> None:
    """It may get more."""
    check_nothing_dropped([AMD64, ARM64], existing_tags, allowed=allowed)


@pytest.mark.parametrize(
    ("matrix", "existing_tags", "dropped"),
    [
        ([AMD64], [tag(LATEST, AMD64, ARM64)], "docker.io/someone/app:latest has linux/arm64 today"),
        ([AMD64], [tag(LATEST, ARM64)], "docker.io/someone/app:latest has linux/arm64 today"),
        (
            [AMD64],
            [tag(LATEST, I386, ARM64, AMD64, ARM)],
            "docker.io/someone/app:latest has linux/386, linux/arm/v7, linux/arm64 today",
        ),
        (
            [ARM64],
            [tag(LATEST, Platform("linux", "arm64", "v9"))],
            "docker.io/someone/app:latest has linux/arm64/v9 today",
        ),
        (
            [AMD64, ARM64],
            [tag(LATEST, AMD64, ARM), tag(LATEST.with_tag("2"), AMD64), tag(ONE, AMD64, ARM64, I386)],
            "docker.io/someone/app:latest has linux/arm/v7 today; ghcr.io/someone/app:1 has linux/386 today",
        ),
        (
            [AMD64],
            [tag(LATEST, Platform("windows", "amd64"))],
            "docker.io/someone/app:latest has windows/amd64 today",
        ),
    ],
    ids=["one", "the only one", "several", "a variant", "several tags", "another system"],
)
def test_dropped_platforms_are_refused_unless_allowed(
    matrix: list[Platform], existing_tags: list[TagState], dropped: str
) -> None:
    """Each tag is named with the platforms that it would lose, sorted."""
    expected = f"{dropped}; add what is missing to the matrix, or its image to `add`, or pass --allow-dropping"
    assert expected == refused(
        DroppedPlatformError, lambda: check_nothing_dropped(matrix, existing_tags, allowed=False)
    )
    check_nothing_dropped(matrix, existing_tags, allowed=True)


def test_nothing_dropped_reads_iterators_once() -> None:
    """Matrix and tags may be generators."""
    existing_tags = (tag(reference, AMD64, ARM) for reference in (LATEST, ONE))
    message = refused(DroppedPlatformError, lambda: check_nothing_dropped(iter([AMD64]), existing_tags, allowed=False))
    assert (
        "docker.io/someone/app:latest has linux/arm/v7 today; ghcr.io/someone/app:1 has linux/arm/v7 today;"
    ) == message.partition(" add")[0]


# The config matches.


@pytest.mark.parametrize(
    ("platform", "config"),
    [
        (AMD64, {"os": "linux", "architecture": "amd64"}),
        (AMD64, {"os": "linux", "architecture": "amd64", "variant": "v1", "created": "now"}),
        (ARM64, {"os": "linux", "architecture": "arm64", "variant": "v8"}),
        (ARM64, {"os": "linux", "architecture": "arm64", "variant": None}),
        (ARM, {"os": "linux", "architecture": "arm"}),
        (ARM, {"os": "linux", "architecture": "arm", "variant": "v7"}),
    ],
)
def test_config_of_the_platform_passes(platform: Platform, config: dict[str, Any]) -> None:
    """Spellings of one platform are the same."""
    check_config(platform, staging(platform), config)


@pytest.mark.parametrize(
    ("platform", "config", "actual"),
    [
        (ARM64, {"os": "linux", "architecture": "amd64"}, "linux/amd64"),
        (AMD64, {"os": "linux", "architecture": "386"}, "linux/386"),
        (ARM, {"os": "linux", "architecture": "arm", "variant": "v6"}, "linux/arm/v6"),
        (ARM64, {"os": "linux", "architecture": "arm", "variant": "v8"}, "linux/arm/v8"),
        (AMD64, {"os": "windows", "architecture": "amd64"}, "windows/amd64"),
        (AMD64, {"os": "linux", "architecture": "amd64", "variant": "v9"}, "linux/amd64/v9"),
        (AMD64, {"architecture": "amd64"}, "amd64"),
        (AMD64, {"os": "linux"}, "linux"),
        (AMD64, {"os": 5, "architecture": ["amd64"]}, "5/['amd64']"),
        (AMD64, {}, "nothing"),
    ],
)
def test_config_of_another_platform_is_refused(platform: Platform, config: dict[str, Any], actual: str) -> None:
    """Both are named, also what is no platform at all."""
    message = refused(PlatformMismatchError, lambda: check_config(platform, staging(platform), config))
    assert (
        f"{staging(platform)} should be for {platform}, but its config says {actual};"
        == message.partition(" rebuild")[0]
    )


@pytest.mark.parametrize("variant", ["v7", "v9", "odd"])
def test_variant_of_another_platform_is_the_base_images(variant: str) -> None:
    """BuildKit sets the variant of an image only where the platform has one; else that of its base image stays."""
    config = {"os": "linux", "architecture": "arm64", "variant": variant}
    message = refused(PlatformMismatchError, lambda: check_config(ARM64, staging(ARM64), config))
    assert (
        f"{staging(ARM64)} should be for linux/arm64, but its config says linux/arm64/{variant}; rebuild it FROM an"
        " image whose config says linux/arm64: the variant is that of the base image, which BuildKit takes over, so"
        " only its publisher can correct it"
    ) == message
