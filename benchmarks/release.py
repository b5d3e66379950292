"""How long a whole release takes, beside other tools on one BuildKit: ``python -m benchmarks.release``.

Every run is a process, or as many as the tool needs, from a directory with a Dockerfile to a tag of three platforms,
which is checked. Cold runs begin with an empty BuildKit, a new context and a new repository; warm runs do the same once
more. The contestants take turns, each round in another order; the first round is not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import docker

from benchmarks.peers import BUILDX, STATE, TASKS, Commands, compile_package, install, plain_environment
from multiarch.buildkit import server as buildkitd
from multiarch.buildkit.configuration import Configuration, registry_tables
from multiarch.config.load import load
from multiarch.config.project import Project
from multiarch.config.settings import BUILDKIT_CONTAINER
from multiarch.docker_info import read_info
from multiarch.image.platform import Platform
from multiarch.publish import commands as manifest
from multiarch.publish.staged import read_platforms
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from multiarch.steps import build_arch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from multiarch.config.settings import Settings

PLATFORMS = tuple(Platform.parse(name) for name in ("linux/amd64", "linux/arm64", "linux/arm/v7"))
BUILDKIT = "moby/buildkit:v0.32.2"
OURS, MANAGED, PEER, SERIAL = "multiarch", "multiarch, its own BuildKit", "buildx", "the document, serially"
_BURN = """
RUN i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done
RUN dd if=/dev/zero bs=1M count=150 2>/dev/null | sha256sum
RUN dd if=/dev/zero bs=1M count=300 2>/dev/null | md5sum
"""
# By case and contestant: the seconds of each run.
Times = dict[tuple[str, str], list[float]]


@dataclass(frozen=True)
class Case:
    """What is built: a Dockerfile that begins with something new each time, and files of 100 kB beside it."""

    name: str
    dockerfile: str
    files: int = 0
    warm: bool = True

    def write(self, folder: Path) -> None:
        """Make a context that no BuildKit has seen."""
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "data").mkdir(parents=True)
        new = f"RUN echo {secrets.token_hex(16)} > /new"
        (folder / "Dockerfile").write_text(f"FROM busybox:stable\n{new}\n{self.dockerfile}\n")
        for number in range(self.files):
            (folder / "data" / f"{number:04}").write_bytes(secrets.token_bytes(100_000))
        os.sync()  # else the first to read it pays for its writing


CASES = (
    Case("small image", ""),
    Case("200 MB in 2,000 files", "COPY data /data", files=2000),
    Case("three emulated CPU-bound RUNs", _BURN, warm=False),
)


@dataclass(frozen=True)
class Arena:
    """What the contestants share: *folder* holds the programs and the project, whose context is ``app``."""

    folder: Path
    address: str
    host: str

    @property
    def buildctl(self) -> str:
        """The client out of the server's container."""
        return str(self.folder / "buildctl")

    @property
    def environment(self) -> dict[str, str]:
        """What every contestant runs in."""
        state = {name: str(self.folder / path) for name, path in STATE.items() if name != "XDG_STATE_HOME"}
        root = str(Path(__file__).parents[1])
        own = {"BUILDKIT_HOST": self.address, "DOCKER_CLI_EXPERIMENTAL": "enabled", "PYTHONPATH": root}
        return plain_environment() | state | own

    def configured(self, image: str, **more: object) -> dict[str, object]:
        """Return the release as invoke.yaml says it."""
        plain = {"image": image, "platforms": [str(p) for p in PLATFORMS], "context": "app", "dest": str(self.folder)}
        return {**plain, "buildkit_image": BUILDKIT, **more}


def ours(arena: Arena, image: str) -> Commands:
    """``release``, with the settings where an adopter has them."""
    lines = [f"  {key}: {value}" for key, value in arena.configured(image).items()]
    (arena.folder / "invoke.yaml").write_text("\n".join(["multiarch:", *lines, ""]))
    return [[sys.executable, "-m", "invoke", "release"]]


def managed(arena: Arena, image: str) -> Commands:
    """``release`` with the server that it starts, and keeps, itself."""
    return [["env", "-u", "BUILDKIT_HOST", *ours(arena, image)[0]]]


def buildx(arena: Arena, image: str) -> Commands:
    """One ``buildx build``, with the attestations that ours has."""
    words = ["build", "--builder", "bench", "--platform", ",".join(map(str, PLATFORMS)), "--push", "-t", image]
    return [[str(install(BUILDX)), *words, "--provenance=mode=min", "--progress=plain", str(arena.folder / "app")]]


def serial(arena: Arena, image: str) -> Commands:
    """The document's commands, which ``invoke --dry`` shows; ``docker manifest`` takes no attestations."""
    project = Project.of(load(arena.configured(image, attestations=[]), {"BUILDKIT_HOST": arena.address}, {}))
    (target,) = project.targets
    builds = [build_arch.command_of(project, target, entry) for entry in project.matrix]
    return builds + manifest.commands(target.settings)


CONTESTANTS: dict[str, Callable[[Arena, str], Commands]] = {OURS: ours, PEER: buildx, SERIAL: serial}


