"""Release: from nothing to a tag that runs on every platform of the matrix."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from typing import IO

import pytest

from tests.integration.conftest import MACHINES, PLAIN, Project, RegistryContainer, runs_as


def test_publishes_a_tag_that_runs_everywhere(project: Project) -> None:
    """One command, and each platform's image runs and prints its own architecture."""
    published = project.ok("release")

    assert [f"{project.image}:latest"] == [line.partition("@")[0] for line in published]
    assert MACHINES == {platform: runs_as(platform, f"{project.image}:latest") for platform in MACHINES}


def test_again_builds_nothing(project: Project) -> None:
    """A second release takes every step from the cache and publishes the very same index."""
    first = project.ok("release", **PLAIN)
    again = project.run("release", **PLAIN)

    assert (0, first) == (again.status, again.out)
    built = [line for line in again.err.splitlines() if "] RUN" in line]
    assert [True] * 3 == [line.endswith("CACHED") for line in built]


def test_every_step_alone_in_order_and_again(project: Project) -> None:
    """Each step works by itself, prints its result alone, and prints the same the second time."""
    steps = [
        ["setup-binfmt"],
        ["start-buildkit"],
        ["copy-buildctl"],
        ["build-arch", "--platform", "linux/amd64"],
        ["build-arch", "--platform", "linux/arm64"],
        ["build-arch", "--platform", "linux/arm/v7"],
        ["manifest"],
        ["release"],
    ]
    first = [project.ok(*step, **PLAIN) for step in steps]
    again = [project.ok(*step, **PLAIN) for step in steps]

    assert first == again
    assert ["linux/amd64 native", "linux/arm64 qemu-aarch64", "linux/arm/v7 qemu-arm"] == first[0]
    assert [1] * 7 == [len(lines) for lines in first[1:]]
    assert first[6] == first[7]


def test_tags_and_images_are_all_published(project: Project, registry: RegistryContainer) -> None:
    """Several tags in several registries get the same index, built once."""
    registry.start()
    images = [f"{registry.host}/a/one", f"{registry.host}/b/two"]
    flags = [word for image in images for word in ("--image", image)]

    published = project.ok("release", *flags, "--tag", "latest", "--tag", "1.4", "--platform", "linux/amd64")

    assert [f"{image}:{tag}" for image in images for tag in ("latest", "1.4")] == [
        p.partition("@")[0] for p in published
    ]
    assert 1 == len({p.partition("@")[2] for p in published})
    assert "x86_64" == runs_as("linux/amd64", f"{images[1]}:1.4")


def test_dry_run_prints_commands_that_work(project: Project) -> None:
    """The commands that --dry prints publish the same platforms when a shell runs them."""
    project.ok("release")
    # The containers exist already, and docker refuses a second one of their name. So the address is one that holds for
    # whoever has started the server: our socket is in a directory that is named after the Docker host.
    address = {"INVOKE_MULTIARCH_ADDRESS": "docker-container://buildkit"}
    commands = project.ok("--dry", "release", "--tag", "by-hand", **address, **PLAIN)
    script = "\n".join(line for line in commands if "--name" not in line)
    done = subprocess.run(["sh", "-ec", script], cwd=project.path, env=project.env(), capture_output=True, text=True)

    assert (0, "") == (done.returncode, "" if done.returncode == 0 else done.stderr)
    assert 2 == sum("--name" in line for line in commands)
    assert MACHINES == {platform: runs_as(platform, f"{project.image}:by-hand") for platform in MACHINES}


def test_a_failing_platform_leaves_the_tag(project: Project) -> None:
    """A RUN that fails on one platform: its last lines are shown once, and the tag stays as it was."""
    (before,) = project.ok("release")
    dockerfile = (project.path / "Dockerfile.armhf").read_text()
    project.write(Dockerfile_armhf=f"{dockerfile}RUN echo last words && exit 3\n")

    result = project.run("release")

    assert (1, []) == (result.status, result.out)
    assert 1 == result.err.count("linux/arm/v7: build failed in [3/3] RUN echo last words && exit 3")
    assert "exit code: 3" in result.err
    assert "  | last words" in result.err
    assert "Traceback" not in result.err
    assert before.partition("@")[2] == _published(f"{project.image}:latest")


