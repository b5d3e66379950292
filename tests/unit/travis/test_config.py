"""Stages and jobs that a .travis.yml makes."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

from tests.travis.config import Event, expand
from tests.unit.travis.builds import FORK, ran, said

if TYPE_CHECKING:
    from tests.travis.executor import Travis


def jobs(text: str, event: Event | None = None) -> list[tuple[str, str]]:
    """Return the stage and the name of each job of a .travis.yml."""
    stages = expand(dedent(text), event or Event())
    return [(stage.name, job.name) for stage in stages for job in stage.jobs]


def env_of(text: str) -> list[str]:
    """Return the variables of each job, as one text."""
    jobs = [job for stage in expand(dedent(text), Event()) for job in stage.jobs]
    return [" ".join(f"{name}={value}" for name, value in job.env) for job in jobs]


def test_one_job() -> None:
    """Without an axis and without jobs.include, there is one job, of stage test."""
    assert [("test", "")] == jobs("script: x\n")
    assert [("test", "")] == jobs("python: '3.12'\nenv: {global: [A=1]}\nscript: x\n")


def test_axes() -> None:
    """Each combination of the values of the axes is a job; env counts as one, env.global does not."""
    assert 4 == len(jobs("os: [linux, osx]\nenv: {global: [G=1, H=1], jobs: [A=1, A=2]}\n"))
    assert ["G=1 A=1", "G=1 A=2"] == env_of("env: {global: G=1, jobs: [A=1, A=2]}\n")
    assert ["A=1 B=1", "A=2"] == env_of("env: [A=1 B=1, A=2]\n")
    assert ["A=3.10 B=true"] == env_of("env: {A: 3.10, B: true}\n")


def test_included_jobs_alone() -> None:
    """The job of axes with one value each gives way to those of jobs.include; several jobs of axes do not."""
    included = "jobs: {include: [{name: a}, {name: b}]}\n"
    assert ["a", "b"] == [name for _, name in jobs(included)]
    assert ["a", "b"] == [name for _, name in jobs(f"python: ['3.12']\nenv: {{global: [A=1]}}\n{included}")]
    assert ["", "", "a", "b"] == [name for _, name in jobs(f"python: [1, 2]\n{included}")]
    assert ["a"] == [name for _, name in jobs("jobs: [{name: a}]\n")]


def test_included_jobs_inherit(travis: Travis) -> None:
    """Included jobs inherit the phases of the top level and the first value of each axis that they do not set."""
    text = """
        env: {global: [G=g], jobs: [A=1, A=2]}
        install: echo "install $G$A"
        script: echo script
        jobs:
          include:
            - name: a
            - name: b
              env: B=3
              script: echo own
        """
    expected = [["install g1", "script"], ["install g2", "script"], ["install g1", "script"], ["install g", "own"]]
    assert expected == [said(result) for result in ran(travis, text).jobs]


def test_excluded_jobs() -> None:
    """An entry of jobs.exclude whose condition holds removes the jobs that have all of its values."""
    text = "env: [A=1, A=2]\njobs: {exclude: [{env: A=1, if: '%s'}]}\n"
    assert ["A=2"] == env_of(text % "type = push")
    assert ["A=1", "A=2"] == env_of(text % "type = cron")


def test_stage_of_the_job_before() -> None:
    """A job without a stage is of the stage of the job before it, and the first job of the stage test."""
    text = "jobs: {include: [{name: a}, {name: b, stage: build}, {name: c}, {name: d, stage: test}, {name: e}]}\n"
    expected = [("test", "a"), ("test", "d"), ("test", "e"), ("build", "b"), ("build", "c")]
    assert expected == jobs(text)


def test_order_of_stages() -> None:
    """Stages run in the order of `stages`, others after them in the order of their jobs; case does not matter."""
    included = "jobs: {include: [{name: a, stage: x}, {name: b, stage: two}, {name: c, stage: one}]}\n"
    assert [("One", "c"), ("two", "b"), ("x", "a")] == jobs(f"stages: [One, two, empty]\n{included}")
    assert ["x", "two", "one"] == [stage for stage, _ in jobs(included)]


def test_conditions() -> None:
    """The conditions of root, stages and jobs are evaluated without a shell, from the event, the settings and env."""
    text = """
        if: type != cron
        env: {global: [KIND=full, SHELL_CODE=$(false)]}
        stages:
          - name: build
            if: branch = main AND env(KIND) = full
          - name: publish
            if: type = push
        jobs:
          include:
            - {name: a, stage: build}
            - {name: b, if: env(SHELL_CODE) = "$(false)"}
            - {name: c, env: OWN=1, if: env(OWN) IS blank}
            - {name: d, if: env(TRAVIS_BRANCH) IS present}
            - {name: e, if: env(SET) = yes}
            - {name: f, stage: publish}
        """
    assert [("build", "a"), ("build", "b"), ("publish", "f")] == jobs(text)
    assert [("build", "a"), ("build", "b")] == jobs(text, FORK)
    assert [("publish", "f")] == jobs(text, Event(branch="other"))
    assert [] == jobs(text, Event("cron"))
    (stage, _) = expand(dedent(text), Event(), {"SET": "yes"})
    assert ["a", "b", "e"] == [job.name for job in stage.jobs]


def test_anchors() -> None:
    """Anchors and merges are followed, and lists within lists are joined."""
    text = "_a: &a [x, y]\njobs: {include: [&j {name: a, script: [*a, z]}, {<<: *j, name: b}]}\n"
    (stage,) = expand(text, Event())
    assert [("x", "y", "z"), ("x", "y", "z")] == [job.phases["script"] for job in stage.jobs]
