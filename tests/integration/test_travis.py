"""The committed .travis.yml, run as Travis runs it: each job in a clone, home, BuildKit and bash of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import MACHINES, PAIR, ROOT, Project, RegistryContainer
from tests.integration.destination import SECRETS, Destination, remove_buildkit
from tests.integration.several_images import JOBS, check_published, write_project
from tests.travis.config import Event, expand
from tests.travis.executor import Outcome, Result, Travis, build, run_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.job_python import Wheels
    from tests.travis.config import Job

PUSH = Event(repo="someone/app")
PASSED = {**dict.fromkeys(PAIR, "passed"), "manifest": "passed"}


@dataclass(frozen=True)
class Repository:
    """A small project at Travis, with the file that `invoke pipeline` writes, and its destination."""

    path: Path
    travis: Travis
    to: Destination

    def commit(self, message: str) -> str:
        """Commit everything; return the hash."""
        git(self.path, "add", "--all")
        git(self.path, "commit", "--quiet", "--message", message)
        return git(self.path, "rev-parse", "HEAD")

    def build(self, number: int, event: Event = PUSH) -> Outcome:
        """Run a whole build of what is committed."""
        return build(self.travis, event, number=number)


def git(directory: Path, *words: str) -> str:
    """Run git as nobody in particular."""
    who = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, "-C", str(directory), *words], capture_output=True, text=True)
    assert (0, words) == (done.returncode, words), done.stderr
    return done.stdout.strip()


def statuses_of(outcome: Outcome) -> tuple[str, dict[str, str]]:
    """Return how a build and its jobs ended; the output of what did not pass is shown with a failure."""
    for job in outcome.jobs:
        if job.status not in ("passed", "canceled"):
            print(job.name, job.status, *job.output[-40:], sep="\n")
    return outcome.status, {job.name: job.status for job in outcome.jobs}


def digest(to: Destination, job: Result) -> str:
    """Return the digest that a job printed."""
    return to.published_digest("\n".join(job.output))


@pytest.fixture
def to(registry: RegistryContainer, project: Project, tmp_path: Path) -> Destination:
    """A registry that wants a login."""
    return Destination.at(registry, project.path.name, tmp_path)


@pytest.fixture
def travis(to: Destination, project: Project) -> Iterator[Travis]:
    """Travis, with the repository and the credentials in the settings."""
    remove_buildkit()
    yield Travis(
        ROOT,
        path=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        variables={"INVOKE_MULTIARCH_IMAGE": to.image},
        secrets=SECRETS,
        environ={name: value for name, value in os.environ.items() if name.startswith("DOCKER_HOST")},
        at_once=1,  # they have one Docker host between them here
        after_job=remove_buildkit,
    )
    project.ok("start-buildkit", "--recreate")


@pytest.fixture
def repository(travis: Travis, to: Destination, project: Project) -> Repository:
    """A small project; the tasks are installed already."""
    settings = (project.path / "invoke.yaml").read_text().replace("    - linux/arm64\n", "")
    project.write(invoke_yaml=f"{settings}  install: invoke --version\n")
    project.ok("pipeline", "--ci", "travis")
    git(project.path, "init", "--quiet")
    environ = {**travis.environ, "PYTHONPATH": str(ROOT)}
    repository = Repository(project.path, replace(travis, source=project.path, environ=environ), to)
    repository.commit("first")
    return repository


def test_the_file_of_this_repository_publishes(
    travis: Travis, to: Destination, wheels: Wheels, python3: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every job installs this package in a virtualenv of its own; each platform of the tag runs; no secret is shown."""

    def virtualenv(job: Job, env: dict[str, str]) -> None:
        directory = Path(env["HOME"]) / "virtualenv"
        subprocess.run([python3 / "python3", "-m", "venv", directory], check=True)
        env["PATH"] = f"{directory / 'bin'}:{os.environ['PATH']}"

    environ = {**travis.environ, **wheels.environ}
    outcome = build(replace(travis, environ=environ, before_job=virtualenv), PUSH, number=41)

    assert ("passed", dict.fromkeys([*MACHINES, "manifest"], "passed")) == statuses_of(outcome)
    published = digest(to, outcome.jobs[-1])
    assert (published, MACHINES) == (to.digest(), to.machines())
    assert [git(ROOT, "rev-parse", "HEAD")] * 3 == to.revisions(published)
    assert [] == [line for job in outcome.jobs for line in job.output if SECRETS["DOCKER_PASSWORD"] in line]
    with capsys.disabled():
        print(f"\nTravis: {to.image}:latest@{published} runs as {', '.join(MACHINES.values())}")
        print("\n".join(f"  {job.stage} {job.name}: {job.seconds:.1f} s" for job in outcome.jobs))


