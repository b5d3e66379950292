"""The gates, one by one: what passes, and what each refuses in one line that bears its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.checkout import REVISION
from multiarch.image.elf import ELF, Elf
from multiarch.image.manifest import OCI_INDEX, OCI_MANIFEST, Manifest
from multiarch.image.marks import FloatABI, Marks
from multiarch.image.platform import Platform
from multiarch.image.program import Program
from multiarch.image.reference import ImageReference
from multiarch.image.suitability import Findings
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
from multiarch.publish.gates import check_config, check_nothing_dropped, check_programs, check_revision, check_set
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
    """The README lists the gates by these names."""
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
    expected = f"{dropped}; add what is missing to the matrix, or pass --allow-dropping"
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
        f"{staging(ARM64)} should be for linux/arm64, but its config says linux/arm64/{variant}; rebuild it FROM an image"
        " whose config says linux/arm64: the variant is that of the base image, which BuildKit takes over, so only its"
        " publisher can correct it"
    ) == message


# The program matches.


@pytest.mark.parametrize("architecture", ELF)
def test_program_of_the_platform_passes(architecture: str) -> None:
    """Without a note, whatever the architecture."""
    platform = Platform.normalised("linux", architecture)
    assert Findings() == check_programs(platform, staging(platform), [Program("/app", ELF[architecture])])


def test_386_program_passes_on_amd64_with_a_note() -> None:
    """A 64-bit x86 kernel runs it, unless it is built without; the other way round it does not."""
    note = "/app is a program of 32 bits"
    assert Findings((note,)) == check_programs(AMD64, staging(AMD64), [Program("/app", ELF["386"])])
    message = refused(ForeignProgramError, lambda: check_programs(I386, staging(I386), [Program("/app", ELF["amd64"])]))
    assert "docker.io/someone/app:latest-386 is for linux/386, but its /app is a program for amd64;" in message


@pytest.mark.parametrize(
    ("text", "marks", "expected"),
    [
        ("arm/v5", Marks(arm_version=5), ""),
        ("arm/v6", Marks(arm_version=6, float_abi=FloatABI.HARD), ""),
        ("arm/v7", Marks(arm_version=7, float_abi=FloatABI.HARD), ""),
        ("arm/v7", Marks(arm_version=4, float_abi=FloatABI.SOFT), ""),
        ("arm/v7", Marks(), ""),
        ("amd64/v3", Marks(x86_level=3), ""),
        ("amd64", Marks(x86_level=1), ""),
        ("arm/v5", Marks(arm_version=6), "arm/v6"),
        ("arm/v6", Marks(arm_version=7), "arm/v7"),
        ("arm/v7", Marks(arm_version=8), "arm/v8"),
        ("arm/v5", Marks(arm_version=5, float_abi=FloatABI.HARD), "arm with hard-float"),
        ("amd64", Marks(x86_level=2), "amd64/v2"),
        ("amd64/v2", Marks(x86_level=4), "amd64/v4"),
    ],
    ids=str,
)
def test_variants_of_programs_are_those_of_the_platform_or_less(text: str, marks: Marks, expected: str) -> None:
    """A machine runs what was built for older ones, and no code of newer ones."""
    platform = Platform.parse(text)
    program = Program("/app", ELF[platform.architecture], marks=marks)
    if not expected:
        assert Findings() == check_programs(platform, staging(platform), [program])
        return
    message = refused(ForeignProgramError, lambda: check_programs(platform, staging(platform), [program]))
    assert f"is for {platform}, but its /app is a program for {expected};" in message


@pytest.mark.parametrize("text", ["arm/v5", "arm/v6"])
def test_program_that_does_not_say_its_arm_version_is_noted(text: str) -> None:
    """Old machines do not run most of today's code."""
    platform = Platform.parse(text)
    note = "/app does not say for which version of ARM it is"
    assert Findings((note,)) == check_programs(platform, staging(platform), [Program("/app", ELF["arm"])])


