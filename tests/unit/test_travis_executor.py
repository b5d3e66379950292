"""The small Travis of tests/travis: each sentence about Travis that others rely on, with real bash and git."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from tests.travis.config import Event, expand
from tests.travis.executor import Outcome, Result, Travis, build

if TYPE_CHECKING:
    from pathlib import Path

    from tests.travis.config import Job

FORK = Event("pull_request", pull_request=7, head_repo="stranger/app", head_branch="change")
PASSED, FAILED, ERRORED, CANCELED = "passed", "failed", "errored", "canceled"


@pytest.fixture
def travis(tmp_path: Path) -> Travis:
    """A repository with one commit, at Travis."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("one\n")
    (source / "sub").mkdir()
    (source / "sub" / "file").write_text("two\n")
    git(source, "init", "--quiet", "--initial-branch=main")
    commit(source, "First")
    return Travis(source, path=os.environ["PATH"])


def git(source: Path, *words: str) -> str:
    """Run git."""
    names = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    return subprocess.run(
        ["git", "-C", str(source), *names, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(source: Path, message: str) -> str:
    """Commit all there is, and return the hash."""
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "-m", message)
    return git(source, "rev-parse", "HEAD")


def ran(travis: Travis, text: str, event: Event | None = None) -> Outcome:
    """Run a build of a .travis.yml."""
    return build(travis, event or Event(), text=dedent(text))


def job(travis: Travis, text: str, event: Event | None = None) -> tuple[str, list[str]]:
    """Run a build of one job; return its status, and what its commands wrote."""
    (result,) = ran(travis, text, event).jobs
    return result.status, said(result)


def said(result: Result) -> list[str]:
    """Return the output without what Travis says itself."""
    ours = ("$ ", "The command ", "Your build ", "Done. ")
    return [line for line in result.output if line and not line.startswith(ours)]


def jobs(text: str, event: Event | None = None) -> list[tuple[str, str]]:
    """Expand a .travis.yml; return stage and name of each job."""
    stages = expand(dedent(text), event or Event())
    return [(stage.name, job.name) for stage in stages for job in stage.jobs]


def env_of(text: str) -> list[str]:
    """Return the variables of each job, as one text."""
    found = [job for stage in expand(dedent(text), Event()) for job in stage.jobs]
    return [" ".join(f"{name}={value}" for name, value in job.env) for job in found]


# One job


def test_phases_in_order(travis: Travis) -> None:
    """First before_install, then install, before_script, script, after_success, after_script, however they stand."""
    text = """
        after_script: echo 6
        after_failure: echo never
        after_success: echo 5
        script: echo 4
        before_script: echo 3
        install: echo 2
        before_install: echo 1
        """
    assert (PASSED, ["1", "2", "3", "4", "5", "6"]) == job(travis, text)


def test_one_bash(travis: Travis) -> None:
    """All phases run in one bash by eval: cd, export, variables and functions persist."""
    text = """
        before_install: cd sub
        install:
          - export EXPORTED=1
          - own=2
        before_script: say() { echo "$@"; }
        script: cat file; say "$EXPORTED $own"; bash -c 'echo "$EXPORTED$own"'
        """
    assert (PASSED, ["two", "1 2", "1"]) == job(travis, text)


def test_every_item_of_script(travis: Travis) -> None:
    """There is no set -e: in script every item runs, and the job fails if any failed."""
    assert (FAILED, ["1", "2"]) == job(travis, "script: [echo 1, 'false', echo 2]\n")


@pytest.mark.parametrize("phase", ["before_install", "install", "before_script"])
def test_before_script(travis: Travis, phase: str) -> None:
    """A failing item in the phases before script stops the job at once, errored; no phase after it runs."""
    text = f"""
        {phase}: [echo 1, 'false', echo never]
        script: echo never
        after_success: echo never
        after_failure: echo never
        after_script: echo never
        """
    assert (ERRORED, ["1"]) == job(travis, text)


def test_items_of_several_lines(travis: Travis) -> None:
    """An item of several lines reports only its last command."""
    for phase, last, expected in (
        ("script", "true", PASSED),
        ("script", "false", FAILED),
        ("install", "true", PASSED),
        ("install", "false", ERRORED),
    ):
        other = "script" if phase == "install" else "install"
        status, lines = job(travis, f"{phase}:\n- |\n  false\n  echo o''ne\n  {last}\n{other}: skip\n")
        assert (expected, True) == (status, "one" in lines)


def test_pipes(travis: Travis) -> None:
    """There is no pipefail: a pipe reports its last command."""
    assert (PASSED, ["1"]) == job(travis, "install: false | true\nscript: false | echo 1\n")


def test_after_success(travis: Travis) -> None:
    """After_success failing leaves the job green; every item of it runs."""
    assert (PASSED, ["1", "2"]) == job(travis, "script: echo 1\nafter_success: ['false', echo 2]\n")


def test_after_failure(travis: Travis) -> None:
    """After_failure runs in the place of after_success, and after_script in any case; neither changes the status."""
    text = "script: 'false'\nafter_success: echo never\nafter_failure: [echo 1, 'true']\nafter_script: echo 2\n"
    assert (FAILED, ["1", "2"]) == job(travis, text)
    assert (PASSED, ["1"]) == job(travis, "script: 'true'\nafter_script: [echo 1, 'false']\n")


def test_result(travis: Travis) -> None:
    """TRAVIS_TEST_RESULT is empty before script, and tells of it afterwards."""
    text = """
        install: echo "<$TRAVIS_TEST_RESULT>"
        script: [echo 1, %s]
        after_success: echo "<$TRAVIS_TEST_RESULT>"
        after_failure: echo "<$TRAVIS_TEST_RESULT>"
        """
    assert (PASSED, ["<>", "1", "<0>"]) == job(travis, text % "'true'")
    assert (FAILED, ["<>", "1", "<1>"]) == job(travis, text % "'false'")


def test_exit(travis: Travis) -> None:
    """An exit ends the bash of the job: with 0 it passed, with 1 it failed, with another status it errored."""
    for status, expected in ((0, PASSED), (1, FAILED), (3, ERRORED)):
        assert (expected, ["1"]) == job(travis, f"script: [echo 1, exit {status}, echo never]\n")


def test_set_e(travis: Travis) -> None:
    """Who says set -e gets it, for all that comes: the first that fails ends the bash."""
    assert (FAILED, ["1"]) == job(travis, "install: set -e\nscript: [echo 1, 'false', echo never]\n")


def test_skip(travis: Travis) -> None:
    """Skip skips a phase; a job whose script is skipped passes, and one without script fails."""
    assert PASSED == job(travis, "install: skip\nscript: skip\n")[0]
    assert FAILED == job(travis, "language: python\n")[0]
    assert (PASSED, ["1"]) == job(travis, "language: python\nscript: echo 1\n")


def test_retry(travis: Travis) -> None:
    """Travis_retry runs a command again."""
    assert PASSED == job(travis, "script: travis_retry eval 'test -e x || { touch x; false; }'\n")[0]


# Its environment


def test_env_is_expanded_by_bash(travis: Travis) -> None:
    """Variables of env are exported by eval, one after another, after those that Travis sets."""
    text = """
        env:
          global:
            - FIRST=$TRAVIS_BUILD_NUMBER SECOND="$FIRST $(echo x)"
            - THIRD='$FIRST {a}'
            - FOURTH: 4
        script: bash -c 'echo "$FIRST/$SECOND/$THIRD/$FOURTH"'
        """
    assert (PASSED, ["1/1 x/$FIRST {a}/4"]) == job(travis, text)


def test_what_travis_sets(travis: Travis) -> None:
    """A job knows from TRAVIS_* what it is built from, and where."""
    sha = git(travis.source, "rev-parse", "HEAD")
    names = (
        "BUILD_ID JOB_NUMBER BRANCH COMMIT COMMIT_MESSAGE REPO_SLUG EVENT_TYPE PULL_REQUEST PULL_REQUEST_SLUG TAG "
        "SECURE_ENV_VARS OS_NAME BUILD_STAGE_NAME"
    )
    text = f"""
        script:
          - echo "$CI"; echo "$TRAVIS"; for name in {names}; do name=TRAVIS_$name; echo "${{!name}}"; done
          - '[ "$PWD" = "$TRAVIS_BUILD_DIR" ] && [ -n "$TRAVIS_CPU_ARCH" ]'
        """
    common = ["true", "true", "1", "1.1"]
    status, lines = job(travis, text)
    assert (PASSED, [*common, "main", sha, "First", "someone/app", "push", "false"]) == (status, lines[:10])
    assert ["false", "linux", "test"] == lines[10:]
    tagged = job(travis, text, Event(tag="v1"))[1]
    assert ("v1", "v1") == (tagged[4], tagged[10])
    assert ["pull_request", "7", "stranger/app", "false", "linux", "test"] == job(travis, text, FORK)[1][8:]


def test_clean_environment(travis: Travis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of our environment but what is passed reaches a job."""
    monkeypatch.setenv("LEAKED", "yes")
    given = replace(travis, environ={"EXTRA": "extra"}, variables={"SHOWN": "a $b"})
    text = "script: echo \"<$LEAKED> $EXTRA $SHOWN\"; env | cut -d= -f1 | grep -vE '^(TRAVIS|CI$|_$)' | sort | xargs\n"
    known = "CONTINUOUS_INTEGRATION DEBIAN_FRONTEND EXTRA HOME LANG OLDPWD PAGER PATH PWD SHELL SHLVL SHOWN USER"
    status, (values, names) = job(given, text)
    assert (PASSED, "<> extra a $b") == (status, values)
    assert set() == set(names.split()) - set(known.split())


def test_secrets(travis: Travis) -> None:
    """Pull requests of forks get no secrets, and see it by TRAVIS_SECURE_ENV_VARS; all other builds get them."""
    given = replace(travis, secrets={"PASSWORD": "p$w"}, variables={"SHOWN": "s"})
    text = 'script: echo "<$PASSWORD> $SHOWN $TRAVIS_SECURE_ENV_VARS"\n'
    assert (PASSED, ["<p$w> s true"]) == job(given, text)
    assert (PASSED, ["<p$w> s true"]) == job(given, text, replace(FORK, head_repo="someone/app"))
    assert (PASSED, ["<> s false"]) == job(given, text, FORK)


def test_own_clone(travis: Travis) -> None:
    """Each job has a clone of the commit and an empty home of its own, which are removed afterwards."""
    first = git(travis.source, "rev-parse", "HEAD")
    (travis.source / "file").write_text("later\n")
    commit(travis.source, "Second")
    (travis.source / "file").write_text("not committed\n")
    text = """
        script: [cat file, git status --short, ls -A ~, pwd, touch file2 ~/x, ls file2]
        jobs: {include: [{name: a}, {name: b}]}
        """
    found = build(travis, Event(), commit=first, text=dedent(text)).jobs
    places = {said(result)[2] for result in found}
    assert [["one", "build"], ["one", "build"]] == [said(result)[:2] for result in found]
    assert 2 == len(places)
    assert [False, False] == [os.path.exists(place) for place in places]


def test_file_of_the_commit(travis: Travis) -> None:
    """The .travis.yml is that of the commit."""
    (travis.source / ".travis.yml").write_text("script: cat file\n")
    commit(travis.source, "Say how")
    (travis.source / ".travis.yml").unlink()
    assert [["one"]] == [said(result) for result in build(travis, Event()).jobs]


# When it must end


def test_silence(travis: Travis) -> None:
    """A job that says nothing for too long is ended, errored; one that goes on talking is not."""
    impatient = replace(travis, silence=0.5)
    status, lines = job(impatient, "script: [echo 1, sleep 60, echo never]\nafter_script: echo never\n")
    expected = "No output has been received in the last 0.5 seconds. The build has been terminated"
    assert (ERRORED, ["1", expected]) == (status, lines)
    assert PASSED == job(impatient, "script: for i in 1 2 3 4; do echo $i; sleep 0.2; done\n")[0]


def test_limit(travis: Travis) -> None:
    """A job that takes too long is ended, errored, however much it says."""
    status, lines = job(replace(travis, limit=0.5), "script: while sleep 0.1; do echo 1; done\n")
    expected = "The job exceeded the maximum time limit for jobs, and has been terminated."
    assert (ERRORED, expected) == (status, lines[-1])


def test_nothing_goes_on(travis: Travis, tmp_path: Path) -> None:
    """A job is over when its bash is; what it left in the background ends with it."""
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


# Which jobs there are


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
    """Where the axes make no more than one job, only those of jobs.include are there; else both are."""
    included = "jobs: {include: [{name: a}, {name: b}]}\n"
    assert ["a", "b"] == [name for _, name in jobs(included)]
    assert ["a", "b"] == [name for _, name in jobs(f"python: ['3.12']\nenv: {{global: [A=1]}}\n{included}")]
    assert ["", "", "a", "b"] == [name for _, name in jobs(f"python: [1, 2]\n{included}")]
    assert ["a"] == [name for _, name in jobs("jobs: [{name: a}]\n")]


def test_included_jobs_inherit(travis: Travis) -> None:
    """Included jobs inherit the phases of the top level and the first value of each axis, but for what they say."""
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
    """A job that has all that an entry of jobs.exclude says is not there, if its condition holds."""
    text = "env: [A=1, A=2]\njobs: {exclude: [{env: A=1, if: '%s'}]}\n"
    assert ["A=2"] == env_of(text % "type = push")
    assert ["A=1", "A=2"] == env_of(text % "type = cron")


def test_stage_of_the_job_before() -> None:
    """A job without a stage is of that of the job before it, and the first one of test."""
    text = "jobs: {include: [{name: a}, {name: b, stage: build}, {name: c}, {name: d, stage: test}, {name: e}]}\n"
    expected = [("test", "a"), ("test", "d"), ("test", "e"), ("build", "b"), ("build", "c")]
    assert expected == jobs(text)


def test_order_of_stages() -> None:
    """Stages run in the order of `stages`, others after them as their jobs come; case does not matter."""
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
    """Anchors and merges are followed, and lists within lists are one."""
    text = "_a: &a [x, y]\njobs: {include: [&j {name: a, script: [*a, z]}, {<<: *j, name: b}]}\n"
    (stage,) = expand(text, Event())
    assert [("x", "y", "z"), ("x", "y", "z")] == [job.phases["script"] for job in stage.jobs]


# A whole build


def test_a_failed_stage_cancels_later_ones(travis: Travis) -> None:
    """The other jobs of a failed stage go on to their end; those of later stages are canceled, and never begun."""
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
    found = ran(travis, text % "'false'")
    assert ERRORED == found.status
    assert [("a", ERRORED), ("b", PASSED), ("c", CANCELED), ("d", CANCELED)] == [(r.name, r.status) for r in found.jobs]
    assert [[], ["ran"], [], []] == [said(result) for result in found.jobs]
    assert [PASSED] * 5 == [(found := ran(travis, text % "'true'")).status, *(result.status for result in found.jobs)]


def test_stages_run_after_one_another(travis: Travis, tmp_path: Path) -> None:
    """The jobs of a stage run at once, up to a limit; those of the next begin when all of them have ended."""
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
    """A job that may fail breaks nothing."""
    text = """
        script: 'true'
        jobs:
          include:
            - {name: a, stage: one, script: 'false'}
            - {name: b, script: 'false', allow_failure: true}
            - {name: c, stage: two}
          allow_failures: [{name: a}]
        """
    found = ran(travis, text)
    assert (PASSED, [FAILED, FAILED, PASSED]) == (found.status, [result.status for result in found.jobs])


def test_a_build_that_is_skipped(travis: Travis) -> None:
    """A build whose condition does not hold has no jobs."""
    assert Outcome("skipped", ()) == ran(travis, "if: tag IS present\nscript: x\n")


def test_hooks(travis: Travis) -> None:
    """Each job's own things are provided before it, by its environment, and removed after it, whatever came of it."""
    calls: list[str] = []

    def before(job: Job, env: dict[str, str]) -> None:
        calls.append(f"before {job.name}")
        env["PROVIDED"] = f"for {job.name} of {env['TRAVIS_JOB_NUMBER']}"

    hooked = replace(travis, at_once=1, before_job=before, after_job=lambda job: calls.append(f"after {job.name}"))
    text = """
        script: echo $PROVIDED
        jobs: {include: [{name: a}, {name: b, install: 'false'}, {name: c, stage: later}]}
        """
    found = ran(hooked, text)
    assert ["before a", "after a", "before b", "after b"] == calls
    assert [["for a of 1.1"], [], []] == [said(result) for result in found.jobs]


def test_a_hook_that_fails(travis: Travis) -> None:
    """What a hook raises ends the build; the other jobs are stopped, and what was provided is removed."""
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
    """It is an error before anything runs."""
    with pytest.raises(subprocess.CalledProcessError):
        build(travis, Event(), commit="0" * 40, text="script: x\n")
