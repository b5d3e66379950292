"""Workflow of GitHub Actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.pipelines.files import VARIED, merged, parsed, text

if TYPE_CHECKING:
    from pathlib import Path


def test_the_jobs_of_github(tmp_path: Path) -> None:
    """One job over a matrix: a step that only some platforms need is conditional."""
    jobs = parsed("github", tmp_path, **VARIED)["jobs"]
    assert [
        ("linux/amd64", "ubuntu-latest", False, False),
        ("linux/arm64", "ubuntu-24.04-arm", False, False),
        ("linux/riscv64", "ubuntu-latest", True, False),
        ("linux/s390x", "ubuntu-latest", False, True),
    ] == [tuple(entry.values()) for entry in jobs["build"]["strategy"]["matrix"]["include"]]
    steps = {
        step["run"].split()[1]: step.get("if") for step in jobs["build"]["steps"] if "invoke" in step.get("run", "")
    }
    assert {
        "setup-binfmt": "matrix.emulated",
        "start-buildkit": "! matrix.builder",
        "copy-buildctl": None,
        "build-arch": None,
    } == steps
    published = "github.ref_type == 'tag' || contains(fromJSON('[\"trunk\", \"release/1\"]'), github.ref_name)"
    condition = f"github.event_name != 'pull_request' && ({published})"
    assert ("build", condition) == (jobs["manifest"]["needs"], jobs["manifest"]["if"])


def test_secrets_reach_the_steps_that_push_alone(tmp_path: Path) -> None:
    """Other steps run a project's code; GitHub's own registry takes the job's token, which may write packages then."""
    workflow = parsed("github", tmp_path, **VARIED)
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert {
        "DOCKER_USERNAME": "${{ secrets.DOCKER_USERNAME }}",
        "DOCKER_PASSWORD": "${{ secrets.DOCKER_PASSWORD }}",
        "GHCR_IO_USERNAME": "${{ github.actor }}",
        "GHCR_IO_PASSWORD": "${{ secrets.GITHUB_TOKEN }}",
        "REGISTRY_GITLAB_COM_USERNAME": "${{ secrets.REGISTRY_GITLAB_COM_USERNAME }}",
        "REGISTRY_GITLAB_COM_PASSWORD": "${{ secrets.REGISTRY_GITLAB_COM_PASSWORD }}",
    } == {name: value for name, value in steps[-1]["env"].items() if not name.startswith("FLEET_")}
    commands = [step["run"].split()[1] for step in steps if "DOCKER_PASSWORD" in step.get("env", {})]
    assert ["build-arch", "manifest"] == commands


def test_pull_request_has_no_credentials_and_may_only_read(tmp_path: Path) -> None:
    """Also one from a branch of the repository: its Dockerfile and its tasks.py run with whatever its job has.

    That is what it cannot be built without: secrets of the build, and of the builders.
    """
    workflow = parsed("github", tmp_path, secrets={"t": "env:TOKEN"}, **VARIED)
    job = workflow["jobs"]["pull-request"]
    assert ("github.event_name == 'pull_request'", None, {"contents": "read"}) == (
        job["if"],
        job.get("permissions"),
        workflow["permissions"],
    )
    assert ["TOKEN", "FLEET_SSH_KEY", "FLEET_KNOWN_HOSTS"] == list(job["steps"][-1]["env"])
    assert "${{ secrets.TOKEN }}" == job["steps"][-1]["env"]["TOKEN"]
    pushing = [workflow["jobs"][name] for name in ("build", "manifest")]
    assert {"github.event_name != 'pull_request'"} == {other["if"].split(" && ")[0] for other in pushing}
    assert [{"contents": "read", "packages": "write"}] * 2 == [other["permissions"] for other in pushing]
    elsewhere = parsed("github", tmp_path)["jobs"]
    assert {"contents": "read"} == elsewhere["build"]["permissions"] == elsewhere["manifest"]["permissions"]


def test_secrets_of_the_build_reach_it_alone(tmp_path: Path) -> None:
    """GitHub gives a step the secrets that it names; other CIs give all of them to every job."""
    jobs = parsed("github", tmp_path, platforms=["arm64"], secrets={"t": "env:TOKEN"})["jobs"]
    assert ("${{ secrets.TOKEN }}", None) == (
        jobs["build"]["steps"][-1]["env"]["TOKEN"],
        jobs["manifest"]["steps"][-1]["env"].get("TOKEN"),
    )


def test_variables_of_build_arguments_reach_the_jobs(tmp_path: Path) -> None:
    """GitHub gives a job the variables that its file names; the head of the file says that they are to be set."""
    block = {"image": ["a/b"], "platforms": ["arm64"], "build_args": {"V": "env:VERSION"}, "labels": {"x": "env:TEAM"}}
    env = parsed("github", tmp_path, **block)["env"]
    assert {"VERSION": "${{ vars.VERSION }}", "TEAM": "${{ vars.TEAM }}"}.items() <= env.items()
    assert [True] * 2 == [
        "the variables VERSION, TEAM" in text("github", tmp_path, **block),
        "VERSION, TEAM, DOCKER_USERNAME" in text("travis", tmp_path, **block),
    ]


def test_a_projects_additions_to_the_workflow_of_github_stay(tmp_path: Path) -> None:
    """Triggers, jobs, and variables of a step; a token that may write packages only while it is needed."""
    first = text("github", tmp_path, image=["ghcr.io/a/b"], platforms=["arm64"])
    additions = "  workflow_dispatch:\n", "  mine: # kept\n    runs-on: x\n", "          API_TOKEN: x\n"
    edited = first.replace("on:\n", f"on:\n{additions[0]}").replace("jobs:\n", f"jobs:\n{additions[1]}")
    edited = edited.replace("          DOCKER_USERNAME", f"{additions[2]}          DOCKER_USERNAME", 1)
    file = merged(tmp_path, "github", edited, image=["a/b"], platforms=["arm64"])
    assert [] == [addition for addition in additions if addition not in file.text]
    assert {"contents": "read"} == file.data["permissions"] == file.data["jobs"]["build"]["permissions"]