def test_a_job_that_fails_publishes_nothing(repository: Repository) -> None:
    """The publishing stage is skipped, and the tag stays as it was; the next build repairs it, from the cache."""
    first = repository.build(1)
    before = repository.to.digest()
    dockerfile = repository.path / "Dockerfile.armhf"
    good = dockerfile.read_text()
    dockerfile.write_text(good + "RUN exit 3\n")
    repository.commit("broken")
    second = repository.build(2)
    after = repository.to.digest()
    dockerfile.write_text(good)
    mended = repository.commit("mended")
    third = repository.build(3)

    assert [("passed", PASSED), ("passed", PASSED)] == [statuses_of(first), statuses_of(third)]
    assert ("failed", {**PASSED, "linux/arm/v7": "failed", "manifest": "canceled"}) == statuses_of(second)
    assert any("RUN exit 3" in line for line in second.jobs[1].output)
    assert (True, before) == (before != "", after)
    assert [mended] * 2 == repository.to.revisions(digest(repository.to, third.jobs[-1]))
    # Each job began with an empty BuildKit: what did not run again came from the registry.
    assert [False, True] == [any("CACHED" in line for line in of.jobs[0].output) for of in (first, third)]


@pytest.mark.parametrize("newer_wins", [True, False])
def test_interleaved_builds_do_not_mix(repository: Repository, newer_wins: bool) -> None:
    """Jobs of two builds by turns, and the older one ends last: an index holds the images of its own commit.

    The older build leaves the tag to the newer commit, unless the settings have it otherwise.
    """
    variables = {**repository.travis.variables, "INVOKE_MULTIARCH_NEWER_WINS": str(newer_wins).lower()}
    travis = replace(repository.travis, variables=variables)
    commits = {1: git(repository.path, "rev-parse", "HEAD")}
    (repository.path / "Dockerfile").write_text((repository.path / "Dockerfile").read_text() + "LABEL second=yes\n")
    commits[2] = repository.commit("second")
    text = (repository.path / ".travis.yml").read_text()
    builds, publish = expand(text, PUSH, variables)
    turns = [(number, job) for job in builds.jobs for number in (1, 2)]
    turns += [(number, publish.jobs[0]) for number in (2, 1)]

    results = [(n, run_job(travis, PUSH, job, commit=commits[n], number=n)) for n, job in turns]

    assert ["passed"] * 6 == [result.status for _, result in results]
    (_, newer), (_, older) = results[-2:]
    published = {2: digest(repository.to, newer)}
    if newer_wins:
        assert any("latest stays as it is: it is of " in line for line in older.output)
    else:
        published[1] = digest(repository.to, older)
    assert {n: [commits[n]] * 2 for n in published} == {n: repository.to.revisions(d) for n, d in published.items()}
    assert published[2 if newer_wins else 1] == repository.to.digest()


def test_a_pull_request_from_a_fork_is_built_and_not_published(repository: Repository) -> None:
    """It has no secrets, and needs none: all its builds pass, nothing is pushed, and nothing is published."""
    event = Event(type="pull_request", repo="someone/app", pull_request=3, head_repo="other/app", head_branch="fix")
    outcome = repository.build(5, event)
    assert ("passed", dict.fromkeys(PAIR, "passed")) == statuses_of(outcome)
    assert [True] * 2 == [any("built; nothing is pushed" in line for line in job.output) for job in outcome.jobs]
    assert "" == repository.to.digest()


def test_another_branch_is_not_built(repository: Repository) -> None:
    """A pull request of it is."""
    assert "skipped" == repository.build(6, replace(PUSH, branch="feature")).status


def test_jobs_publish_several_images(repository: Repository, project: Project) -> None:
    """A job for each platform of what is built on each other, and one for all tags."""
    write_project(project, repository.to)
    project.ok("pipeline", "--ci", "travis")
    repository.commit("several")

    outcome = build(replace(repository.travis, variables={}), PUSH, number=7)

    assert ("passed", dict.fromkeys([*JOBS, "manifest"], "passed")) == statuses_of(outcome)
    check_published(repository.to, "\n".join(outcome.jobs[-1].output))
