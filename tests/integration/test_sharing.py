"""One Docker host with several projects and jobs at once: none cuts another's build, and all succeed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import PLAIN, Project, free_port
from tests.integration.docker_host import docker

if TYPE_CHECKING:
    from collections.abc import Iterator

STATE = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "multiarch"
# Each run of it adds a line to a file that the builder keeps; the platforms have files of their own.
COUNTED = """\
FROM busybox:stable
ARG TARGETARCH
ENV OF={name}
RUN --mount=type=cache,id={name},target=/counts echo >> /counts/$TARGETARCH; echo begun; sleep {seconds}; \\
    echo "$TARGETARCH ran $(wc -l < /counts/$TARGETARCH) times"
"""


def remove_directories(name: str) -> None:
    """Remove the directories of the sockets of a server, one for each Docker host."""
    for directory in STATE.glob(f"{name}-*"):
        shutil.rmtree(directory)


@pytest.fixture
def usual_server(project: Project) -> Iterator[None]:
    """Afterwards the server is the usual one again, and alone."""
    yield
    for name in re.findall(r"^buildkit-[0-9a-f]{8}$", docker("ps", "-a", "--format", "{{.Names}}"), re.MULTILINE):
        docker("stop", name)
        docker("rm", "-v", name)
        docker("volume", "rm", f"{name}-state")
        remove_directories(name)
    project.ok("start-buildkit", "--recreate")


@pytest.fixture
def other(project: Project) -> Iterator[Project]:
    """A second project."""
    path = project.path.with_name(f"other-{secrets.token_hex(3)}")
    path.mkdir()
    (path / "tasks.py").write_text("from multiarch import ns\n")
    yield Project(path)
    shutil.rmtree(path)


@pytest.fixture
def other_image() -> Iterator[str]:
    """An image of BuildKit that is another one."""
    name = f"test-buildkit-{secrets.token_hex(3)}"
    docker("create", "--name", name, "moby/buildkit:v0.32.2")
    docker("commit", "--change", "LABEL other=1", name, f"{name}:1")
    docker("rm", "-v", name)
    yield f"{name}:1"
    subprocess.run(["docker", "image", "rm", "--force", f"{name}:1"], capture_output=True)


def at_once(project: Project, *tasks: tuple[str, ...]) -> list[tuple[int, str, str]]:
    """Run tasks at the same time; return status, output and errors of each."""
    pipe = subprocess.PIPE
    runs = [
        subprocess.Popen(
            project.command(*words), cwd=project.path, env=project.env(), stdout=pipe, stderr=pipe, text=True
        )
        for words in tasks
    ]
    ended = [run.communicate(timeout=300) for run in runs]
    return [(run.returncode, out, err) for run, (out, err) in zip(runs, ended, strict=True)]


@pytest.mark.usefixtures("usual_server")
def test_two_projects_build_at_once(project: Project, other: Project, other_image: str) -> None:
    """Platforms, image and insecure registries differ: each RUN runs once, and nobody's server is recreated."""
    project.write(
        invoke_yaml="multiarch:\n  platforms: [linux/amd64, linux/arm64]\n",
        Dockerfile=COUNTED.format(name=project.path.name, seconds=8),
    )
    other.write(
        invoke_yaml="multiarch:\n  platforms: [linux/amd64, linux/s390x]\n  insecure_registries: ['10.9.9.9:5000']\n"
        f"  buildkit_image: {other_image}\n",
        Dockerfile=COUNTED.format(name=other.path.name, seconds=2),
    )
    project.ok("start-buildkit", "--recreate")
    before = docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", "buildkit")
    pipe = subprocess.PIPE
    first = subprocess.Popen(
        project.command("release"), cwd=project.path, env=project.env(**PLAIN), stderr=pipe, stdout=pipe, text=True
    )
    assert first.stderr is not None
    for line in first.stderr:
        if "begun" in line:
            break
    second = other.run("release", **PLAIN)
    _, said = first.communicate(timeout=120)

    assert (0, 0) == (first.returncode, second.status), said + second.err
    for words, architectures in ((said, ("amd64", "arm64")), (second.err, ("amd64", "s390x"))):
        assert [1, 1] == [words.count(f"{architecture} ran 1 times") for architecture in architectures]
        assert [] == re.findall(r"attempt \d+ failed", words)
    assert "it is in use, and its configuration differs; starting buildkit-" in second.err
    assert before == docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", "buildkit")
    # The server apart has the image that was asked for, and serves that project from now on.
    (address,) = other.ok("start-buildkit")
    name = Path(address.removeprefix("unix://")).parent.name.rpartition("-")[0]
    assert other_image == docker("inspect", "--format", "{{.Config.Image}}", name)
    assert before == docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", "buildkit")


