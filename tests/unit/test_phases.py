"""Phases of the tests side by side: what of them is shown, and what a failure and an interrupt do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.phases import Phase, run_lanes
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from pathlib import Path

# Takes its time to end, and says when it has.
NEAT = "trap 'echo tidied; exit 1' INT; echo begun; touch $0; while :; do sleep 0.01; done"
PROGRAM = """
import sys
from tests.phases import Phase, run_lanes
later = Phase("later", ["echo", "later"])
try:
    run_lanes(*([Phase(name, ["sh", "-c", sys.argv[1], name]), later] for name in ("one", "two")))
except KeyboardInterrupt:
    print("interrupted")
"""


def shell(name: str, script: str, nice: int = 0) -> Phase:
    """Return a phase that runs a script."""
    return Phase(name, ["sh", "-c", script], nice)


def shown(capfdbinary: pytest.CaptureFixture[bytes]) -> list[str]:
    """Return the lines that were written, without seconds."""
    lines = capfdbinary.readouterr().out.decode().splitlines()
    return [line.partition(" after ")[0] for line in lines if line]


def started(folder: Path, script: str) -> subprocess.Popen[str]:
    """Start two phases of a script in a process of their own, and wait until both are at work."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, script],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while not all((folder / name).exists() for name in ("one", "two")) and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


def test_output_of_each_phase_is_whole(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lanes are at work at the same time: each waits for the other, and neither's lines are between the other's."""
    monkeypatch.chdir(tmp_path)
    one = shell("one", "echo 1a; touch one; until [ -e two ]; do sleep 0.01; done; echo 1b >&2")
    two = shell("two", "echo 2a; touch two; until [ -e one ]; do sleep 0.01; done; echo 2b; nice", 7)

    assert [] == run_lanes([one, shell("three", "echo 3")], [two])

    nice = str(min(os.nice(0) + 7, 19))  # of 19 at most
    first = ["== one", "1a", "1b", "== one: passed", "== three", "3", "== three: passed"]
    assert [*first, "== two", "2a", "2b", nice, "== two: passed"] == shown(capfdbinary)


def test_nothing_begins_after_a_failure(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is at work comes to its end; the failure is told at once, and its output is shown in its turn."""
    monkeypatch.chdir(tmp_path)
    slow = shell("slow", "echo begun; touch begun; until [ -e told ]; do sleep 0.01; done; sleep 1; echo ended")
    bad = shell("bad", "until [ -e begun ]; do sleep 0.01; done; echo why; touch told; exit 3")

    assert ["bad"] == run_lanes([slow, shell("next", "echo next")], [bad, shell("last", "echo last")])

    assert [
        *("== slow", "begun", "== bad: failed", "ended", "== slow: passed", "== next: not run"),
        *("== bad", "why", "== bad: failed", "== last: not run"),
    ] == shown(capfdbinary)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_ends_all_phases(tmp_path: Path, number: signal.Signals) -> None:
    """Each is interrupted once, does what it has to do at its end, and shows that; nothing begins any more."""
    process = started(tmp_path, NEAT)
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)

    lines = [line.partition(" after ")[0] for line in out.splitlines() if line]
    assert [
        *("== one", "begun", "tidied", "== one: failed", "== later: not run"),
        *("== two", "begun", "tidied", "== two: failed", "== later: not run", "interrupted"),
    ] == lines


def test_a_second_interrupt_waits_for_nothing(tmp_path: Path) -> None:
    """A program that does not end is killed with what it has started."""
    process = started(tmp_path, "trap '' INT; touch $0; sleep 600")
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGINT)
    # The pipe closes when nobody has it any more, who may write to it; the phases write elsewhere.
    out, _ = process.communicate(timeout=20)

    assert "interrupted" == out.splitlines()[-1]
