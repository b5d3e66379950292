"""Fixtures on the real parts: the Docker host, projects in directories of their own, and registries to break."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import emulators
from tests.integration.docker_host import DockerState, docker
from tests.integration.job_python import Wheels, install_python3

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
REGISTRY = "127.0.0.1:5001"
MATRIX = """\
multiarch:
  platforms:
    - linux/amd64
    - linux/arm64
    - platform: linux/arm/v7
      dockerfile: Dockerfile.armhf
"""
# Provenance holds the time of the build: without it the same images give the same index.
PLAIN = {"INVOKE_MULTIARCH_ATTESTATIONS": ""}
# Of two, one emulated and with a Dockerfile of its own: in jobs, they show as much in less time.
PAIR = ["linux/amd64", "linux/arm/v7"]
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64", "linux/arm/v7": "armv7l"}


@dataclass(frozen=True)
class Result:
    """Result of a command; *out* are the lines of its standard output."""

    status: int
    out: list[str]
    err: str


@dataclass(frozen=True)
class Project:
    """A directory with a tasks.py of three words, as an adopter has it."""

    path: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def image(self) -> str:
        """The repository of its images: in the embedded registry, under the directory's name."""
        return f"{REGISTRY}/{self.path.name}"

    def write(self, **files: str) -> None:
        """Write files; ``invoke_yaml`` is invoke.yaml, ``Dockerfile_x`` is Dockerfile.x."""
        for name, text in files.items():
            (self.path / name.replace("_", ".")).write_text(text)

    def command(self, *words: str) -> list[str]:
        """Return the argument list of an invoke run."""
        return [sys.executable, "-m", "invoke", *words]

    def env(self, **variables: str) -> dict[str, str]:
        """Return the environment of a run: this machine's, without settings that would leak in."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("INVOKE_") and k != "BUILDKIT_HOST"}
        return {**clean, **self.environ, **variables}

    def clients(self) -> list[str]:
        """Return the process ids of its buildctl: other tests may be at work on this machine."""
        pids = subprocess.run(["pgrep", "-x", "buildctl"], capture_output=True, text=True).stdout.split()
        return [pid for pid in pids if _directory_of(pid) == str(self.path)]

    def run(self, *words: str, **environ: str) -> Result:
        """Run tasks to their end."""
        done = subprocess.run(
            self.command(*words), cwd=self.path, env=self.env(**environ), capture_output=True, text=True, timeout=300
        )
        return Result(done.returncode, done.stdout.splitlines(), done.stderr)

    def ok(self, *words: str, **environ: str) -> list[str]:
        """Run tasks that must succeed; return the lines of their standard output."""
        result = self.run(*words, **environ)
        assert (0, words) == (result.status, words), result.err
        return result.out


def _directory_of(pid: str) -> str:
    """Return the working directory of a process, nothing where it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def runs_as(platform: str, reference: str) -> str:
    """Return what ``uname -m`` says in a container of *reference* on *platform*."""
    return docker("run", "--rm", "--pull", "always", "--quiet", "--platform", platform, reference, "uname", "-m")


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def fresh_builder() -> Iterator[dict[str, str]]:
    """Run a BuildKit that has built nothing yet; yield it as BUILDKIT_HOST."""
    name, port = f"test-buildkit-{secrets.token_hex(3)}", free_port()
    toml = docker("exec", "buildkit", "sh", "-c", "cat /etc/buildkit/buildkitd.toml || true")
    script = f'printf %s "$TOML" > /tmp/toml; exec buildkitd --config /tmp/toml --addr tcp://127.0.0.1:{port}'
    docker(
        *("run", "-d", "--privileged", "--network", "host", "--name", name, "-v", f"{name}:/var/lib/buildkit"),
        *("-e", f"TOML={toml}", "--entrypoint", "sh", "moby/buildkit:v0.32.2", "-c", script),
    )
    try:
        words = ["docker", "exec", name, "buildctl", "--addr", f"tcp://127.0.0.1:{port}", "debug", "workers"]
        deadline = time.monotonic() + 30
        while subprocess.run(words, capture_output=True).returncode and time.monotonic() < deadline:
            time.sleep(0.2)
        yield {"BUILDKIT_HOST": f"tcp://127.0.0.1:{port}"}
    finally:
        docker("rm", "-f", name)
        docker("volume", "rm", name)


@pytest.fixture(scope="session", autouse=True)
def docker_host() -> Iterator[None]:
    """A Docker host that answers, and has afterwards what it had before; without one the tests fail."""
    before = DockerState.read()
    yield
    before.restore()
    assert [] == before.differences(DockerState.read())


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """The packages that jobs install."""
    return Wheels.of(ROOT, tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def python3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the python3 of jobs, for their PATH."""
    return install_python3(tmp_path_factory.mktemp("python3"))


@pytest.fixture
def changing_emulators() -> Iterator[None]:
    """What a test does to emulators, no other test meets that runs at the same time."""
    with emulators.changed():
        yield


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The repository's own example, in a directory with a name of its own."""
    return example(tmp_path_factory)


def example(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy of the repository's example."""
    path = tmp_path_factory.mktemp(f"example-{secrets.token_hex(3)}-")
    for name in ("Dockerfile", "Dockerfile.armhf"):
        (path / name).write_text((ROOT / name).read_text())
    (path / "tasks.py").write_text("from multiarch import ns\n")
    (path / "invoke.yaml").write_text(MATRIX)
    return Project(path)


@pytest.fixture
def embedded(project: Project) -> None:
    """The embedded registry, which a release starts where no repository is named."""
    project.ok("release", "--platform", "linux/amd64", "--tag", "embedded")


@pytest.fixture
def prepared(project: Project) -> None:
    """The steps that build-arch needs have run, in a state that no earlier test decides."""
    project.ok("setup-binfmt", "start-buildkit", "copy-buildctl")


@dataclass
class RegistryContainer:
    """A registry of one test, to be started, stopped and broken."""

    name: str
    port: int
    options: tuple[str, ...] = ()
    address: str = "127.0.0.1"

    @property
    def host(self) -> str:
        """``host:port`` for image references."""
        return f"{self.address}:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers (401 is an answer, and so is 400 to plain HTTP)."""
        docker("run", "-d", "--name", self.name, "-p", f"{self.host}:5000", *self.options, "registry:2")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/", timeout=2).close()
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"{self.name} did not start")

    def remove(self) -> None:
        """Remove it with what it holds."""
        subprocess.run(["docker", "rm", "-fv", self.name], capture_output=True)


@pytest.fixture
def registry(request: Any) -> Iterator[RegistryContainer]:
    """A registry that is not started yet."""
    container = RegistryContainer(f"test-registry-{secrets.token_hex(3)}", free_port())
    yield container
    container.remove()