@pytest.mark.usefixtures("usual_server")
def test_what_nobody_uses_is_joined(project: Project, other: Project) -> None:
    """The registries of both projects are in one server, certificates too; then neither recreates it again."""
    (project.path / "ca.pem").write_text("a certificate of somebody\n")
    project.write(
        invoke_yaml="multiarch:\n  platforms: [linux/amd64]\n  buildkitd_config: buildkitd.toml\n",
        buildkitd_toml='[registry."registry.lan"]\nca = ["ca.pem"]\n',
    )
    other.write(invoke_yaml="multiarch:\n  platforms: [linux/amd64]\n  insecure_registries: ['10.9.9.9:5000']\n")
    project.ok("start-buildkit", "--recreate")
    joined = other.run("start-buildkit")
    said = [each.run("start-buildkit").err for each in (project, other)]
    toml = docker("exec", "buildkit", "cat", "/etc/buildkit/buildkitd.toml")

    assert "recreating the container, its configuration differs" in joined.err
    assert [False, False] == ["recreating" in words for words in said]
    assert (True, True) == ('[registry."10.9.9.9:5000"]' in toml, '[registry."registry.lan"]' in toml)
    (place,) = re.findall(r'"(/etc/buildkit/certs/.+\.pem)"', toml)
    assert "a certificate of somebody" == docker("exec", "buildkit", "cat", place)


@pytest.mark.usefixtures("usual_server")
def test_ten_starts_at_once(project: Project) -> None:
    """All ten get the same server, which has its configuration; no container of any of them is left."""
    docker("stop", "buildkit")
    docker("rm", "-v", "buildkit")
    runs = at_once(project, *[("start-buildkit",)] * 10)

    assert [0] * 10 == [status for status, _, _ in runs], "\n".join(err for _, _, err in runs)
    assert 1 == len({out for _, out, _ in runs})
    assert ["buildkit"] == docker("ps", "-a", "--filter", "name=buildkit", "--format", "{{.Names}}").splitlines()
    label = docker("inspect", "--format", '{{index .Config.Labels "multiarch.buildkitd"}}', "buildkit")
    toml = docker("exec", "buildkit", "sh", "-c", "cat /etc/buildkit/buildkitd.toml 2>/dev/null || true")
    assert [True] * len(registries := json.loads(label).get("registry", {})) == [f'"{r}"' in toml for r in registries]


@pytest.mark.usefixtures("changing_emulators")
def test_several_installers_at_once(project: Project) -> None:
    """Each run registers, or finds, the emulator."""
    docker("run", "--rm", "--privileged", "tonistiigi/binfmt:qemu-v10.2.3", "--uninstall", "qemu-aarch64")
    runs = at_once(project, *[("setup-binfmt", "--platform", "linux/arm64")] * 5)
    assert [(0, "linux/arm64 qemu-aarch64\n")] * 5 == [(status, out) for status, out, _ in runs], runs