@pytest.mark.parametrize(
    ("platform", "elf", "actual"),
    [
        (ARM64, ELF["amd64"], "amd64"),
        (AMD64, ELF["arm64"], "arm64"),
        (ARM, ELF["arm64"], "arm64"),
        (ARM64, ELF["386"], "386"),
        (ARM64, ELF["arm"], "arm"),
        (Platform.parse("mips64le"), ELF["mips64"], "mips64"),
        (ARM64, Elf(64, "little", 247), "ELF machine 247"),
        (AMD64, Elf(32, "little", 62), "x32 (x86-64 with addresses of 32 bits)"),
    ],
)
def test_program_of_another_platform_is_refused(platform: Platform, elf: Elf, actual: str) -> None:
    """The message names its path, and both architectures, also one that is unknown."""
    message = refused(
        ForeignProgramError,
        lambda: check_programs(platform, staging(platform), [Program("/usr/bin/server", elf)]),
    )
    assert (
        f"{staging(platform)} is for {platform}, but its /usr/bin/server is a program for {actual};"
    ) == message.partition(" build")[0]


def test_every_program_is_checked() -> None:
    """Behind an init of the platform may be a program of another."""
    programs = [Program("/sbin/tini", ELF["arm64"]), Program("/app/server", ELF["amd64"])]
    message = refused(ForeignProgramError, lambda: check_programs(ARM64, staging(ARM64), programs))
    assert "but its /app/server is a program for amd64;" in message
    unknown = Program("/start.sh", note="/bin/sh, which runs /start.sh, is not in its layers")
    message = refused(ForeignProgramError, lambda: check_programs(ARM64, staging(ARM64), [unknown, programs[1]]))
    assert "but its /app/server is a program for amd64;" in message


def test_what_was_not_followed_passes_with_notes() -> None:
    """Each once, in order, wherever it stands."""
    notes = [Program("/start.sh", note="one"), Program("/app", ELF["arm64"]), Program("/x", note="two")]
    assert Findings(("one", "two")) == check_programs(ARM64, staging(ARM64), [*notes, notes[0]])


# Programs that start nowhere, perhaps, or that are for another platform on purpose.


def test_image_that_starts_nowhere_is_refused() -> None:
    """With the reason."""
    fault = "/run is a script without a shebang, such as #!/bin/sh"
    message = refused(UnstartableError, lambda: check_programs(ARM64, staging(ARM64), [Program("/run", fault=fault)]))
    assert f"{staging(ARM64)} for linux/arm64 fails wherever it runs: {fault}" == message


def test_what_may_be_started_is_noted_where_it_does_not_fit() -> None:
    """A script may choose among programs of several architectures."""
    programs = [
        Program("/bin/sh", ELF["arm64"]),
        Program("/app-amd64", ELF["amd64"], is_certain=False),
        Program("/app-arm64", ELF["arm64"], is_certain=False),
        Program("/run", fault="/run is empty", is_certain=False),
    ]
    notes = ("/app-amd64 is a program for amd64, which may be started", "/run is empty, which may be started")
    assert Findings(notes) == check_programs(ARM64, staging(ARM64), programs)


@pytest.mark.parametrize(
    ("foreign", "passes"),
    [
        (["/opt/game/run"], True),
        (["/opt/game"], True),
        (["/opt/game/"], True),
        (["/opt"], True),
        (["/op"], False),
        (["/opt/game/ru"], False),
        (["/opt/game/run/it"], False),
        ([], False),
    ],
    ids=str,
)
def test_program_passes_where_it_is_foreign_on_purpose(foreign: list[str], passes: bool) -> None:
    """By its own path, or that of a directory that it is in; what passes is told."""
    programs = [Program("/bin/sh", ELF["arm64"]), Program("/opt/game/run", ELF["amd64"])]
    if passes:
        assert Findings((), ("/opt/game/run",)) == check_programs(ARM64, staging(ARM64), programs, foreign)
    else:
        refused(ForeignProgramError, lambda: check_programs(ARM64, staging(ARM64), programs, foreign))
