"""Bad input: one clear line on standard error, a status other than 0, nothing on standard output, no traceback."""

from __future__ import annotations

import gc
import socket
from typing import TYPE_CHECKING

import pytest

from tests.unit.registry_server import RegistryServer, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.project import Project, Result

START_DOCKER = "start Docker, point DOCKER_HOST at one, or, in this project's own repository, run ./invokew lab release"
NOWHERE = f"no Docker host at unix:///nowhere/docker.sock (no such socket): {START_DOCKER}"
EMPTY = "no platform to build for: list some under multiarch.platforms (invoke.yaml) or pass --platform linux/arm64"
KNOWN = "platform, context, contexts, dockerfile, target, build_args, builder, annotations, smoke, foreign, runner"
NAME_RULE = "(lower-case letters, digits, '.', '_', '-', '/')"
TAG_RULE = "(1 to 128 letters, digits, '_', '.', '-', not starting with '.' or '-')"
PLATFORMS = "platforms: [linux/amd64, linux/arm64]"
IMAGE = f"{PLATFORMS}, image: [someone/app]"

# The docker SDK leaves the socket of a refused connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True, scope="module")
def no_socket_is_left() -> Iterator[None]:
    """Have it collected here, where it is expected."""
    yield
    gc.collect()


def line(result: Result) -> str:
    """Return the one line that a run ended with."""
    assert (True, [], 1) == (result.status > 0, result.out, len(result.err)), result
    assert "Traceback" not in result.err[0]
    return result.err[0]


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        (
            "platforms: [linux/amr64]",
            "multiarch.platforms[0]: unknown platform 'linux/amr64'; did you mean linux/arm64?",
        ),
        (
            "platforms: [linux/arm, linux/arm/v7]",
            "multiarch.platforms[1]: 'linux/arm' and 'linux/arm/v7' are the same platform, linux/arm/v7",
        ),
        ("platfroms: [linux/arm64]", "multiarch.platfroms: unknown setting; did you mean platforms?"),
        (
            "platforms: [{platform: linux/arm64, jobs: 1}]",
            f"multiarch.platforms[0].jobs: unknown setting; known: {KNOWN}",
        ),
        ("tags: 1.0", "multiarch.tags: expected a list, got 1.0 (quote it: '1.0')"),
        ("image: some/a pp", f"multiarch.image[0]: invalid repository in image reference 'some/a pp' {NAME_RULE}"),
        ("tags: [-x]", f"multiarch.tags[0]: invalid tag '-x' {TAG_RULE}"),
    ],
)
def test_a_mistake_in_the_file(project: Project, yaml: str, expected: str) -> None:
    """The key is named, the value, and what is allowed, before anything is done."""
    project.write(invoke_yaml=f"multiarch: {{{yaml}}}\n")
    assert expected == line(project.run("release"))


@pytest.mark.parametrize("step", ["setup-binfmt", "start-buildkit", "copy-buildctl", "build-arch", "manifest"])
def test_every_step_finds_a_mistake_in_the_file(project: Project, step: str) -> None:
    """Also one that is of no matter to the step itself."""
    project.write(invoke_yaml="multiarch: {platforms: [linux/amr64], tags: 1}\n")
    assert "multiarch.tags: expected a list, got 1 (quote it: '1')" == line(project.run(step))


