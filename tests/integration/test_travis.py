"""The committed .travis.yml, run as Travis runs it: each job a clone, a home and a BuildKit of its own, in one bash."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import urllib.request
import venv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.buildkitd import VOLUME
from tests.integration.conftest import MACHINES, ROOT, Project, RegistryContainer, docker
from tests.integration.test_publishing import PASSWORD, USER, _htpasswd, _log_in
from tests.travis.config import Event, expand
from tests.travis.executor import Outcome, Result, Travis, build, run_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.travis.config import Job

PUSH = Event(repo="someone/app")
REVISION = "org.opencontainers.image.revision"


@dataclass(frozen=True)
class Repository:
    """A repository at Travis, and where its releases go."""

    path: Path
    travis: Travis
    image: str
    docker_config: Path

    def commit(self, message: str) -> str:
        """Commit everything; return the hash."""
        _git(self.path, "add", "--all")
        _git(self.path, "commit", "--quiet", "--message", message)
        return _git(self.path, "rev-parse", "HEAD")

    def machines(self) -> dict[str, str]:
        """Return what ``uname -m`` says on each platform of the tag."""
        words = ("--config", str(self.docker_config), "run", "--rm", "--quiet", "--pull", "always")
        return {p: docker(*words, "--platform", p, f"{self.image}:latest", "uname", "-m") for p in MACHINES}

    def revisions(self, published: str) -> list[str]:
        """Return the commit of each image of an index, by what ``manifest`` printed."""
        index = self._read("manifests", published.partition("@")[2])
        images = [self._read("manifests", e["digest"]) for e in index["manifests"] if e["platform"]["os"] == "linux"]
        configs = [self._read("blobs", image["config"]["digest"]) for image in images]
        return [config["config"]["Labels"][REVISION] for config in configs]

    def _read(self, kind: str, digest: str) -> Any:
        host, _, repository = self.image.partition("/")
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Accept": "application/vnd.oci.image.index.v1+json"}
        headers["Accept"] += ", application/vnd.oci.image.manifest.v1+json"
        request = urllib.request.Request(f"http://{host}/v2/{repository}/{kind}/{digest}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def digest(self) -> str:
        """Return the digest that the tag has, nothing where there is none."""
        words = (sys.executable, "-m", "invoke", "manifest", "--inspect", "--image", self.image)
        env = {**os.environ, "DOCKER_CONFIG": str(self.docker_config)}
        done = subprocess.run(words, cwd=self.path, env=env, capture_output=True, text=True)
        return done.stdout.splitlines()[0].partition("@")[2].split()[0] if done.returncode == 0 else ""


def _git(directory: Path, *words: str) -> str:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, "-C", str(directory), *words], capture_output=True, text=True)
    assert (0, words) == (done.returncode, words), done.stderr
    return done.stdout.strip()


def _published(result: Result, image: str) -> str:
    """Return the reference with its digest that a job printed."""
    (line,) = [line for line in result.output if re.fullmatch(rf"{image}:latest@sha256:[0-9a-f]{{64}}", line)]
    return line


def _without_buildkit(_job: Job | None = None) -> None:
    """Take the server away with what it has built, as the machine of a job is taken away."""
    docker("rm", "--force", "--volumes", "buildkit")
    subprocess.run(["docker", "volume", "rm", VOLUME], capture_output=True)


@pytest.fixture
def travis(registry: RegistryContainer, project: Project) -> Iterator[Travis]:
    """Travis for someone who has put the credentials of a registry into the settings."""
    registry.options = _htpasswd(project.path)
    registry.start()
    _without_buildkit()
    yield Travis(
        ROOT,
        path=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        variables={"INVOKE_MULTIARCH_IMAGE": f"{registry.host}/someone/{project.path.name}"},
        secrets={"DOCKER_USERNAME": USER, "DOCKER_PASSWORD": PASSWORD},
        environ={name: value for name, value in os.environ.items() if name.startswith(("PIP_", "DOCKER_HOST"))},
        at_once=1,  # they have one Docker host between them here
        after_job=_without_buildkit,
    )
    project.ok("start-buildkit", "--recreate")


def _at(travis: Travis, path: Path, directory: Path) -> Repository:
    image = travis.variables["INVOKE_MULTIARCH_IMAGE"]
    directory.mkdir(exist_ok=True)
    _log_in(directory, image.partition("/")[0], "config")
    return Repository(path, replace(travis, source=path), image, directory)


@pytest.fixture
def repository(travis: Travis, project: Project) -> Repository:
    """A small project, whose file is what `invoke pipeline` writes; the tasks are there already."""
    project.write(invoke_yaml=(project.path / "invoke.yaml").read_text() + "  install: invoke --version\n")
    (project.path / ".gitignore").write_text("auth\nconfig\n")
    travis = replace(travis, environ={**travis.environ, "PYTHONPATH": str(ROOT)})
    project.ok("pipeline", "--ci", "travis")
    _git(project.path, "init", "--quiet")
    found = _at(travis, project.path, project.path / "config")
    found.commit("first")
    return found


def test_the_file_of_this_repository_publishes(
    travis: Travis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every job installs this package in a virtualenv of its own; each platform of the tag runs; no secret is shown."""

    def virtualenv(job: Job, env: dict[str, str]) -> None:
        directory = Path(env["HOME"]) / "virtualenv"
        venv.create(directory, with_pip=True)
        env["PATH"] = f"{directory / 'bin'}:{os.environ['PATH']}"

    repository = _at(replace(travis, before_job=virtualenv), ROOT, tmp_path / "docker")

    outcome = build(repository.travis, PUSH, number=41)

    assert ("passed", {**dict.fromkeys(MACHINES, "passed"), "manifest": "passed"}) == _told(outcome)
    published = _published(outcome.jobs[-1], repository.image)
    assert (published.partition("@")[2], MACHINES) == (repository.digest(), repository.machines())
    assert [_git(ROOT, "rev-parse", "HEAD")] * 3 == repository.revisions(published)
    assert [] == [line for job in outcome.jobs for line in job.output if PASSWORD in line]
    with capsys.disabled():
        print(f"\nTravis, executed: {published}")
        print("\n".join(f"  {job.number} {job.stage} {job.name}: {job.seconds:.1f} s" for job in outcome.jobs))


