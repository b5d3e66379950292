"""The two runners of pipelines: the environment of a job, what it cannot see, and its result."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.ci_machine import Machine
from tests.integration.ci_runners import act, commit, gitlab_ci_local

WORKFLOW = ".github/workflows/ci.yml"
SECRET = "a \"b\" $HOME 'c'\nd"
# A job says who it is, and leaves something behind at home and at work.
LEAVE = 'echo "$(ls -A "$HOME" | wc -l) $(ls | wc -l) $WHO $CI_TEST"; touch "$HOME/left" left'
# The brackets keep the search from finding itself.
LOOK = 'test "$TOKEN" = "$(printf \'%s\' "$EXPECTED")" && ! ps -eo args= | grep "[t]oken-0123"'


@pytest.fixture
def machine() -> Machine:
    """One whose jobs have a variable that no pipeline can change."""
    return Machine(f"{Path(sys.executable).parent}:{os.environ['PATH']}", {"CI_TEST": "given"}, begin="echo begun")


def github(path: Path, text: str) -> Path:
    """Make a repository with a workflow."""
    (path / WORKFLOW).parent.mkdir(parents=True)
    (path / WORKFLOW).write_text(text)
    commit(path)
    return path


def gitlab(path: Path, text: str) -> Path:
    """Make a repository with a pipeline."""
    (path / ".gitlab-ci.yml").write_text(text)
    commit(path)
    return path


def test_a_github_job_has_a_machine_of_its_own(tmp_path: Path, machine: Machine) -> None:
    """Neither its home nor its directory is another's; the jobs of a matrix take turns; variables hold."""
    repository = github(
        tmp_path,
        f"""
on: push
jobs:
  one:
    runs-on: ubuntu-24.04-arm
    strategy: {{matrix: {{who: [a, b], native: [true]}}}}
    env: {{WHO: "${{{{ matrix.who }}}}", CI_TEST: pipeline}}
    steps:
      - uses: actions/checkout@v5
      - run: |
          {LEAVE}
          sleep 1.5
      - run: echo "$(ls -A "$HOME")"
""",
    )

    run = act(repository, WORKFLOW, machine)

    assert {"one true a": "success", "one true b": "success"} == run.statuses(), run.output
    assert {f"begun\n0 0 {who} given\nleft" for who in "ab"} == {job.output for job in run.jobs}
    assert [True, True] == [1.5 <= job.seconds < 3 for job in run.jobs]


def test_a_gitlab_job_has_a_machine_of_its_own(tmp_path: Path, machine: Machine) -> None:
    """The same there, whatever image and services are named; GITLAB_CI is what GitLab says."""
    repository = gitlab(
        tmp_path,
        f"""
one:
  image: docker:28
  services: ["docker:28-dind"]
  parallel: {{matrix: [{{WHO: [a, b]}}]}}
  variables: {{CI_TEST: pipeline}}
  script:
    - >-
      {LEAVE}
    - test "$GITLAB_CI" = true && sleep 1.5
  after_script:
    - echo "$(ls -A "$HOME")"
""",
    )

    run = gitlab_ci_local(repository, machine)

    assert {"one a": "success", "one b": "success"} == run.statuses(), run.output
    said = [[line for line in job.output.splitlines() if not line.startswith("$")] for job in run.jobs]
    assert [["begun", f"0 0 {who} given", "left"] for who in "ab"] == said
    assert [True, True] == [1.5 <= job.seconds < 3 for job in run.jobs]


def test_github_masks_secrets_and_numbers_runs(tmp_path: Path, machine: Machine) -> None:
    """A secret arrives as it is, is in nobody's arguments, and is masked; runs have the numbers that they are given."""
    repository = github(
        tmp_path,
        f"""
on: push
jobs:
  one:
    runs-on: ubuntu-latest
    env: {{TOKEN: "${{{{ secrets.TOKEN }}}}", EXPECTED: "${{{{ vars.EXPECTED }}}}"}}
    steps:
      - run: {LOOK!r}
      - run: echo "$TOKEN $GITHUB_RUN_ID $GITHUB_RUN_NUMBER $GITHUB_REPOSITORY ${{{{ github.run_number }}}}"
""".replace(repr(LOOK), "|\n          " + LOOK),
    )
    token = "token-0123 " + SECRET.splitlines()[0]
    env = {"GITHUB_RUN_ID": "70", "GITHUB_RUN_NUMBER": "7", "GITHUB_REPOSITORY": "some/app"}

    run = act(repository, WORKFLOW, machine, secrets={"TOKEN": token}, variables={"EXPECTED": token}, env=env)

    assert ("success", "begun\n*** 70 7 some/app 7") == (run.status, run.job("one").output), run.output


def test_gitlab_hands_over_secrets_and_numbers_pipelines(tmp_path: Path, machine: Machine) -> None:
    """The same there, but for the mask."""
    repository = gitlab(
        tmp_path,
        f"""
one:
  script:
    - |
      {LOOK}
    - echo "$CI_PIPELINE_IID $CI_PIPELINE_ID $CI_COMMIT_BRANCH $CI_PIPELINE_SOURCE"
""",
    )
    token = "token-0123 " + SECRET

    run = gitlab_ci_local(repository, machine, pipeline=7, secrets={"TOKEN": token}, variables={"EXPECTED": token})

    assert ("success", "7 1007 main push") == (run.status, run.job("one").output.splitlines()[-1]), run.output


