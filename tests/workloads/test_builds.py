"""Each workload is built by the package, by buildx and by BuildKit's own client, and its programs run."""

from __future__ import annotations

import json
import sys
from subprocess import CompletedProcess, run
from typing import TYPE_CHECKING

import pytest

from benchmarks.peers import BUILDX, install
from benchmarks.workloads import GO, GO_EMULATED, PYTHON, WORKLOADS, C, Workload, prepare
from tests.integration.conftest import Project, RegistryContainer, example, fresh_builder
from tests.integration.docker_host import docker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# What an image's program gets on its standard input, its arguments, and what it then prints.
RUNS = {
    C.name: ("b a b", (), "2 b\n1 a"),
    PYTHON.name: ("", ("1 < 2",), "<ul><li>1 &lt; 2</li></ul>"),
    GO.name: ("e\u0301\n", (), "1 e\u0301"),
    GO_EMULATED.name: ("e\u0301\n", (), "1 e\u0301"),
}


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A BuildKit that has built nothing yet, emulators, and what the workloads are built on."""
    prepare()
    for step in ("setup-binfmt", "start-buildkit"):
        example(tmp_path_factory).ok(step)
    with fresh_builder() as environment:
        yield environment


def multiarch(workload: Workload, project: Project, image: str, builder: Mapping[str, str]) -> None:
    """Release it."""
    secrets = {name: f"file:{path}" for name, path in workload.secrets().items()}
    settings: dict[str, object] = {
        "image": image,
        "tags": ["ours"],
        "platforms": list(workload.platforms),
        "context": "app",
    }
    settings |= {"build_args": workload.build_args(), "secrets": secrets, "dest": str(project.path)}
    project.write(invoke_yaml=json.dumps({"multiarch": settings}), tasks_py="from multiarch import ns\n")
    succeed([sys.executable, "-m", "invoke", "release"], project, builder)


def buildx(workload: Workload, project: Project, image: str, builder: Mapping[str, str]) -> None:
    """Build it with buildx's remote driver."""
    program, folder = str(install(BUILDX)), {"BUILDX_CONFIG": str(project.path / "buildx")}
    address = builder["BUILDKIT_HOST"]
    succeed([program, "create", "--name", "workloads", "--driver", "remote", address], project, folder)
    words = ["build", "--builder", "workloads", "--push", "--platform", ",".join(workload.platforms)]
    for name, value in workload.build_args().items():
        words += ["--build-arg", f"{name}={value}"]
    for name, path in workload.secrets().items():
        words += ["--secret", f"id={name},src={path}"]
    succeed([program, *words, "--tag", f"{image}:buildx", "app"], project, folder)


def buildctl(workload: Workload, project: Project, image: str, builder: Mapping[str, str]) -> None:
    """Build it with the client of the image of BuildKit."""
    project.ok("copy-buildctl", "--dest", str(project.path))
    words = ["build", "--frontend", "dockerfile.v0", "--local", "context=app", "--local", "dockerfile=app"]
    words += ["--opt", f"platform={','.join(workload.platforms)}"]
    for name, value in workload.build_args().items():
        words += ["--opt", f"build-arg:{name}={value}"]
    for name, path in workload.secrets().items():
        words += ["--secret", f"id={name},src={path}"]
    words += ["--output", f"type=image,name={image}:bare,push=true,registry.insecure=true"]
    succeed([str(project.path / "buildctl"), *words], project, builder)


def succeed(words: list[str], project: Project, environment: Mapping[str, str]) -> None:
    """Run a command in the project."""
    done = run(words, cwd=project.path, env=project.env(**environment), capture_output=True, text=True, timeout=1800)
    assert (0, words) == (done.returncode, words), done.stderr


def printed(workload: Workload, reference: str, platform: str) -> str:
    """Return what the program of an image prints."""
    text, arguments, _ = RUNS[workload.name]
    words = ["docker", "run", "--rm", "--interactive", "--quiet", "--platform", platform, reference, *arguments]
    done: CompletedProcess[str] = run(words, input=text, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_workload_is_built_by_all_tools(
    workload: Workload, builder: Mapping[str, str], registry: RegistryContainer, tmp_path: Path
) -> None:
    """What the benchmarks compare is the same image for the same platforms, and it does what it is for."""
    registry.start()
    (tmp_path / "app").mkdir()
    workload.write(tmp_path / "app")
    image = f"{registry.host}/{workload.name}"
    for tool in (multiarch, buildx, buildctl):
        tool(workload, Project(tmp_path), image, builder)
    expected = RUNS[workload.name][2]
    for tag in ("ours", "buildx", "bare"):
        for platform in workload.platforms:
            assert expected == printed(workload, f"{image}:{tag}", platform)
            docker("rmi", f"{image}:{tag}")
