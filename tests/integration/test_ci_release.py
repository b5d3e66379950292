"""A release in the jobs of GitHub and GitLab: the files of `invoke pipeline`, run by act and by gitlab-ci-local."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from multiarch.pipelines import github
from tests.integration.ci_machine import Machine
from tests.integration.ci_runners import Run, act, commit, gitlab_ci_local
from tests.integration.conftest import MACHINES, ROOT, Project, RegistryContainer
from tests.integration.destination import SECRETS, Destination
from tests.integration.several_images import JOBS, check_published, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.job_python import Wheels

REPOSITORY = "someone/app"
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
# What the job that publishes is called.
PUBLISH = {"github": "manifest", "gitlab": "publish manifest"}


@dataclass(frozen=True)
class Ci:
    """A small project at one of the two, with the file that `invoke pipeline` writes, and its destination."""

    name: str
    project: Project
    machine: Machine
    to: Destination

    def push(self, number: int, **variables: str) -> Run:
        """Commit all files, and run the pipeline as the CI does after a push to its main branch.

        :param variables: of the settings; that of the repository by default.
        """
        commit(self.project.path)
        variables = variables or {"INVOKE_MULTIARCH_IMAGE": self.to.image}
        if self.name == "gitlab":
            return gitlab_ci_local(
                self.project.path, self.machine, pipeline=number, variables=variables, secrets=SECRETS
            )
        payload = {"ref": "refs/heads/main", "repository": {"default_branch": "main"}}
        return act(
            self.project.path,
            github.PATH,
            self.machine,
            payload=payload,
            variables=variables,
            secrets=SECRETS,
            env={"GITHUB_RUN_ID": str(number), "GITHUB_REPOSITORY": REPOSITORY},
        )

    def open_pull_request(self, number: int) -> Run:
        """Commit all files, and run the pipeline as the CI does for a pull request from a fork: without secrets."""
        commit(self.project.path)
        variables = {"INVOKE_MULTIARCH_IMAGE": self.to.image}
        if self.name == "gitlab":
            variables |= {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "3"}
            branch = ["CI_COMMIT_BRANCH"]
            return gitlab_ci_local(self.project.path, self.machine, pipeline=number, variables=variables, unset=branch)
        payload = {
            "pull_request": {"number": 3, "head": {"ref": "fix", "repo": {"fork": True}}, "base": {"ref": "main"}}
        }
        return act(
            self.project.path,
            github.PATH,
            self.machine,
            event="pull_request",
            payload=payload,
            variables=variables,
            env={"GITHUB_RUN_ID": str(number), "GITHUB_REPOSITORY": REPOSITORY},
        )


def statuses_of(run: Run) -> dict[str, str]:
    """Return how the jobs that ran ended, by name and platform."""
    ran = [job for job in run.jobs if job.status != "skipped"]
    # The name of an entry of a matrix, or the platform, which is its name.
    of_matrix = {job: [v for v in job.values if re.fullmatch(r"([^-]\S* )?linux/\S+", v)] for job in ran}
    return {" ".join((job.name, *name)): job.status for job, name in of_matrix.items()}


@pytest.fixture
def machine(project: Project, python3: Path) -> Iterator[Machine]:
    """A machine with this Docker host, without BuildKit and its cache; afterwards the server is the usual one."""
    env = {"DOCKER_HOST": os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")}
    # Docker in Docker is what GitLab's own machines have; this one's host is reached otherwise.
    env |= {"DOCKER_TLS_VERIFY": "", "DOCKER_CERT_PATH": "", "PYTHONPATH": str(ROOT)}
    yield Machine(
        f"{python3}:{PATH}",
        env,
        begin="docker rm --force buildkit >/dev/null 2>&1; docker volume rm --force buildkit-state",
    )
    project.ok("start-buildkit", "--recreate")


@pytest.fixture(params=["github", "gitlab"])
def ci(
    request: pytest.FixtureRequest, project: Project, machine: Machine, registry: RegistryContainer, tmp_path: Path
) -> Ci:
    """Each of the two; the tasks are installed already."""
    project.write(invoke_yaml=(project.path / "invoke.yaml").read_text() + "  install: invoke --version\n")
    project.ok("pipeline", "--ci", request.param)
    return Ci(request.param, project, machine, Destination.at(registry, project.path.name, tmp_path))


def test_jobs_publish_a_tag_that_runs_everywhere(ci: Ci, wheels: Wheels, capsys: pytest.CaptureFixture[str]) -> None:
    """Every job installs this package in a virtualenv of its own; each platform of the tag runs; no secret is shown.

    When a job of the next build fails, the publication is skipped, and the tag stays as it was.
    """
    installed = (ci.project.path / "invoke.yaml").read_text()
    ci.project.write(invoke_yaml=installed.replace("invoke --version", f"pip install --quiet {wheels.package}"))
    ci.project.ok("pipeline", "--ci", ci.name)
    env = {name: value for name, value in ci.machine.env.items() if name != "PYTHONPATH"}

    run = replace(ci, machine=replace(ci.machine, env=env | wheels.environ)).push(7)

    assert {f"build {p}": "success" for p in MACHINES} | {PUBLISH[ci.name]: "success"} == statuses_of(run), run.output
    published = ci.to.published_digest(run.job(PUBLISH[ci.name]).output)
    assert (published, MACHINES) == (ci.to.digest(), ci.to.machines())
    assert 1 == len(set(ci.to.revisions(published)))
    assert SECRETS["DOCKER_PASSWORD"] not in run.output
    with capsys.disabled():
        print(f"\n{ci.name}: {ci.to.image}:latest@{published} runs as {', '.join(MACHINES.values())}")
        print("\n".join(f"  {job.name} {' '.join(job.values)}: {job.seconds:.1f} s" for job in run.jobs))

    ci.project.write(invoke_yaml=installed, Dockerfile_armhf="FROM arm32v7/busybox:latest\nRUN exit 3\n")
    ci.project.ok("pipeline", "--ci", ci.name)
    run = ci.push(8)

    failed = [name for name, status in statuses_of(run).items() if status == "failure"]
    assert ("failure", ["build linux/arm/v7"], "skipped") == (run.status, failed, run.job(PUBLISH[ci.name]).status), (
        run.output
    )
    assert "RUN exit 3" in run.output
    assert published == ci.to.digest()


def test_a_pull_request_from_a_fork_is_built_and_not_published(ci: Ci) -> None:
    """It has no secrets, and needs none: its builds pass, nothing is pushed, and nothing is published."""
    run = ci.open_pull_request(10)
    job = {"github": "pull-request", "gitlab": "build"}[ci.name]
    assert ("success", {f"{job} {p}": "success" for p in MACHINES}) == (run.status, statuses_of(run)), run.output
    assert 3 <= run.output.count("built; nothing is pushed")
    assert "" == ci.to.digest()


def test_jobs_publish_several_images(ci: Ci) -> None:
    """A job for each platform of what is built on each other, and one for all tags; GitLab's hand over artifacts."""
    write_project(ci.project, ci.to, digests="digests" if ci.name == "gitlab" else "")
    ci.project.ok("pipeline", "--ci", ci.name)

    run = ci.push(11, CI_TEST="several")

    jobs = [f"build {job}" for job in JOBS]
    assert dict.fromkeys([*jobs, PUBLISH[ci.name]], "success") == statuses_of(run), run.output
    check_published(ci.to, run.job(PUBLISH[ci.name]).output)
