"""How long it takes to publish the index of images that are there, beside other tools: ``python -m benchmarks.index``.

Every run is a process, or as many as the tool needs, from nothing to a tag that is new in a registry 50 ms away; what
it published is checked. The contestants take turns, each round in another order; the first round is not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import requests

from benchmarks.delay import delayed
from benchmarks.images import published, push_image
from benchmarks.peers import OURS, STATE, TASKS, Commands, Job, contestants, plain_environment
from multiarch.image.platform import Platform
from multiarch.registry.client import Registry
from multiarch.retry import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from multiarch.image.manifest import Manifest

ROUND_TRIP = 0.05
REPOSITORY = "bench/app"
NAMES = ("amd64", "arm64", "arm/v7", "arm/v6", "386", "s390x", "ppc64le", "riscv64")
PLATFORMS = tuple(Platform.parse(f"linux/{name}") for name in NAMES)
COUNTS = (3, 8)
# By contestant, number of platforms, and seconds of a round trip: the seconds of each run.
Times = dict[tuple[str, int, float], list[float]]


@contextlib.contextmanager
def registry_container() -> Iterator[str]:
    """Run an empty registry; yield its ``host:port``."""
    name = f"bench-registry-{secrets.token_hex(3)}"
    _output("docker", "run", "--detach", "--name", name, "--publish", "127.0.0.1::5000", "registry:2")
    try:
        host = _output("docker", "port", name, "5000").splitlines()[0]
        for _ in range(100):
            with contextlib.suppress(requests.RequestException):
                requests.get(f"http://{host}/v2/", timeout=5)
                break
            time.sleep(0.1)
        yield host
    finally:
        _output("docker", "rm", "--force", "--volumes", name)


def run(commands: Commands, configuration: str) -> float:
    """Run commands in a new directory with this invoke.yaml; return the seconds that they took."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "tasks.py").write_text(TASKS)
        Path(folder, "invoke.yaml").write_text(configuration)
        env = plain_environment() | {name: str(Path(folder, path)) for name, path in STATE.items()}
        began = time.perf_counter()
        for words in commands:
            _output(*words, cwd=folder, env=env)
        return time.perf_counter() - began


def race(
    tools: Mapping[str, Callable[[Job], Commands]],
    manifests: Mapping[Platform, Manifest],
    registry: Registry,
    places: Mapping[float, str],
    rounds: int,
) -> Times:
    """Let all contestants do all jobs, in rounds.

    :param places: by seconds of a round trip, the ``host:port`` that is so far away.
    """
    times: Times = {}
    for number in range(rounds + 1):
        shift = number % len(tools)
        order = [*tools.items()][shift:] + [*tools.items()][:shift]
        for count in COUNTS:
            for away, host in places.items():
                for name, commands in order:
                    job = Job(f"{host}/{REPOSITORY}", f"t{secrets.token_hex(6)}", PLATFORMS[:count])
                    for platform in job.platforms:
                        registry.put_manifest(REPOSITORY, f"{job.tag}-{platform.slug}", manifests[platform])
                    seconds = run(commands(job), job.configuration)
                    expected = {platform: manifests[platform].digest for platform in job.platforms}
                    actual = published(registry, REPOSITORY, job.tag)
                    if expected != actual:
                        raise SystemExit(f"{name} published {actual} instead of {expected}")
                    if number:
                        times.setdefault((name, count, away), []).append(seconds)
        _say(f"round {number} of {rounds}" + ("" if number else " (warm-up)"))
    return times


def table(times: Times, names: Sequence[str], count: int) -> list[str]:
    """Return the lines of a table: medians, how they compare to the best peer's, and the round trips in the fastest."""
    middle = {name: median(times[name, count, ROUND_TRIP]) for name in names}
    best = min(middle[name] for name in names if name != OURS)
    lines = [
        f"| {count} platforms | seconds | fastest, slowest | of the best peer | fastest without delay | round trips |",
        f"|---|{'---:|' * 5}",
    ]
    for name in names:
        fastest, slowest = min(times[name, count, ROUND_TRIP]), max(times[name, count, ROUND_TRIP])
        near = min(times[name, count, 0.0])
        cells = [name, f"{middle[name]:.2f}", f"{fastest:.2f}, {slowest:.2f}", f"{middle[name] / best:.2f}"]
        lines.append(f"| {' | '.join(cells)} | {near:.2f} | {(fastest - near) / ROUND_TRIP:.1f} |")
    return [*lines, ""]


def probe(host: str) -> tuple[float, float]:
    """Return the seconds of a first request, with its connection, and of a second."""
    with requests.Session() as session:
        marks = [time.perf_counter()]
        for _ in range(2):
            session.get(f"http://{host}/v2/", timeout=10)
            marks.append(time.perf_counter())
    return marks[1] - marks[0], marks[2] - marks[1]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: %(default)s)")
    rounds = parser.parse_args().rounds
    tools = contestants()
    with registry_container() as host, delayed(host, 0.0) as near, delayed(host, ROUND_TRIP) as far:
        registry = Registry(host, Policy(), _say)
        manifests = {platform: push_image(host, REPOSITORY, platform) for platform in PLATFORMS}
        first, second = probe(far)
        times = race(tools, manifests, registry, {ROUND_TRIP: far, 0.0: near}, rounds)
    lines = [line for count in COUNTS for line in table(times, [*tools], count)]
    lines += [f"Medians of {rounds} runs; round trips are (fastest - fastest without delay) / {ROUND_TRIP} s."]
    lines += [f"The proxy: {first * 1000:.0f} ms for a first request, {second * 1000:.0f} ms for the next."]
    print("\n".join(lines), flush=True)  # noqa: T201 (this is the result)


def _output(*words: str, cwd: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program that must succeed; return what it printed."""
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
