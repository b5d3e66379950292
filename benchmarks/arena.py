"""What the contestants share: a BuildKit, registries, and the delay in front of them; all of it is gone at the end."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.delay import delayed
from benchmarks.peers import BUILDX, STATE, TASKS, compile_package, install, plain_environment
from benchmarks.race import say
from benchmarks.table import Taken
from multiarch.image.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.peers import Commands

BUILDKIT = "moby/buildkit:v0.32.2"
BUILDER = "bench"  # buildx's name of the BuildKit
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")
_LONGEST = 1800  # seconds of a command; emulated compilers are slow, and what hangs is to be noticed


@dataclass(frozen=True)
class Job:
    """A release to be made of the context ``app``.

    :ivar images: repositories, ``host:port/name``.
    :ivar cache: repository of the cache that is read and written; empty for none.
    :ivar arguments: build arguments.
    :ivar secrets: paths of files, by the names of the secrets.
    """

    images: Sequence[str]
    tags: Sequence[str] = ("latest",)
    platforms: Sequence[str] = PLATFORMS
    cache: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def references(self) -> list[str]:
        """All that is to be published."""
        return [f"{image}:{tag}" for image in self.images for tag in self.tags]


@dataclass(frozen=True)
class Arena:
    """Where the contestants build.

    :ivar folder: has the programs, and the project, whose context is ``app``.
    :ivar address: of the BuildKit.
    :ivar hosts: ``host:port`` of each registry.
    :ivar builder: buildx's name of the BuildKit.
    :ivar others: addresses of further ones that contestants build on.
    """

    folder: Path
    address: str
    hosts: Sequence[str]
    builder: str = BUILDER
    others: Sequence[str] = ()

    @property
    def app(self) -> Path:
        """The context."""
        return self.folder / "app"

    @property
    def buildctl(self) -> str:
        """The client out of the server's container."""
        return str(self.folder / "buildctl")

    @property
    def environment(self) -> dict[str, str]:
        """What every contestant runs in."""
        state = {name: str(self.folder / path) for name, path in STATE.items()}
        root = str(Path(__file__).parents[1])
        return {**plain_environment(), **state, "BUILDKIT_HOST": self.address, "PYTHONPATH": root}

    def prune(self) -> None:
        """Empty all BuildKits."""
        for address in (self.address, *self.others):
            output(self.buildctl, "--addr", address, "prune", "--all")

    def forget(self) -> None:
        """Remove what contestants keep on the machine that they run on, as on one that is new."""
        for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
            shutil.rmtree(self.folder / STATE[name], ignore_errors=True)

    def new_app(self, write: Callable[[Path], None]) -> None:
        """Make the context anew, and wait for the disk: the first to read it would pay for its writing."""
        shutil.rmtree(self.app, ignore_errors=True)
        self.app.mkdir()
        write(self.app)
        os.sync()

    def new_names(self, hosts: Sequence[str] = ()) -> list[str]:
        """Return a new repository in each registry; in the first alone without *hosts*."""
        name = f"bench-{secrets.token_hex(4)}"
        return [f"{host}/{name}" for host in hosts or self.hosts[:1]]

    def run(self, commands: Commands) -> Taken:
        """Run commands in the project; return what they took."""
        since = time.time()
        seconds = self.timed(commands, self.environment)
        return Taken(seconds, self._solving(since))

    def timed(self, commands: Commands, environment: Mapping[str, str]) -> float:
        """Run commands in the project; return the seconds that they took."""
        began = time.perf_counter()
        for words in commands:
            output(*words, cwd=self.folder, env=environment)
        return time.perf_counter() - began

    def _solving(self, since: float) -> float:
        """Return the seconds since a time in which a BuildKit had a solve to do."""
        for _ in range(100):
            spans = [span for at in (self.address, *self.others) for span in solves(self._histories(at), since)]
            ended = [(begin, end) for begin, end in spans if end is not None]
            if len(ended) == len(spans):
                return covered(ended)
            time.sleep(0.1)
        raise SystemExit("BuildKit has a solve that does not end, although its client has")

    def _histories(self, address: str) -> str:
        return output(self.buildctl, "--addr", address, "debug", "histories", "--format", "{{json .}}")

    def check(self, job: Job, hosts: Mapping[str, str] | None = None) -> None:
        """Check that a job was done: each tag has its platforms, and no others.

        :param hosts: by the ``host:port`` of a delay that of the registry behind it.
        :raises SystemExit: it was not.
        """
        from multiarch.publish.staged import read_platforms
        from multiarch.registry.client import Registry
        from multiarch.retry import Policy

        expected = {Platform.parse(name) for name in job.platforms}
        for image in job.images:
            host, _, repository = image.partition("/")
            registry = Registry((hosts or {}).get(host, host), Policy(), say)
            for tag in job.tags:
                found = registry.manifest(repository, tag)
                actual = set(read_platforms(found, repository, registry)) if found else set()
                if actual != expected:
                    raise SystemExit(f"{image}:{tag} has {sorted(map(str, actual))}")

    def measured(
        self, tool: Callable[[Arena, Job], Commands], job: Job, hosts: Mapping[str, str] | None = None
    ) -> Taken:
        """Let a tool do a job; return what that took."""
        taken = self.run(tool(self, job))
        self.check(job, hosts)
        return taken