@pytest.mark.parametrize("step", ["setup-binfmt", "start-buildkit", "build-arch", "manifest", "release"])
def test_an_empty_matrix(project: Project, step: str) -> None:
    """Every step that works on platforms says how to name one, before it asks for a Docker host."""
    project.write(invoke_yaml="multiarch: {image: [someone/app]}\n")
    assert EMPTY == line(project.run(step))
    assert EMPTY == line(project.run("--dry", step))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("setup-binfmt --platform amr64", "--platform: unknown platform 'amr64'; did you mean linux/arm64?"),
        (
            "manifest --platform linux/s390x",
            "--platform: linux/s390x is not in the matrix (linux/amd64, linux/arm64)",
        ),
        ("release --platform arm64 --platform aarch64", "--platform: linux/arm64 is given twice"),
        ("build-arch", "--platform: build-arch builds one platform; pass one of linux/amd64, linux/arm64"),
        (
            "build-arch --platform arm64 --image a:b",
            "--image: 'a:b' must not have a tag or digest: tags go into multiarch.tags",
        ),
        (
            "build-arch --platform arm64 --output tar",
            "--output: 'tar' is none of image, none, docker, oci,dest=FILE, local,dest=DIR",
        ),
        (
            "build-arch --platform arm64 --frontend gateway.v0",
            "--frontend: gateway.v0 needs the image of a frontend: --source docker/dockerfile:1",
        ),
        (
            "start-buildkit --address tcp://0.0.0.0:1234",
            "--address: 'tcp://0.0.0.0:1234' would give root to whoever reaches it; use tcp://127.0.0.1:1234",
        ),
    ],
)
def test_a_mistake_in_a_flag(project: Project, words: str, expected: str) -> None:
    """The flag is named; nothing is printed with --dry either."""
    project.write(invoke_yaml=f"multiarch: {{{IMAGE}}}\n")
    assert expected == line(project.run(*words.split()))
    assert expected == line(project.run("--dry", *words.split()))


def test_a_file_that_is_no_yaml(project: Project) -> None:
    """A file that cannot be read as YAML is named, in one line, though Invoke itself reads it."""
    project.write(invoke_yaml="multiarch: [\n")
    result = project.invoke("release")
    assert (1, [], 1) == (result.status, result.out, len(result.err))
    assert "invoke.yaml: line 2: this is not YAML: " in result.err[0]


@pytest.mark.parametrize(
    "words",
    ["setup-binfmt", "start-buildkit", "manifest", "release", "start-buildkit --recreate"],
)
def test_no_docker_host(project: Project, words: str) -> None:
    """Every step that needs one says where it looked and how to get one."""
    # A platform that hardly a machine is of: its emulator is looked for on the Docker host.
    project.write(invoke_yaml="multiarch: {platforms: [linux/s390x]}\n")
    assert NOWHERE == line(project.run(*words.split()))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("tcp://127.0.0.1:{closed}", "no Docker host at tcp://127.0.0.1:{closed} (connection refused): "),
        ("127.0.0.1:{closed}", "no Docker host at tcp://127.0.0.1:{closed} (connection refused): "),
        ("tcp://127.0.0.1:99999", "DOCKER_HOST: 'tcp://127.0.0.1:99999' is no address: Port out of range"),
        ("http://127.0.0.1:{closed}", "DOCKER_HOST: 'http://127.0.0.1:{closed}' is no address of a Docker host: "),
    ],
)
def test_a_docker_host_that_does_not_answer(
    project: Project, monkeypatch: pytest.MonkeyPatch, host: str, expected: str
) -> None:
    """It is named in one line, with what the address leaves out."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        closed = probe.getsockname()[1]
    monkeypatch.setenv("DOCKER_HOST", host.format(closed=closed))
    project.write(invoke_yaml="multiarch: {platforms: [linux/s390x]}\n")
    assert line(project.run("start-buildkit")).startswith(expected.format(closed=closed))


@pytest.fixture
def buildctl(project: Project) -> Path:
    """A client that would be found, and fails when it is used."""
    program = project.path / "bin" / "buildctl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n: > {project.path}/used\nexit 1\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("builder", ["none", "dead", "listening"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "build-arch --platform arm64 --context no/where",
            "build context not found: no/where; name the right one with",
        ),
        ("build-arch --platform arm64 --dockerfile D", "Dockerfile for linux/arm64 not found: D; name the right one"),
        ("release --context no/where", "build context not found: no/where; name the right one with --context or"),
        ("release --dockerfile D", "Dockerfile for linux/amd64 not found: D; name the right one with --dockerfile or"),
    ],
)
@pytest.mark.usefixtures("buildctl")
def test_a_missing_path(
    project: Project, monkeypatch: pytest.MonkeyPatch, words: str, expected: str, builder: str
) -> None:
    """It is told first, whether there is something to build on or not: it is the user's to repair."""
    project.write(invoke_yaml=f"multiarch: {{{IMAGE}, dest: bin}}\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if builder != "none":
            monkeypatch.setenv("BUILDKIT_HOST", f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        if builder == "dead":
            listener.close()
        assert expected == line(project.run(*words.split()))[: len(expected)]
    assert not (project.path / "used").exists()


@pytest.mark.parametrize("step", ["start-buildkit", "build-arch --platform arm64", "release"])
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("tcp://127.0.0.1:{closed}", "Connection refused"),
        ("unix:///nowhere/buildkitd.sock", "No such file or directory"),
        ("tcp://127.0.0.1:99999", ""),
        ("tcp://127.0.0.1:http", ""),
        ("tcp://127.0.0.1", ""),
    ],
)
@pytest.mark.usefixtures("buildctl")
def test_a_builder_that_does_not_answer(
    project: Project, monkeypatch: pytest.MonkeyPatch, step: str, address: str, reason: str
) -> None:
    """The address is shown with the reason, and the client is not even started."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = address.format(closed=probe.getsockname()[1])
    monkeypatch.setenv("BUILDKIT_HOST", address)
    project.write(invoke_yaml=f"multiarch: {{{IMAGE}, dest: bin}}\n")
    assert line(project.run(*step.split())).startswith(f"no BuildKit answers at {address}: {reason}")
    assert not (project.path / "used").exists()


def test_a_builder_that_is_no_address(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """BUILDKIT_HOST without a scheme is told with those that there are."""
    monkeypatch.setenv("BUILDKIT_HOST", "127.0.0.1:1234")
    project.write(invoke_yaml=f"multiarch: {{{IMAGE}}}\n")
    expected = "BUILDKIT_HOST: builder '127.0.0.1:1234' does not start with one of tcp://, unix://, "
    assert line(project.run("release")).startswith(expected)


def test_no_client(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where buildctl was looked for, and which task brings it."""
    monkeypatch.setenv("BUILDKIT_HOST", "unix:///nowhere/buildkitd.sock")
    project.write(invoke_yaml=f"multiarch: {{{IMAGE}, dest: bin}}\n")
    assert (
        "buildctl not found in bin/buildctl, /proc/nowhere/cache/multiarch/buildctl/v0.32.2/buildctl or on PATH:"
        " run the copy-buildctl task first"
    ) == line(project.run("build-arch", "--platform", "arm64"))


