"""The programs that are tried: real ones, for each architecture that images are built for."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from multiarch.image.elf import ELF, Elf
from multiarch.image.platform import Platform
from multiarch.steps.doctor.programs import Outcome, outcome, program

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("architecture", ELF)
def test_each_is_an_elf_file_of_its_architecture(architecture: str) -> None:
    """No more than two hundred bytes, with the marks by which a kernel chooses an emulator."""
    content = program(architecture)
    assert (ELF[architecture], True) == (Elf.parse(content), 100 < len(content) < 200)


def test_the_own_one_runs_here(tmp_path: Path) -> None:
    """This machine's kernel knows the system call, and refuses its arguments."""
    assert "linux" == sys.platform
    path = tmp_path / "program"
    path.write_bytes(program(Platform.parse(os.uname().machine).architecture))
    path.chmod(0o755)
    assert Outcome.RUNS is outcome(subprocess.run([str(path)], check=False).returncode)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((14, Outcome.RUNS), (242, Outcome.RUNS), (38, Outcome.OLD), (218, Outcome.OLD), (89, Outcome.OLD)),
        *((0, Outcome.FAILS), (1, Outcome.FAILS), (127, Outcome.FAILS), (255, Outcome.FAILS), (139, Outcome.FAILS)),
    ],
)
def test_a_status_says_how_it_ended(status: int, expected: Outcome) -> None:
    """Only an answer of the system call is one: an end by chance, or success, is none."""
    assert expected is outcome(status)
