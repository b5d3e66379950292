"""Faults under a release: registries, BuildKit, the Docker daemon and the release itself are killed."""

from __future__ import annotations

import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.integration.conftest import MACHINES, ROOT, Project, RegistryContainer, runs_as
from tests.integration.docker_host import docker
from tests.integration.test_publishing import attested, index_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

PLATFORMS = ("linux/amd64", "linux/arm64")
YAML = "multiarch:\n  platforms: [linux/amd64, linux/arm64]\n"


class SlowProxy:
    """A proxy before a registry that lets bytes through slowly.

    :ivar passed: how many bytes it has taken from clients.
    """

    def __init__(self, port: int, rate: int) -> None:
        self.passed = 0
        self._target = port
        self._rate = rate
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._target), timeout=5) as server:
            back = threading.Thread(target=_pump, args=(server, client, lambda _: None), daemon=True)
            back.start()
            _pump(client, server, self._slowly)

    def _slowly(self, count: int) -> None:
        self.passed += count
        time.sleep(count / self._rate)


def _pump(source: socket.socket, target: socket.socket, each: Callable[[int], None]) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
            each(len(data))
    for side in (source, target):
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


@contextmanager
def running(project: Project, *words: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run tasks beside the test."""
    with subprocess.Popen(
        project.command(*words),
        cwd=project.path,
        env=project.env(**environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(stream: IO[str] | None, text: str) -> str:
    """Return the lines up to the one that has *text*, or to the end."""
    assert stream is not None
    seen = ""
    while text not in seen and (line := stream.readline()):
        seen += line
    return seen


def wait_until(done: Callable[[], object], seconds: float = 60) -> None:
    """Wait until *done* returns something true. :raises AssertionError: it did not in time."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not so within {seconds:g} s"
        time.sleep(0.02)


def test_a_registry_that_dies_in_mid_push_is_outlasted(project: Project, registry: RegistryContainer) -> None:
    """Killed while a layer is on its way and started again, the release ends in a tag that runs; the retry is shown."""
    registry.start()
    proxy = SlowProxy(registry.port, rate=2_000_000)
    (project.path / "blob").write_bytes(secrets.token_bytes(4_000_000))
    project.write(Dockerfile="FROM busybox:stable\nCOPY blob /blob\n", invoke_yaml=YAML)
    try:
        with running(project, "release", "--image", f"{proxy.host}/app") as process:
            wait_until(lambda: proxy.passed > 1_000_000)
            docker("kill", registry.name)
            seen = read_until(process.stderr, "attempt 1 failed")
            docker("start", registry.name)
            out, error = process.communicate(timeout=120)
    finally:
        proxy.stop()
    assert 0 == process.returncode, seen + error
    assert "attempt 1 failed" in seen
    assert [f"{proxy.host}/app:latest"] == [line.partition("@")[0] for line in out.splitlines()]
    assert dict.fromkeys(PLATFORMS, 1) == attested(index_of(f"{registry.host}/app:latest"))


def test_a_buildkit_that_dies_in_mid_solve_is_outlasted(project: Project) -> None:
    """Its process killed while a RUN is under way, Docker starts it again, and the release goes on by itself."""
    word = secrets.token_hex(4)
    project.write(Dockerfile=f"FROM busybox:stable\nRUN echo started {word} && sleep 4\n", invoke_yaml=YAML)
    with running(project, "release") as process:
        seen = read_until(process.stderr, f"  started {word}")
        os.kill(int(docker("inspect", "--format", "{{.State.Pid}}", "buildkit")), signal.SIGKILL)
        seen += read_until(process.stderr, "attempt 1 failed")
        out, error = process.communicate(timeout=120)
    assert 0 == process.returncode, seen + error
    assert "attempt 1 failed" in seen
    assert "Traceback" not in error
    assert [f"{project.image}:latest"] == [line.partition("@")[0] for line in out.splitlines()]
    assert "aarch64" == runs_as("linux/arm64", f"{project.image}:latest")


def test_a_restart_of_docker_in_mid_solve_is_outlasted(project: Project) -> None:
    """With Docker, BuildKit and the embedded registry go down and come back."""
    word = secrets.token_hex(4)
    project.write(Dockerfile=f"FROM busybox:stable\nRUN echo started {word} && sleep 4\n", invoke_yaml=YAML)
    with running(project, "release") as process:
        seen = read_until(process.stderr, f"  started {word}")
        _restart_docker()
        seen += read_until(process.stderr, "attempt 1 failed")
        out, error = process.communicate(timeout=150)
    assert 0 == process.returncode, seen + error
    assert "attempt 1 failed" in seen
    assert "Traceback" not in error
    assert [f"{project.image}:latest"] == [line.partition("@")[0] for line in out.splitlines()]
    assert "x86_64" == runs_as("linux/amd64", f"{project.image}:latest")


def _restart_docker() -> None:
    """Restart the daemon: by the lab where the lab started it, else by systemd."""
    done = subprocess.run(["pidof", "dockerd"], capture_output=True, text=True)
    if not Path("/run/multiarch-lab/docker.pid").exists():
        subprocess.run(["systemctl", "restart", "docker"], check=True)
        return
    os.kill(int(done.stdout.split()[0]), signal.SIGTERM)
    wait_until(lambda: subprocess.run(["pidof", "dockerd"], capture_output=True).returncode)
    subprocess.run([sys.executable, "-m", "invoke", "lab"], cwd=ROOT, check=True, capture_output=True)


def test_a_registry_that_dies_for_good_ends_the_release(project: Project, registry: RegistryContainer) -> None:
    """After retry_seconds; what was published stays."""
    registry.start()
    project.write(Dockerfile="FROM busybox:stable\nARG WORD=a\nRUN echo $WORD\n", invoke_yaml=YAML)
    words = ["release", "--image", f"{registry.host}/app"]
    (before,) = project.ok(*words)
    project.write(Dockerfile=f"FROM busybox:stable\nRUN echo {secrets.token_hex(4)} && sleep 3\n")
    with running(project, *words, INVOKE_MULTIARCH_RETRY_SECONDS="4") as process:
        seen = read_until(process.stderr, "] RUN")
        docker("kill", registry.name)
        began = time.monotonic()
        out, error = process.communicate(timeout=60)
    assert (1, "") == (process.returncode, out), seen + error
    assert time.monotonic() - began < 30
    assert "Traceback" not in error
    docker("start", registry.name)
    wait_until(lambda: project.run("manifest", "--inspect", "--image", f"{registry.host}/app").status == 0)
    assert before in "\n".join(project.ok("manifest", "--inspect", "--image", f"{registry.host}/app"))


def test_a_killed_release_leaves_a_whole_tag(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Thirty times kill -9 at a random moment: the tag is the old index or a new one, and the next release succeeds."""

    def change() -> None:
        project.write(
            Dockerfile=f"FROM busybox:stable\nRUN echo {secrets.token_hex(4)} > /word\n",
            Dockerfile_armhf=f"FROM arm32v7/busybox:latest\nRUN echo {secrets.token_hex(4)} > /word\n",
        )

    project.ok("release")
    change()
    began = time.monotonic()
    project.ok("release")
    usual = time.monotonic() - began
    containers = _containers()
    chance = random.Random(5)  # noqa: S311 (moments, not secrets)
    before = _index(project)
    moved = 0
    for _ in range(30):
        change()
        with running(project, "release") as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.05, 1.5 * usual))
            process.kill()
        after = _index(project)
        assert set(MACHINES) == set(after)
        # One index or the other, never some of both.
        assert len(MACHINES) == sum(after[p] != before[p] for p in MACHINES) or after == before
        moved += after != before
        before = after
        assert _containers() - containers == set()
    wait_until(lambda: not project.clients(), 30)
    with capsys.disabled():
        print(f"\n30 x kill -9: {moved} times the tag had moved, {30 - moved} times not", end=" ")
    assert 0 < moved < 30
    (published,) = project.ok("release")
    assert MACHINES == {platform: runs_as(platform, published.partition("@")[0]) for platform in MACHINES}


def _index(project: Project) -> dict[str, str]:
    """Return the digest of each platform under the published tag."""
    entries = index_of(f"{project.image}:latest")["manifests"]
    images = [e for e in entries if e["platform"]["os"] == "linux"]
    return {
        "/".join(e["platform"][key] for key in ("os", "architecture", "variant") if key in e["platform"]): e["digest"]
        for e in images
    }


def _containers() -> set[str]:
    return set(docker("ps", "-a", "--format", "{{.Names}}").splitlines())


def test_one_failing_platform_stops_the_others(project: Project) -> None:
    """The tag stays, and the one excerpt names platform, instruction and line."""
    (before,) = project.ok("release")
    word = secrets.token_hex(4)
    run = f'echo {word}; [ "$(uname -m)" != aarch64 ] || {{ echo last words; exit 3; }}'
    project.write(
        Dockerfile=f"FROM busybox:stable\nRUN {run}\n",
        invoke_yaml="multiarch:\n  platforms: [linux/amd64, linux/arm64, linux/arm/v7]\n",
    )
    result = project.run("release")
    assert (1, []) == (result.status, result.out)
    assert 1 == result.err.count("build failed")
    assert "linux/arm64: build failed in [linux/arm64 2/2] RUN" in result.err
    assert "(Dockerfile:2)" in result.err
    assert ["  | last words"] == [line for line in result.err.splitlines() if line.startswith("  | last")]
    assert before in "\n".join(project.ok("manifest", "--inspect"))


def test_keep_going_reports_all(project: Project) -> None:
    """Every platform is built to its end, and every failure is shown."""
    word = secrets.token_hex(4)
    project.write(
        Dockerfile=f'FROM busybox:stable\nRUN echo {word}; [ "$(uname -m)" = aarch64 ] || exit 3\n',
        invoke_yaml="multiarch:\n  keep_going: true\n  platforms: [linux/amd64, linux/arm64, linux/arm/v7]\n",
    )
    result = project.run("release")
    assert (1, []) == (result.status, result.out)
    failed = [line.partition(":")[0] for line in result.err.splitlines() if "build failed" in line]
    assert ["linux/amd64", "linux/arm/v7"] == failed
    assert "linux/arm64  │ exporting to image" in result.err
