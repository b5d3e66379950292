"""docs/doctor.md against the step: its commands run, its table has each check, and its lines can be met."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from multiarch.docker_info import HostInfo
from multiarch.image.platform import Platform
from multiarch.steps.doctor.checks import FREE, all_checks
from multiarch.steps.doctor.docker import of_info
from multiarch.steps.doctor.emulators import of_platform
from multiarch.steps.doctor.finding import State
from multiarch.steps.doctor.programs import Outcome
from multiarch.steps.doctor.trials import Trial
from multiarch.steps.setup_binfmt import Emulator
from tests.unit.cli.test_tasks import FLAGS
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from tests.unit.project import Project

PAGE = (ROOT / "docs" / "doctor.md").read_text()


def test_commands_of_the_page_run(project: Project) -> None:
    """Each prints findings; those with another form are one line."""
    project.write(invoke_yaml="multiarch: {platforms: [linux/amd64]}\n")
    commands = re.findall(r"^    (invoke .+)$", PAGE, re.MULTILINE)
    ran = [project.invoke(*shlex.split(command)[1:], BUILDKIT_HOST="tcp://127.0.0.1:9") for command in commands]
    assert (["invoke doctor", "invoke doctor --json"], [1, 1]) == (commands, [done.status for done in ran])
    assert [True, True] == ["settings: linux/amd64 for" in ran[0].out[0], ran[1].out[0].startswith('{"version": 1,')]
    flags = set(re.findall(r"`--([a-z]+)`", PAGE))
    assert set() == flags - set(FLAGS["doctor"].split())


def test_every_check_and_state_is_a_row() -> None:
    """In the order in which they are told; a check may tell of several things."""
    states, checks = (
        re.findall(r"^\| (`.+?) \|", part, re.MULTILINE) for part in PAGE.partition("## What is checked")[::2]
    )
    assert [state.value for state in State] == [row.strip("`") for row in states]
    named = [name for row in checks for name in re.findall(r"`([^`]+)`", row)]
    assert [check.name for check in all_checks()] == [name for name in named if name not in ("memory", "login", "push")]
    told = PAGE.partition("`release` itself looks at ")[2].partition(" before")[0]
    assert {"memory", *(check.name for check in FREE)} == set(re.findall(r"`([a-z-]+)`", told))


def test_lines_of_the_page_can_be_met() -> None:
    """Word for word, as the checks make them."""
    lines = re.findall(r"^((?:ok|warning|failure|unknown) .+)$", PAGE, re.MULTILINE)
    info = HostInfo("x86_64", cpus=4, memory=16_800_000_000, version="28.2.2")
    emulator = Emulator("qemu-aarch64", True, "F", 0, b"", b"")
    old = of_platform(Platform.parse("linux/arm64"), emulator, Trial(Outcome.OLD), knows_age=True)
    assert (5, True, True) == (len(lines), str(of_info(info)) in lines, str(old) in lines)