def test_an_interrupt_leaves_nothing_behind(project: Project) -> None:
    """Ctrl-C in mid-build: no tag, no buildctl, no traceback."""
    project.write(Dockerfile=f"FROM busybox:stable\nRUN echo started {project.path.name} && sleep 60\n")
    with subprocess.Popen(
        project.command("release", "--platform", "linux/arm64"),
        cwd=project.path,
        env=project.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        seen = _read_until(process.stderr, "  started")
        started = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        error = process.stderr.read()
        out = process.stdout.read()
        status = process.wait()

    assert (130, "") == (status, out)
    assert "interrupted" == error.splitlines()[-1]
    assert "Traceback" not in seen + error
    assert time.monotonic() - started < 15
    assert [] == project.clients()
    assert "" == _published(f"{project.image}:latest")


@pytest.mark.parametrize(
    ("dockerfile", "cause"),
    [
        ("FORM busybox\n", "unknown instruction: FORM"),
        ("FROM arm32v7/busybox:latest\n", "no match for platform"),
        ("FROM busybox:stable\nCOPY missing /\n", '"/missing": not found'),
    ],
)
def test_faults_of_the_dockerfile_are_not_retried(project: Project, dockerfile: str, cause: str) -> None:
    """A build that can never succeed fails at once, in one readable message."""
    project.write(Dockerfile=dockerfile, invoke_yaml="multiarch:\n  platforms: [linux/s390x]\n")

    result = project.run("release")

    assert (1, []) == (result.status, result.out)
    assert cause in result.err.splitlines()[-1]
    assert "attempt" not in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(("step", "pushed"), [("release", "latest"), ("build-arch", "latest-amd64")])
def test_a_registry_that_comes_up_late_is_waited_for(
    project: Project, registry: RegistryContainer, step: str, pushed: str
) -> None:
    """A refused connection is retried, visibly, until the registry is there: by the preflight, and by the solve."""
    project.ok("start-buildkit")
    words = project.command(step, "--image", f"{registry.host}/late", "--platform", "linux/amd64")
    with subprocess.Popen(
        words, cwd=project.path, env=project.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        seen = _read_until(process.stderr, "attempt 1 failed")
        registry.start()
        out, error = process.communicate(timeout=120)

    assert "connection refused" in seen.lower()
    assert 0 == process.returncode, error
    assert [f"{registry.host}/late:{pushed}"] == [line.partition("@")[0] for line in out.splitlines()]


def test_a_registry_that_stays_away_ends_in_one_line(project: Project, registry: RegistryContainer) -> None:
    """The release ends after retry_seconds, and says which registry did not answer."""
    words = ["release", "--image", f"{registry.host}/none", "--platform", "linux/amd64"]
    result = project.run(*words, INVOKE_MULTIARCH_RETRY_SECONDS="3")

    assert (1, []) == (result.status, result.out)
    assert "onnection refused" in result.err.splitlines()[-1]
    assert registry.host in result.err.splitlines()[-1]


def test_a_missing_login_is_one_line_and_a_stored_one_publishes(project: Project, registry: RegistryContainer) -> None:
    """The line says how to log in; the stored login is that of DOCKER_CONFIG."""
    users = project.path / "auth"
    users.mkdir()
    # someone:wonder, by htpasswd -B
    (users / "htpasswd").write_text("someone:$2b$05$LqJGqxhceOx8X7.UbtWd4.G9cfOdTClxocgfEy/BhZfl8uoTBvy1u\n")
    registry.options = (
        *("-v", f"{users}:/auth:ro", "-e", "REGISTRY_AUTH=htpasswd", "-e", "REGISTRY_AUTH_HTPASSWD_REALM=test"),
        *("-e", "REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd"),
    )
    registry.start()
    config = project.path / "docker"
    words = ["release", "--image", f"{registry.host}/private", "--platform", "linux/amd64"]

    refused = project.run(*words, DOCKER_CONFIG=str(config))
    login = ["docker", "--config", str(config), "login", "-u", "someone", "--password-stdin", registry.host]
    subprocess.run(login, input="wonder", text=True, check=True, capture_output=True)
    published = project.ok(*words, DOCKER_CONFIG=str(config))

    assert (1, []) == (refused.status, refused.out)
    assert "docker login" in refused.err.splitlines()[-1]
    assert "attempt" not in refused.err
    assert [f"{registry.host}/private:latest"] == [line.partition("@")[0] for line in published]


def _read_until(stream: IO[str], text: str) -> str:
    """Return the lines up to the one that has *text*, or to the end."""
    seen = ""
    while text not in seen and (line := stream.readline()):
        seen += line
    return seen


def _published(reference: str) -> str:
    """Return the digest of the index under a tag, nothing where there is no tag."""
    name, _, tag = reference.rpartition(":")
    host, _, repository = name.partition("/")
    accept = "application/vnd.oci.image.index.v1+json"
    request = urllib.request.Request(f"http://{host}/v2/{repository}/manifests/{tag}", headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert 2 == json.load(answer)["schemaVersion"]
            return str(answer.headers["Docker-Content-Digest"])
    except urllib.error.HTTPError as error:
        assert 404 == error.code
        return ""
