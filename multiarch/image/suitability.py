"""Whether the machines that a platform stands for run a program (ELF header, ARM's attributes, level of x86-64)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.image.elf import Elf, architectures_of
from multiarch.image.marks import FloatABI
from multiarch.image.platform import Platform, runs_natively

if TYPE_CHECKING:
    from multiarch.image.program import Program

# x86-64 with addresses of 32 bits; few kernels are built for it (CONFIG_X86_X32_ABI).
_X32 = Elf(32, "little", 62)


class Findings(Struct, frozen=True):
    """What the gates found of the programs of a platform's image, and let pass.

    :ivar notes: what was not checked.
    :ivar foreign: the paths of programs for another platform that are there on purpose.
    """

    notes: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


def unsuitable_for(platform: Platform, program: Program) -> str:
    """Return what a program is for, where the machines of the platform do not run it; nothing where they do."""
    if program.elf is None:
        return ""
    if program.elf == _X32:
        return "x32 (x86-64 with addresses of 32 bits)"
    architectures = architectures_of(program.elf)
    if not any(runs_natively(Platform("linux", each), platform.architecture) for each in architectures):
        return "/".join(architectures) or f"ELF machine {program.elf.machine}"
    if platform.architecture == "arm":
        return _unsuitable_for_arm(platform, program)
    level = int(platform.variant[1:] or 1) if platform.architecture == "amd64" else 4
    return f"amd64/v{program.marks.x86_level}" if program.marks.x86_level > level else ""


def remark(platform: Platform, program: Program) -> str:
    """Return why it is not certain that the machines of the platform run a program; nothing where it is."""
    if program.elf is None:
        return ""
    if program.elf.bits < platform.elf.bits:
        return f"{program.path} is a program of {program.elf.bits} bits"
    is_old = platform.architecture == "arm" and platform.variant in ("v5", "v6")
    if is_old and program.marks.arm_version is None:
        return f"{program.path} does not say for which version of ARM it is"
    return ""


def _unsuitable_for_arm(platform: Platform, program: Program) -> str:
    marks = program.marks
    if marks.arm_version is not None and marks.arm_version > int(platform.variant[1:]):
        return f"arm/v{marks.arm_version}"
    if platform.variant == "v5" and marks.float_abi is FloatABI.HARD:
        return "arm with hard-float"
    return ""