def test_github_skips_what_needs_a_failed_job(tmp_path: Path, machine: Machine) -> None:
    """One job of a matrix fails: its siblings do not, and what needs it is skipped, also by a condition."""
    repository = github(
        tmp_path,
        """
on: [push]
jobs:
  build:
    runs-on: ubuntu-latest
    strategy: {fail-fast: false, matrix: {n: [1, 2, 3]}}
    steps:
      - run: test ${{ matrix.n }} != 2
  publish: {needs: build, runs-on: ubuntu-latest, steps: [{run: "true"}]}
  never: {if: "github.event_name != 'push'", runs-on: ubuntu-latest, steps: [{run: "true"}]}
  strange: {runs-on: windows-latest, steps: [{run: "true"}]}
""",
    )

    run = act(repository, WORKFLOW, machine)

    expected = {"build 1": "success", "build 2": "failure", "build 3": "success", "strange": "failure"}
    assert {**expected, "publish": "skipped", "never": "skipped"} == run.statuses(), run.output
    assert "failure" == run.status


def test_gitlab_skips_what_needs_a_failed_job(tmp_path: Path, machine: Machine) -> None:
    """The same there; a pipeline that cannot be read has no jobs."""
    repository = gitlab(
        tmp_path,
        """
stages: [build, publish]
build:
  stage: build
  parallel: {matrix: [{N: ["1", "2"]}]}
  script: ['echo seen >&2; test $N != 2']
publish: {stage: publish, needs: [build], script: ["true"]}
never: {stage: build, rules: [{if: $CI_COMMIT_TAG}], script: ["true"]}
""",
    )

    run = gitlab_ci_local(repository, machine)

    expected = {"build 1": "success", "build 2": "failure", "publish": "skipped", "never": "skipped"}
    assert ("failure", expected) == (run.status, run.statuses()), run.output
    assert "seen" in run.job("build", "2").output
    (repository / ".gitlab-ci.yml").write_text("build: {stage: nowhere}")
    assert ("failure", {}) == ((broken := gitlab_ci_local(repository, machine)).status, broken.statuses())


def test_github_tells_pull_requests_of_forks_apart(tmp_path: Path, machine: Machine) -> None:
    """A workflow sees whose repository it comes from."""
    repository = github(
        tmp_path,
        """
on: [push, pull_request]
jobs:
  fork:
    if: github.event_name == 'pull_request' && github.event.pull_request.head.repo.full_name != github.repository
    runs-on: ubuntu-latest
    steps:
      - run: echo "$GITHUB_EVENT_NAME $GITHUB_REF $GITHUB_BASE_REF [${{ secrets.TOKEN }}]"
  own: {if: github.event_name == 'push', runs-on: ubuntu-latest, steps: [{run: "true"}]}
""",
    )
    head = {"ref": "change", "repo": {"full_name": "other/app", "fork": True}}
    payload = {"number": 5, "pull_request": {"number": 5, "head": head, "base": {"ref": "main"}}}

    run = act(
        repository, WORKFLOW, machine, event="pull_request", payload=payload, env={"GITHUB_REPOSITORY": "some/app"}
    )

    assert {"fork": "success", "own": "skipped"} == run.statuses(), run.output
    assert "begun\npull_request refs/pull/5/merge main []" == run.job("fork").output


def test_gitlab_rules_see_a_merge_request(tmp_path: Path, machine: Machine) -> None:
    """Rules see what GitLab would set for one, and what it would not."""
    repository = gitlab(
        tmp_path,
        """
fork: {rules: [{if: $CI_PIPELINE_SOURCE == "merge_request_event"}], script: ['echo "[$CI_MERGE_REQUEST_IID]"']}
own: {rules: [{if: $CI_COMMIT_BRANCH}], script: ["true"]}
""",
    )
    variables = {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "5"}

    run = gitlab_ci_local(repository, machine, variables=variables, unset=["CI_COMMIT_BRANCH"])

    assert {"fork": "success", "own": "skipped"} == run.statuses(), run.output
    assert "[5]" == run.job("fork").output.splitlines()[-1]


def test_an_action_has_a_stand_in(tmp_path: Path, machine: Machine) -> None:
    """What cannot be fetched is replaced by a directory."""
    action = tmp_path / "action"
    action.mkdir()
    steps = "[{run: 'echo Python ${{ inputs.python-version }}', shell: bash}]"
    inputs = "{python-version: {description: version, required: true}}"
    (action / "action.yml").write_text(
        f"name: Python\ndescription: one\ninputs: {inputs}\nruns: {{using: composite, steps: {steps}}}\n"
    )
    repository = github(
        tmp_path,
        """
on: push
jobs:
  one:
    runs-on: ubuntu-latest
    steps: [{uses: actions/setup-python@v6, with: {python-version: "3.13"}}]
""",
    )

    run = act(repository, WORKFLOW, machine, actions={"actions/setup-python@v6": action})

    assert ("success", "begun\nPython 3.13") == (run.status, run.job("one").output), run.output


@pytest.mark.parametrize("runner", ["github", "gitlab"])
def test_a_pipeline_that_hangs_is_ended(tmp_path: Path, machine: Machine, runner: str) -> None:
    """With its programs, however deep: none of them may disturb the next test."""
    sleep = f"sleep 60.{secrets.randbelow(10**9)}"
    if runner == "github":
        github(tmp_path, f"{{on: push, jobs: {{one: {{runs-on: ubuntu-latest, steps: [{{run: {sleep}}}]}}}}}}")
    else:
        gitlab(tmp_path, f"one: {{script: [{sleep}]}}")

    with pytest.raises(AssertionError, match="did not end within 2 s"):
        if runner == "github":
            act(tmp_path, WORKFLOW, machine, timeout=2)
        else:
            gitlab_ci_local(tmp_path, machine, timeout=2)
    deadline = time.monotonic() + 5
    while (left := subprocess.run(["pgrep", "-fx", sleep]).returncode) == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert 1 == left