@contextlib.contextmanager
def arena() -> Iterator[Arena]:
    """Run a BuildKit and a registry of the benchmark's own, on the loopback interface; leave nothing behind."""
    compile_package()
    mark = secrets.token_hex(3)
    names = [f"bench-buildkit-{mark}", f"bench-release-registry-{mark}"]
    server, registry = (f"127.0.0.1:{port}" for port in _free_ports(2))
    with tempfile.TemporaryDirectory() as name:
        made = Arena(Path(name), f"tcp://{server}", registry)
        (made.folder / "tasks.py").write_text(TASKS)
        toml = made.folder / "buildkitd.toml"
        registries = registry_tables(read_info(docker.from_env().info()), [registry])
        toml.write_text(Configuration({"registry": registries}).toml())
        platforms = [word for platform in PLATFORMS for word in ("--oci-worker-platform", str(platform))]
        common = ["--detach", "--network", "host", "--name"]
        volume = f"{names[0]}:/var/lib/buildkit"
        try:
            _output("docker", "create", "--privileged", "--network", "host", "--name", names[0], "-v", volume,
                    BUILDKIT, "--config", "/buildkitd.toml", "--addr", made.address, *platforms)  # fmt: skip
            _output("docker", "cp", str(toml), f"{names[0]}:/buildkitd.toml")
            _output("docker", "cp", f"{names[0]}:/usr/bin/buildctl", made.buildctl)
            _output("docker", "start", names[0])
            _output("docker", "run", *common, names[1], "-e", f"REGISTRY_HTTP_ADDR={registry}", "registry:2")
            for place in (server, registry):
                _await(place)
            _output(str(install(BUILDX)), "create", "--name", "bench", "--driver", "remote", made.address,
                    env=made.environment)  # fmt: skip
            yield made
        finally:
            _output("docker", "rm", "--force", "--volumes", *names)
            _output("docker", "volume", "rm", "--force", names[0])


def race(arena: Arena, cases: Sequence[Case], rounds: int) -> Times:
    """Let all contestants do all cases, in rounds."""
    times: Times = {}
    contestants = CONTESTANTS | ({MANAGED: managed} if _managed_fits(arena) else {})
    for number in range(rounds + 1):
        shift = number % len(contestants)
        order = [*contestants][shift:] + [*contestants][:shift]
        for case in cases:
            for name in order:
                if name == MANAGED and case is not CASES[0]:
                    continue  # one case tells what it costs
                _output(arena.buildctl, "--addr", arena.address, "prune", "--all")
                case.write(arena.folder / "app")
                image = f"{arena.host}/bench-{secrets.token_hex(4)}:latest"
                for kind in ("cold", "warm") if case.warm else ("cold",):
                    seconds = run(contestants[name](arena, image.removesuffix(":latest")), image, arena)
                    # Somebody's server is not emptied for a benchmark: it is never cold.
                    if number and not (name == MANAGED and kind == "cold"):
                        times.setdefault((f"{case.name}, {kind}", name), []).append(seconds)
                    _say(f"{number} {case.name}, {kind}: {name} {seconds:.2f}")
    return times


def run(commands: Commands, image: str, arena: Arena) -> float:
    """Run commands in the project; return the seconds that they took, when they published what they should."""
    began = time.perf_counter()
    for words in commands:
        _output(*words, cwd=arena.folder, env=arena.environment)
    seconds = time.perf_counter() - began
    repository, _, tag = image.partition("/")[2].partition(":")
    registry = Registry(arena.host, Policy(), _say)
    found = registry.manifest(repository, tag)
    platforms = set(read_platforms(found, repository, registry)) if found else set()
    if platforms != set(PLATFORMS):
        raise SystemExit(f"{commands[0][0]} published {sorted(map(str, platforms))}")
    return seconds


def table(times: Times) -> list[str]:
    """Return the lines of a table: medians, extremes, and how they compare to the peer's."""
    lines = [f"| case | contestant | median seconds | fastest, slowest | of {PEER} |", "|---|---|---:|---:|---:|"]
    cases = dict.fromkeys(case for case, _ in times)
    for case, name in [(case, name) for case in cases for name in (*CONTESTANTS, MANAGED) if (case, name) in times]:
        runs = times[case, name]
        ratio = median(runs) / median(times[case, PEER])
        lines.append(f"| {case} | {name} | {median(runs):.2f} | {min(runs):.2f}, {max(runs):.2f} | {ratio:.2f} |")
    return lines


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: %(default)s)")
    parser.add_argument("--case", default="", help="only cases whose name has this in it")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    loads = [os.getloadavg()[0]]
    with arena() as made:
        times = race(made, [case for case in CASES if arguments.case in case.name], arguments.rounds)
    loads.append(os.getloadavg()[0])
    busy = "; ".join(f"load {load:.1f} {when}" for load, when in zip(loads, ("before", "at the end"), strict=True))
    lines = [*table(times), "", f"{arguments.rounds} rounds on {os.cpu_count()} processors; {busy}."]
    print("\n".join(lines), flush=True)  # noqa: T201 (this is the result)


def _managed_fits(arena: Arena) -> bool:
    """Tell whether the server that is there is one that `release` would take as it is: it is not ours to replace."""
    client = docker.from_env()
    settings = load(arena.configured(f"{arena.host}/any"), {}, {})
    found = [c for c in client.containers.list() if c.name == BUILDKIT_CONTAINER]
    return bool(found) and _serves(found[0].labels, settings, client)


def _serves(labels: Mapping[str, str], settings: Settings, client: docker.DockerClient) -> bool:
    server = buildkitd.wanted(settings, read_info(client.info()), local=True)
    return server.serves(labels, str(client.images.get(BUILDKIT).id))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in sockets]


def _await(place: str) -> None:
    host, _, port = place.partition(":")
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port))).close()
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on {place}")


def _output(*words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program that must succeed; return what it printed."""
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