@contextlib.contextmanager
def arena(registries: int = 1) -> Iterator[Arena]:
    """Run a BuildKit and registries of the benchmark's own, on the loopback interface; leave nothing behind."""
    compile_package()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hosts = [stack.enter_context(registry()) for _ in range(registries)]
        address = stack.enter_context(buildkit(folder, PLATFORMS, hosts))
        (folder / "tasks.py").write_text(TASKS)
        made = Arena(folder, address, hosts)
        create_builder(made, BUILDER, {address: ()})
        yield made


def create_builder(arena: Arena, name: str, nodes: Mapping[str, Sequence[str]]) -> Arena:
    """Tell buildx of a builder; return the arena in which it is used.

    :param nodes: by address, the platforms that the node is for; without any those that it lists.
    """
    for address, platforms in nodes.items():
        words = ["create", "--name", name, "--driver", "remote"]
        words += ["--append"] if address != next(iter(nodes)) else []
        words += ["--platform", ",".join(platforms)] if platforms else []
        output(str(install(BUILDX)), *words, address, env=arena.environment)
    return replace(arena, builder=name)


@contextlib.contextmanager
def buildkit(folder: Path, platforms: Sequence[str], hosts: Sequence[str]) -> Iterator[str]:
    """Run a BuildKit in a container, with the Docker host's registries; yield its address.

    :param folder: takes its client, and its configuration.
    :param platforms: those that it lists, the one of its processor first.
    :param hosts: registries in plain HTTP.
    """
    import docker

    from multiarch.buildkit.configuration import Configuration, registry_tables
    from multiarch.docker_info import read_info

    name, port = f"bench-buildkit-{secrets.token_hex(3)}", _free_port()
    address = f"tcp://127.0.0.1:{port}"
    toml = folder / f"{name}.toml"
    registries = registry_tables(read_info(docker.from_env().info()), list(hosts))
    toml.write_text(Configuration({"registry": registries}).toml())
    listed = [word for platform in platforms for word in ("--oci-worker-platform", platform)]
    with _container(name, "--privileged", "--network", "host", "-v", f"{name}:/var/lib/buildkit", BUILDKIT,
                    "--config", "/buildkitd.toml", "--addr", address, *listed):  # fmt: skip
        output("docker", "cp", str(toml), f"{name}:/buildkitd.toml")
        output("docker", "cp", f"{name}:/usr/bin/buildctl", str(folder / "buildctl"))
        output("docker", "start", name)
        _await(port)
        yield address


@contextlib.contextmanager
def registry() -> Iterator[str]:
    """Run an empty registry; yield its ``host:port``."""
    name, port = f"bench-registry-{secrets.token_hex(3)}", _free_port()
    host = f"127.0.0.1:{port}"
    with _container(name, "--network", "host", "-e", f"REGISTRY_HTTP_ADDR={host}", "registry:2"):
        output("docker", "start", name)
        _await(port)
        yield host


@contextlib.contextmanager
def away(hosts: Sequence[str], round_trip: float) -> Iterator[dict[str, str]]:
    """Put registries some way away; yield them by the ``host:port`` under which they are so.

    :param round_trip: in seconds; with 0 the proxies are there all the same.
    """
    with contextlib.ExitStack() as stack:
        yield {stack.enter_context(delayed(host, round_trip)): host for host in hosts}


def solves(histories: str, since: float) -> list[tuple[float, float | None]]:
    """Return when the solves of BuildKit's records began and ended, in seconds of the epoch; None while one has not.

    :param histories: a record in JSON in each line (BuildKit's ``BuildHistoryEvent``).
    :param since: those that began before are left out.
    """
    found = []
    for line in histories.splitlines():
        record = json.loads(line)["record"]
        begin, end = (_epoch(record[name]) if name in record else None for name in ("CreatedAt", "CompletedAt"))
        if begin is not None and begin >= since:
            found.append((begin, end))
    return found


def _epoch(stamp: Mapping[str, int]) -> float:
    return stamp.get("seconds", 0) + stamp.get("nanos", 0) / 1e9


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """Return the seconds that spans of time cover; those that overlap count once."""
    seconds, until = 0.0, 0.0
    for begin, end in sorted(spans):
        seconds += max(0.0, end - max(begin, until))
        until = max(until, end)
    return seconds


def output(*words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program that must succeed; return what it printed."""
    try:
        done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=_LONGEST)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{' '.join(words)} did not end within {_LONGEST} s") from None
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def invoke(*words: str) -> list[str]:
    """Return the command of a task of ours."""
    return [sys.executable, "-m", "invoke", *words]


@contextlib.contextmanager
def _container(name: str, *words: str) -> Iterator[None]:
    """Create a container; remove it at the end, with the volume of its name."""
    output("docker", "create", "--name", name, *words)
    try:
        yield
    finally:
        output("docker", "rm", "--force", "--volumes", name)
        output("docker", "volume", "rm", "--force", name)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _await(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port} of this machine")
