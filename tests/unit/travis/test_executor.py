"""Builds in real clones: what each job has of its own, when it must end, and how the build ends."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from tests.travis.config import Event
from tests.travis.executor import Outcome, Travis, build
from tests.unit.travis.builds import CANCELED, ERRORED, FAILED, PASSED, commit, git, job, ran, said

if TYPE_CHECKING:
    from pathlib import Path

    from tests.travis.config import Job


def test_own_clone(travis: Travis) -> None:
    """Each job has a clone of the commit and an empty home of its own; both are removed afterwards."""
    first = git(travis.source, "rev-parse", "HEAD")
    (travis.source / "file").write_text("later\n")
    commit(travis.source, "Second")
    (travis.source / "file").write_text("not committed\n")
    text = """
        script: [cat file, git status --short, ls -A ~, pwd, touch file2 ~/x, ls file2]
        jobs: {include: [{name: a}, {name: b}]}
        """
    results = build(travis, Event(), commit=first, text=dedent(text)).jobs
    places = {said(result)[2] for result in results}
    assert [["one", "build"], ["one", "build"]] == [said(result)[:2] for result in results]
    assert 2 == len(places)
    assert [False, False] == [os.path.exists(place) for place in places]


def test_file_of_the_commit(travis: Travis) -> None:
    """The .travis.yml is that of the commit."""
    (travis.source / ".travis.yml").write_text("script: cat file\n")
    commit(travis.source, "Say how")
    (travis.source / ".travis.yml").unlink()
    assert [["one"]] == [said(result) for result in build(travis, Event()).jobs]


def test_silence(travis: Travis) -> None:
    """A job that writes nothing for too long is ended, errored; one that keeps writing is not."""
    impatient = replace(travis, silence=0.5)
    status, lines = job(impatient, "script: [echo 1, sleep 60, echo never]\nafter_script: echo never\n")
    expected = "No output has been received in the last 0.5 seconds. The build has been terminated"
    assert (ERRORED, ["1", expected]) == (status, lines)
    assert PASSED == job(impatient, "script: for i in 1 2 3 4; do echo $i; sleep 0.2; done\n")[0]


def test_limit(travis: Travis) -> None:
    """A job that takes too long is ended, errored, however much it writes."""
    status, lines = job(replace(travis, limit=0.5), "script: while sleep 0.1; do echo 1; done\n")
    expected = "The job exceeded the maximum time limit for jobs, and has been terminated."
    assert (ERRORED, expected) == (status, lines[-1])


def test_nothing_goes_on(travis: Travis, tmp_path: Path) -> None:
    """A job is over when its bash is; the processes that it left in the background end with it."""
    begun = time.monotonic()
    text = f"script: (sleep 60; touch {tmp_path}/late) & echo $! >{tmp_path}/pid\n"
    assert (PASSED, []) == job(travis, text)
    assert time.monotonic() - begun < 10
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}/exe") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{pid}/exe")


def test_output(travis: Travis) -> None:
    """Both outputs are collected in one, in order, with the commands and how they ended."""
    (result,) = ran(travis, "script: echo 1; echo 2 >&2; printf 3\nafter_success: exec >&- 2>&-; sleep 0.2\n").jobs
    assert ("$ echo 1; echo 2 >&2; printf 3", "1", "2") == result.output[:3]
    assert PASSED == result.status
    assert 0.2 < result.seconds < 10


def test_a_failed_stage_cancels_later_ones(travis: Travis) -> None:
    """The other jobs of a failed stage go on to their end; those of later stages are canceled before they begin."""
    text = """
        stages: [one, two, three]
        script: echo ran
        jobs:
          include:
            - {name: a, stage: one, install: %s}
            - {name: b, stage: one}
            - {name: c, stage: two}
            - {name: d, stage: three}
        """
    broken, mended = ran(travis, text % "'false'"), ran(travis, text % "'true'")
    statuses = {result.name: result.status for result in broken.jobs}
    assert (ERRORED, {"a": ERRORED, "b": PASSED, "c": CANCELED, "d": CANCELED}) == (broken.status, statuses)
    assert [[], ["ran"], [], []] == [said(result) for result in broken.jobs]
    assert (PASSED, [PASSED] * 4) == (mended.status, [result.status for result in mended.jobs])


def test_stages_run_after_one_another(travis: Travis, tmp_path: Path) -> None:
    """The jobs of a stage run at the same time, up to a limit; the next stage begins when all have ended."""
    text = f"""
        jobs:
          include:
            - {{name: a, stage: one, script: "touch {tmp_path}/a; until [ -e {tmp_path}/b ]; do sleep 0.02; done"}}
            - {{name: b, script: "touch {tmp_path}/b; until [ -e {tmp_path}/a ]; do sleep 0.02; done"}}
            - {{name: c, stage: two, script: "ls {tmp_path}/a {tmp_path}/b"}}
        """
    patient = replace(travis, silence=10)
    assert [PASSED] * 3 == [result.status for result in ran(patient, text).jobs]
    (tmp_path / "a").unlink()
    (tmp_path / "b").unlink()
    alone = replace(travis, silence=0.5, at_once=1)
    assert [ERRORED, PASSED, CANCELED] == [result.status for result in ran(alone, text).jobs]


def test_allowed_failures(travis: Travis) -> None:
    """A job that may fail does not fail its build."""
    text = """
        script: 'true'
        jobs:
          include:
            - {name: a, stage: one, script: 'false'}
            - {name: b, script: 'false', allow_failure: true}
            - {name: c, stage: two}
          allow_failures: [{name: a}]
        """
    outcome = ran(travis, text)
    assert (PASSED, [FAILED, FAILED, PASSED]) == (outcome.status, [result.status for result in outcome.jobs])


def test_a_build_that_is_skipped(travis: Travis) -> None:
    """A build whose condition does not hold has no jobs."""
    assert Outcome("skipped", ()) == ran(travis, "if: tag IS present\nscript: x\n")


def test_hooks(travis: Travis) -> None:
    """One is called before each job, with its environment, and one after it, however it ended."""
    calls: list[str] = []

    def before(job: Job, env: dict[str, str]) -> None:
        calls.append(f"before {job.name}")
        env["PROVIDED"] = f"for {job.name} of {env['TRAVIS_JOB_NUMBER']}"

    hooked = replace(travis, at_once=1, before_job=before, after_job=lambda job: calls.append(f"after {job.name}"))
    text = """
        script: echo $PROVIDED
        jobs: {include: [{name: a}, {name: b, install: 'false'}, {name: c, stage: later}]}
        """
    outcome = ran(hooked, text)
    assert ["before a", "after a", "before b", "after b"] == calls
    assert [["for a of 1.1"], [], []] == [said(result) for result in outcome.jobs]


def test_a_hook_that_fails(travis: Travis) -> None:
    """Its exception ends the build; the other jobs are stopped, and the hook after each job is called."""
    removed: list[str] = []

    def before(job: Job, env: dict[str, str]) -> None:
        if job.name == "b":
            raise RuntimeError("no Docker")

    hooked = replace(travis, before_job=before, after_job=lambda job: removed.append(job.name))
    begun = time.monotonic()
    with pytest.raises(RuntimeError, match="no Docker"):
        ran(hooked, "script: sleep 60\njobs: {include: [{name: a}, {name: b}]}\n")
    assert ["a", "b"] == sorted(removed)
    assert time.monotonic() - begun < 10


def test_a_commit_that_is_not_there(travis: Travis) -> None:
    """It is an error before any job runs."""
    with pytest.raises(subprocess.CalledProcessError):
        build(travis, Event(), commit="0" * 40, text="script: x\n")