def test_a_job_that_fails_publishes_nothing(repository: Repository) -> None:
    """The stage that publishes is skipped, and the tag stays as it was; the next build mends it, from the cache."""
    first = build(repository.travis, PUSH, number=1)
    before = repository.digest()
    good = (repository.path / "Dockerfile.armhf").read_text()
    (repository.path / "Dockerfile.armhf").write_text(good + "RUN exit 3\n")
    repository.commit("broken")
    second = build(repository.travis, PUSH, number=2)
    after = repository.digest()
    (repository.path / "Dockerfile.armhf").write_text(good)
    mended = repository.commit("mended")
    third = build(repository.travis, PUSH, number=3)

    passed = {**dict.fromkeys(MACHINES, "passed"), "manifest": "passed"}
    assert [("passed", passed), ("passed", passed)] == [_told(first), _told(third)]
    assert ("failed", {**passed, "linux/arm/v7": "failed", "manifest": "canceled"}) == _told(second)
    assert any("RUN exit 3" in line for line in second.jobs[2].output)
    assert (True, before) == (before != "", after)
    assert [mended] * 3 == repository.revisions(_published(third.jobs[-1], repository.image))
    # Each job began with an empty BuildKit: what did not run again came from the registry.
    assert [False, True] == [any("CACHED" in line for line in of.jobs[1].output) for of in (first, third)]


def test_interleaved_builds_do_not_mix(repository: Repository) -> None:
    """Jobs of two builds by turns, and the older one ends last: each index holds the images of its own commit."""
    text = (repository.path / ".travis.yml").read_text()
    commits = {1: _git(repository.path, "rev-parse", "HEAD")}
    (repository.path / "Dockerfile").write_text((repository.path / "Dockerfile").read_text() + "LABEL second=yes\n")
    commits[2] = repository.commit("second")
    stages = expand(text, PUSH, repository.travis.variables)
    results: dict[int, list[Result]] = {1: [], 2: []}
    for job in stages[0].jobs:
        for number in commits:
            results[number].append(_run(repository, job, commits[number], number))
    for number in (2, 1):
        results[number].append(_run(repository, stages[1].jobs[0], commits[number], number))

    assert ["passed"] * 8 == [result.status for number in (1, 2) for result in results[number]]
    published = {number: _published(results[number][-1], repository.image) for number in commits}
    assert {n: [c] * 3 for n, c in commits.items()} == {n: repository.revisions(r) for n, r in published.items()}
    assert published[1].endswith(repository.digest())


def test_a_pull_request_from_a_fork_is_built_alone(repository: Repository) -> None:
    """It has no secrets, and needs none: all its builds pass, nothing is pushed, and nothing is published."""
    event = Event(type="pull_request", repo="someone/app", pull_request=3, head_repo="other/app", head_branch="fix")
    outcome = build(repository.travis, event, number=5)
    assert ("passed", dict.fromkeys(MACHINES, "passed")) == _told(outcome)
    assert [True] * 3 == [any("built; nothing is pushed" in line for line in job.output) for job in outcome.jobs]
    assert "" == repository.digest()


def test_another_branch_is_not_built(repository: Repository) -> None:
    """It is built when somebody asks for it to be merged."""
    assert "skipped" == build(repository.travis, replace(PUSH, branch="feature"), number=6).status


def _run(repository: Repository, job: Job, commit: str, number: int) -> Result:
    return run_job(repository.travis, PUSH, job, commit=commit, number=number)


def _told(outcome: Outcome) -> tuple[str, dict[str, str]]:
    """Return how a build and its jobs ended; the output of what did not pass is shown with a failure."""
    for job in outcome.jobs:
        if job.status not in ("passed", "canceled"):
            print(job.name, job.status, *job.output[-40:], sep="\n")
    return outcome.status, {job.name: job.status for job in outcome.jobs}
