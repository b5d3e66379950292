"""The gates, one by one: what passes, and what each refuses in one line that bears its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.checkout import REVISION
from multiarch.image.elf import ELF, Elf
from multiarch.image.platform import Platform
from multiarch.image.programs import Program
from multiarch.image.reference import ImageReference
from multiarch.publish.errors import (
    DroppedPlatformError,
    ForeignProgramError,
    GateError,
    IncompleteMatrixError,
    OtherCommitError,
    PlatformMismatchError,
    SurplusImageError,
)
from multiarch.publish.gates import check_config, check_nothing_dropped, check_programs, check_revision, check_set

if TYPE_CHECKING:
    from collections.abc import Callable

AMD64, ARM64, ARM, I386 = map(Platform.parse, ("amd64", "arm64", "arm/v7", "386"))
LATEST, ONE = ImageReference.parse("someone/app:latest"), ImageReference.parse("ghcr.io/someone/app:1")


def staging(platform: Platform) -> ImageReference:
    """Return where the image of a platform waits."""
    return LATEST.with_tag(f"latest-{platform.slug}")


def refused(error: type[GateError], gate: Callable[[], object]) -> str:
    """Return what a gate says that was not passed, without its name, which comes first; it is one line."""
    with pytest.raises(error) as caught:
        gate()
    (line,) = str(caught.value).splitlines()
    name, _, problem = line.partition(": ")
    assert f"not published, gate '{error.gate}'" == name
    return problem


def test_the_gates_have_names() -> None:
    """As they are told to users."""
    errors = (IncompleteMatrixError, SurplusImageError, DroppedPlatformError, PlatformMismatchError)
    assert [
        "the set is exact",
        "the set is exact",
        "nothing is dropped",
        "the config matches",
        "the commit matches",
        "the program matches",
    ] == [error.gate for error in (*errors, OtherCommitError, ForeignProgramError)]


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
def test_an_image_of_this_commit(config: dict[str, Any], revision: str) -> None:
    """One that names this commit passes, and what names none, or where none is known."""
    check_revision(staging(ARM64), config, revision)


def test_an_image_of_another_commit() -> None:
    """Two builds under one staging tag do not mix."""
    config = {"config": {"Labels": {REVISION: "c1"}}}
    told = refused(OtherCommitError, lambda: check_revision(staging(ARM64), config, "c0"))
    assert f"{staging(ARM64)} was built from commit c1, and this is c0; run build-arch here," in told


# The set is exact.


def test_an_exact_set() -> None:
    """One image for each platform passes."""
    check_set([(platform, staging(platform), [str(platform)]) for platform in (AMD64, ARM64, ARM)])
    check_set([])


def test_a_set_with_gaps() -> None:
    """Every platform without an image is named, with where it was looked for; those that have one are not."""
    found = [(AMD64, staging(AMD64), [str(AMD64)]), (ARM64, staging(ARM64), []), (ARM, staging(ARM), [])]
    assert (
        "no image for linux/arm64 (docker.io/someone/app:latest-arm64), linux/arm/v7"
        " (docker.io/someone/app:latest-arm-v7); run build-arch for it first, or narrow the matrix: --platform"
    ) == refused(IncompleteMatrixError, lambda: check_set(found))


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        (["linux/arm64", "linux/amd64"], "linux/arm64, linux/amd64"),
        (["linux/arm64", "linux/arm64"], "linux/arm64, linux/arm64"),
        (["linux/arm64", "linux/arm64/v9", "windows/arm64"], "linux/arm64, linux/arm64/v9, windows/arm64"),
    ],
)
def test_a_set_with_several_images_in_one_place(claims: list[str], told: str) -> None:
    """An index of several platforms, or of one twice, is named with what it holds."""
    found = [(AMD64, staging(AMD64), [str(AMD64)]), (ARM64, staging(ARM64), claims)]
    assert (
        f"docker.io/someone/app:latest-arm64 should hold an image for linux/arm64 alone, and holds {told}; rebuild it"
    ) == refused(SurplusImageError, lambda: check_set(found))


def test_what_is_missing_is_told_before_what_is_too_much() -> None:
    """A set that is wrong in both ways has a gap first."""
    found = [(AMD64, staging(AMD64), [str(AMD64), str(AMD64)]), (ARM64, staging(ARM64), [])]
    assert "no image for linux/arm64 (" in refused(IncompleteMatrixError, lambda: check_set(found))


# Nothing is dropped.


@pytest.mark.parametrize(
    "today",
    [
        [],
        [(LATEST, [])],
        [(LATEST, [AMD64])],
        [(LATEST, [ARM64, AMD64])],
        [(LATEST, [AMD64, AMD64])],
        [(LATEST, [AMD64, ARM64]), (ONE, [])],
    ],
    ids=["no tag", "a new tag", "fewer", "the same", "twice the same", "several tags"],
)
@pytest.mark.parametrize("allowed", [False, True])
def test_a_set_that_drops_nothing(today: list[tuple[ImageReference, list[Platform]]], allowed: bool) -> None:
    """What a tag has today is there tomorrow, and it may get more."""
    check_nothing_dropped([AMD64, ARM64], today, allowed=allowed)


@pytest.mark.parametrize(
    ("asked", "today", "told"),
    [
        ([AMD64], [(LATEST, [AMD64, ARM64])], "docker.io/someone/app:latest has linux/arm64 today"),
        ([AMD64], [(LATEST, [ARM64])], "docker.io/someone/app:latest has linux/arm64 today"),
        (
            [AMD64],
            [(LATEST, [I386, ARM64, AMD64, ARM])],
            "docker.io/someone/app:latest has linux/386, linux/arm/v7, linux/arm64 today",
        ),
        (
            [ARM64],
            [(LATEST, [Platform("linux", "arm64", "v9")])],
            "docker.io/someone/app:latest has linux/arm64/v9 today",
        ),
        (
            [AMD64, ARM64],
            [(LATEST, [AMD64, ARM]), (LATEST.with_tag("2"), [AMD64]), (ONE, [AMD64, ARM64, I386])],
            "docker.io/someone/app:latest has linux/arm/v7 today; ghcr.io/someone/app:1 has linux/386 today",
        ),
        (
            [AMD64],
            [(LATEST, [Platform("windows", "amd64")])],
            "docker.io/someone/app:latest has windows/amd64 today",
        ),
    ],
    ids=["one", "the only one", "several", "a variant", "several tags", "another system"],
)
def test_a_set_that_drops(asked: list[Platform], today: list[tuple[ImageReference, list[Platform]]], told: str) -> None:
    """Each tag that would lose something is named with what, sorted; unless that is allowed."""
    expected = f"{told}; add what is missing to the matrix, or pass --allow-dropping"
    assert expected == refused(DroppedPlatformError, lambda: check_nothing_dropped(asked, today, allowed=False))
    check_nothing_dropped(asked, today, allowed=True)


def test_iterators_are_read_once() -> None:
    """What is asked for and what there is may come from anywhere."""
    today = ((reference, iter([AMD64, ARM])) for reference in (LATEST, ONE))
    told = refused(DroppedPlatformError, lambda: check_nothing_dropped(iter([AMD64]), today, allowed=False))
    assert (
        "docker.io/someone/app:latest has linux/arm/v7 today; ghcr.io/someone/app:1 has linux/arm/v7 today;"
    ) == told.partition(" add")[0]


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
def test_a_config_that_matches(platform: Platform, config: dict[str, Any]) -> None:
    """Whatever spelling it uses."""
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
def test_a_config_that_does_not(platform: Platform, config: dict[str, Any], actual: str) -> None:
    """Both are named, also what is no platform at all."""
    told = refused(PlatformMismatchError, lambda: check_config(platform, staging(platform), config))
    assert (
        f"{staging(platform)} should be for {platform}, but its config says {actual};" == told.partition(" rebuild")[0]
    )


# The program matches.


@pytest.mark.parametrize("architecture", ELF)
def test_a_program_that_matches(architecture: str) -> None:
    """Every architecture runs its own, without a note; also as one of a variant."""
    platform = Platform.normalised("linux", architecture)
    assert "" == check_programs(platform, staging(platform), [Program("/app", ELF[architecture])])


@pytest.mark.parametrize("text", ["amd64/v3", "arm64/v9", "arm/v5", "arm/v6"])
def test_programs_do_not_tell_of_variants(text: str) -> None:
    """The header names the architecture alone."""
    platform = Platform.parse(text)
    assert "" == check_programs(platform, staging(platform), [Program("/app", ELF[platform.architecture])])


def test_a_386_program_runs_on_amd64() -> None:
    """A 64-bit x86 kernel runs it as it is; the other way round it does not."""
    assert "" == check_programs(AMD64, staging(AMD64), [Program("/app", ELF["386"])])
    told = refused(ForeignProgramError, lambda: check_programs(I386, staging(I386), [Program("/app", ELF["amd64"])]))
    assert "docker.io/someone/app:latest-386 is for linux/386, but its /app is a program for amd64;" in told


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
        (AMD64, Elf(32, "little", 62), "ELF machine 62"),
    ],
)
def test_a_program_that_does_not(platform: Platform, elf: Elf, actual: str) -> None:
    """Its path is named, for which platform the image is, and what the program is for; also when nobody knows that."""
    told = refused(
        ForeignProgramError,
        lambda: check_programs(platform, staging(platform), [Program("/usr/bin/server", elf)]),
    )
    assert (
        f"{staging(platform)} is for {platform}, but its /usr/bin/server is a program for {actual};"
    ) == told.partition(" build")[0]


def test_every_program_is_looked_at() -> None:
    """Behind an init of the platform may stand a program of another."""
    programs = [Program("/sbin/tini", ELF["arm64"]), Program("/app/server", ELF["amd64"])]
    told = refused(ForeignProgramError, lambda: check_programs(ARM64, staging(ARM64), programs))
    assert "but its /app/server is a program for amd64;" in told
    unknown = Program("/start.sh", note="/bin/sh, which runs /start.sh, is not in its layers")
    told = refused(ForeignProgramError, lambda: check_programs(ARM64, staging(ARM64), [unknown, programs[1]]))
    assert "but its /app/server is a program for amd64;" in told


def test_an_image_without_a_program_is_noted() -> None:
    """It passes, and the note says for which platform nothing was checked, and why."""
    program = Program("/bin/sh", note="/bin/sh is not in its layers")
    expected = "linux/arm64: its program was not checked: /bin/sh is not in its layers"
    assert expected == check_programs(ARM64, staging(ARM64), [program])
    assert expected == check_programs(ARM64, staging(ARM64), [program, Program("/app", ELF["arm64"])])