def test_jobs_of_one_runner_may_be_apart(project: Project) -> None:
    """Containers, volumes and the port of the registry by other names; three runs at once begin with none of them."""
    server, registry, port = (
        f"test-buildkit-{secrets.token_hex(3)}",
        f"test-registry-{secrets.token_hex(3)}",
        free_port(),
    )
    names = f"  buildkit_container: {server}\n  registry_container: {registry}\n  registry_port: {port}\n"
    project.write(
        invoke_yaml=f"multiarch:\n  platforms: [linux/amd64]\n{names}",
        Dockerfile="FROM busybox:stable\nRUN ip route | grep default\n",
    )
    before = docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", "multiarch-registry")
    try:
        runs = at_once(project, *[("release", "--tag", tag) for tag in ("a", "b", "c")])
        assert [0, 0, 0] == [status for status, _, _ in runs], runs
        assert f"127.0.0.1:{port}/{project.path.name}:a" == runs[0][1].partition("@")[0]
        assert [True] * 2 == [f"{name}" in docker("volume", "ls").split() for name in (f"{server}-state", registry)]
        (address,) = project.ok("start-buildkit")
        assert re.fullmatch(rf"unix://{re.escape(str(STATE))}/{server}-[0-9a-f]{{12}}/buildkitd\.sock", address)
        assert before == docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", "multiarch-registry")
    finally:
        subprocess.run(["docker", "stop", server], capture_output=True)
        docker("rm", "-fv", server, registry)
        docker("volume", "rm", f"{server}-state", registry)
        remove_directories(server)


IMPATIENT = """\
from multiarch import ns
from multiarch.buildkit import container, use
from multiarch.steps import start_buildkit
# Seconds. The real limits are for servers that are slow; this one has stopped for ever.
start_buildkit._ANSWER_SECONDS = use._STARTING_SECONDS = use._UNSEEN_SECONDS = 0.0
container._STOP_SECONDS = 1
"""


@contextlib.contextmanager
def stopped(server: str, address: str) -> Iterator[None]:
    """Stop the process of a server, with so many clients that wait for it that each new one is told so at once.

    A client that finds room in the queue waits for 20 seconds (the least time that gRPC gives a connection).
    """
    docker("kill", "--signal", "STOP", server)
    waiting: list[socket.socket] = []
    try:
        with contextlib.suppress(BlockingIOError):
            while len(waiting) < 10_000:
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].setblocking(False)
                waiting[-1].connect(address.removeprefix("unix://"))
        yield
    finally:
        for client in waiting:
            client.close()


def test_server_that_has_stopped_is_restarted_once(project: Project) -> None:
    """By one of two runs that find it so, which shows its log; both build on it."""
    server = f"test-buildkit-{secrets.token_hex(3)}"
    project.write(
        tasks_py=IMPATIENT,
        invoke_yaml=f"multiarch:\n  platforms: [linux/amd64]\n  buildkit_container: {server}\n",
        Dockerfile="FROM busybox:stable\nRUN uname -m\n",
    )
    try:
        project.ok("release", "--tag", "before")
        (address,) = project.ok("start-buildkit")
        begun = docker("inspect", "--format", "{{.State.StartedAt}}", server)
        with stopped(server, address):
            runs = at_once(project, *[("release", "--no-cache", "--tag", tag) for tag in ("a", "b")])
        assert [0, 0] == [status for status, _, _ in runs], runs
        filters = ("--filter", f"container={server}", "--filter", "event=start", "--format", "{{.Action}}")
        assert "start\nstart" == docker("events", "--since", begun, "--until", "0s", *filters)
        shown = [log for _, _, log in runs if f"{server}: it does not answer (" in log]
        assert shown
        for log in shown:
            assert re.search(rf"^{server}: it does not answer \(.+\) and is restarted; its last log lines:$", log, re.M)
            assert re.search(r"^  \| .*found worker", log, re.M), log
    finally:
        subprocess.run(["docker", "rm", "-fv", server], capture_output=True)
        docker("volume", "rm", f"{server}-state")
        remove_directories(server)
