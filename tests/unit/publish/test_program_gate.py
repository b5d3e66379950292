"""The gate of the program: what it refuses, what it notes, and what passes."""

from __future__ import annotations

import pytest

from multiarch.image.elf import ELF, Elf
from multiarch.image.marks import FloatABI, Marks
from multiarch.image.platform import Platform
from multiarch.image.program import Program
from multiarch.image.suitability import Findings
from multiarch.publish.errors import ForeignProgramError, UnstartableError
from multiarch.publish.gates import check_programs
from tests.unit.publish.test_gates import AMD64, ARM, ARM64, I386, refused, staging


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
