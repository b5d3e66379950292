"""A release in the jobs of a CI: a GitHub workflow and a GitLab pipeline, run by act and by gitlab-ci-local."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.ci_machine import Machine
from tests.integration.ci_runners import Run, act, commit, gitlab_ci_local
from tests.integration.conftest import MACHINES, ROOT, Project, runs_as

if TYPE_CHECKING:
    from collections.abc import Iterator

PIPELINES = Path(__file__).parent / "pipelines"


@dataclass(frozen=True)
class Ci:
    """A repository with a pipeline, at one of the two."""

    name: str
    project: Project
    machine: Machine

    def setup(self, pipeline: str) -> None:
        """Write the pipeline where this CI looks for it."""
        path = self.project.path / {"github": ".github/workflows/images.yml", "gitlab": ".gitlab-ci.yml"}[self.name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pipeline)

    def push(self, number: int) -> Run:
        """Commit what there is, and run the pipeline as the CI does after a push."""
        commit(self.project.path)
        variables = {"IMAGE": self.project.image}
        if self.name == "gitlab":
            return gitlab_ci_local(self.project.path, self.machine, pipeline=number, variables=variables)
        payload = {"ref": "refs/heads/main", "repository": {"default_branch": "main"}}
        env = {"GITHUB_RUN_NUMBER": str(number)}
        path = ".github/workflows/images.yml"
        return act(self.project.path, path, self.machine, payload=payload, variables=variables, env=env)


@pytest.fixture
def machine(project: Project) -> Iterator[Machine]:
    """What a job finds: this package, this Docker host, no BuildKit; afterwards the server is the usual one."""
    env = {"PYTHONPATH": str(ROOT), "DOCKER_HOST": os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    yield Machine(path, env, begin="docker rm --force buildkit >/dev/null 2>&1 || true")
    project.ok("start-buildkit", "--recreate")


@pytest.fixture(params=["github", "gitlab"])
def ci(request: pytest.FixtureRequest, project: Project, machine: Machine) -> Ci:
    """Each of the two."""
    return Ci(request.param, project, machine)


def test_a_release_in_jobs(ci: Ci) -> None:
    """Each platform runs from the tag; a build that fails later skips the publication, and the tag stays."""
    ci.setup((PIPELINES / f"{ci.name}.yml").read_text())
    tag = f"{ci.project.image}:latest"

    run = ci.push(7)

    assert {f"build {p}": "success" for p in MACHINES} | {"publish": "success"} == run.statuses(), run.output
    (published,) = ci.project.ok("manifest", "--inspect", INVOKE_MULTIARCH_IMAGE=ci.project.image)[-1:]
    assert published.partition("@")[2] in run.job("publish").output
    assert MACHINES == {p: runs_as(p, tag) for p in MACHINES}

    ci.project.write(Dockerfile_armhf="FROM arm32v7/busybox:latest\nRUN exit 3\n")
    run = ci.push(8)

    expected = {"build linux/amd64": "success", "build linux/arm64": "success", "build linux/arm/v7": "failure"}
    assert ("failure", {**expected, "publish": "skipped"}) == (run.status, run.statuses()), run.output
    assert "RUN exit 3" in run.job("build", "linux/arm/v7").output
    assert [published] == ci.project.ok("manifest", "--inspect", INVOKE_MULTIARCH_IMAGE=ci.project.image)[-1:]


def test_the_workflow_is_sound() -> None:
    """actionlint has nothing to say of it."""
    words = [str(Path(sys.executable).with_name("actionlint")), str(PIPELINES / "github.yml")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)

    assert (0, "") == (done.returncode, done.stdout + done.stderr)


def test_the_pipeline_is_sound() -> None:
    """It is as GitLab's schema says."""
    words = ["-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]
    done = subprocess.run([sys.executable, *words, str(PIPELINES / "gitlab.yml")], capture_output=True, text=True)

    assert (0, "") == (done.returncode, done.stderr), done.stdout
