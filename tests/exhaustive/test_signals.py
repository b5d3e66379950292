"""Signals at any point of a release: it ends within two seconds, with one line, and never with a traceback."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.unit.steps.test_release import Release, release

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["release"]  # the fixture

SCRIPTS = {
    "silent": "sleep 30 & wait",
    "deaf": "trap '' TERM INT; sleep 30 & wait",
    "busy": 'while :; do echo \'{"logs": [{"vertex": "a", "data": "eAo="}]}\' >&2; sleep 0.001; done',
    "done": "push",
}
IGNORED = "ending in order: other signals are ignored until then; kill -9 leaves behind what is not yet put back"
ROUNDS = 2  # of other moments each; test_transaction_signals.py has every moment of a publication
LONGEST = 5.0  # seconds; the promise is 2, and machines of CIs are loaded


def interrupted(release: Release, script: str, numbers: Sequence[int], seed: int) -> tuple[int, list[str], float]:
    """Begin a release; send signals at random moments after the first build began; return how it ended."""
    chance = random.Random(seed)  # noqa: S311 (the moments are to be the same in each run)
    release.install(f": > begun; {script}")
    process = subprocess.Popen(
        release.project.command("release"),
        cwd=release.project.path,
        env=release.project.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where these tests run in the background, an interrupt is ignored from the start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    begun = release.project.path / "begun"
    deadline = time.monotonic() + 20
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(chance.uniform(0, 0.3))
    first = time.monotonic()
    for number in numbers:
        if process.poll() is None:
            os.kill(process.pid, number)
        time.sleep(chance.choice([0, 0.001, 0.05, chance.uniform(0, 0.8)]))
    _, err = process.communicate(timeout=30)
    begun.unlink(missing_ok=True)
    return process.returncode, err.splitlines(), time.monotonic() - first


INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@pytest.mark.parametrize(
    "numbers", [[INT], [INT] * 2, [INT] * 3, [TERM], [TERM, INT], [HUP, TERM, INT]], ids=lambda n: "-".join(map(str, n))
)
@pytest.mark.parametrize("script", ["silent", "deaf", "busy"])
def test_a_build_ends_at_once(release: Release, script: str, numbers: list[int]) -> None:
    """However many signals come, and whatever buildctl does."""
    for seed in range(ROUNDS):
        status, lines, seconds = interrupted(release, SCRIPTS[script], numbers, seed)
        said = [line for line in lines if "│" not in line]
        assert seconds < LONGEST + 0.8 * (len(numbers) - 1), (seed, lines)
        # Of signals that wait at the same time, Python takes the lowest first.
        assert (True, "interrupted") == (status - 128 in numbers, said[-1]), (seed, status, lines)
        assert [line for line in said if "interrupted" not in line] in ([], [IGNORED]), (seed, lines)
        assert release.published == {}


@pytest.mark.parametrize("numbers", [[INT], [INT] * 2, [INT] * 3, [TERM] * 2])
def test_a_release_is_whole_or_not_at_all(release: Release, numbers: list[int]) -> None:
    """Signals come while it publishes, too: the tags are both there or neither, and no line is a traceback."""
    for seed in range(3 * ROUNDS):
        for tag in ("latest", "1"):
            release.server.contents.pop(f"/v2/app/manifests/{tag}", None)
        status, lines, seconds = interrupted(release, SCRIPTS["done"], numbers, seed)
        assert seconds < LONGEST + 0.8 * len(numbers), (seed, lines)
        # One that comes after the run ends the interpreter, as it does any other.
        assert status in (0, 128 + numbers[0], -numbers[0]), (seed, lines)
        assert [] == [line for line in lines if "Traceback" in line or "Exception" in line], (seed, lines)
        assert len(release.published) in (0, 2), (seed, lines)
        if status == 0:
            assert 2 == len(release.published)