def test_a_client_that_may_not_be_run(project: Project, buildctl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without the permission is named with what to do."""
    buildctl.chmod(0o644)
    monkeypatch.setenv("BUILDKIT_HOST", "unix:///nowhere/buildkitd.sock")
    project.write(invoke_yaml=f"multiarch: {{{IMAGE}, dest: bin}}\n")
    assert line(project.run("build-arch", "--platform", "arm64")).startswith(
        "buildctl at bin/buildctl cannot run here (it lacks the permission; chmod +x, or run copy-buildctl again)"
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "answered 401 UNAUTHORIZED: authentication required; log in with: docker login {host}"),
        (403, "answered 403 UNAUTHORIZED: authentication required; log in with: docker login {host}"),
        (
            404,
            "not published, gate 'the set is exact': no image for linux/amd64 ({host}/app:latest-amd64), linux/arm64",
        ),
        (503, "answered 503 UNAUTHORIZED: authentication required"),
    ],
)
def test_a_registry_that_refuses(server: RegistryServer, project: Project, status: int, expected: str) -> None:
    """What the registry said, and what to do about it."""
    for tag in ("latest-amd64", "latest-arm64"):
        server.table[f"GET /v2/app/manifests/{tag}"] = [refusal(status, "UNAUTHORIZED", "authentication required")]
    project.write(invoke_yaml=f"multiarch: {{{PLATFORMS}, image: '{server.host}/app', retry_seconds: 0}}\n")
    assert expected.format(host=server.host) in line(project.run("manifest"))


def test_a_registry_that_does_not_answer(project: Project) -> None:
    """Refused connections, once the patience is over."""
    server = RegistryServer()
    try:
        project.write(invoke_yaml=f"multiarch: {{{PLATFORMS}, image: '{server.host}/app', retry_seconds: 0}}\n")
        assert (
            f"GET {server.host}/app/manifests/latest-amd64: no answer from the registry: Connection refused;"
            " is it running and the name right?"
        ) == line(project.run("manifest"))
    finally:
        server.stop()
