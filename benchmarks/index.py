"""The index of images that are in a registry already, beside other tools.

Every run is a process, or as many as the tool needs, from nothing to a tag that is new in a registry 50 ms away; what
it published is checked.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from benchmarks.arena import away, output, registry
from benchmarks.images import published, push_image
from benchmarks.peers import OURS, STATE, TASKS, Commands, Job, contestants, plain_environment
from benchmarks.race import Case, race, say
from benchmarks.table import Bar, Goal, Table, Taken, middle, runs_of
from multiarch.image.platform import Platform
from multiarch.registry.client import Registry
from multiarch.retry import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.table import Times
    from multiarch.image.manifest import Manifest

ROUND_TRIP = 0.05
REPOSITORY = "bench/app"
NAMES = ("amd64", "arm64", "arm/v7", "arm/v6", "386", "s390x", "ppc64le", "riscv64")
PLATFORMS = tuple(Platform.parse(f"linux/{name}") for name in NAMES)
COUNTS = {"3 platforms": 3, "8 platforms": 8}
GOALS = {"3 platforms": 0.50, "8 platforms": 0.35}  # of the best peer
FAR, NEAR = "50 ms away", "nearby"


def run(commands: Commands, configuration: str) -> float:
    """Run commands in a new directory with this invoke.yaml; return the seconds that they took."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "tasks.py").write_text(TASKS)
        Path(folder, "invoke.yaml").write_text(configuration)
        env = plain_environment() | {name: str(Path(folder, path)) for name, path in STATE.items()}
        began = time.perf_counter()
        for words in commands:
            output(*words, cwd=Path(folder), env=env)
        return time.perf_counter() - began


def publish(
    commands: Callable[[Job], Commands],
    count: int,
    manifests: Mapping[Platform, Manifest],
    registry: Registry,
    places: Mapping[str, str],
) -> Mapping[str, Taken]:
    """Let a tool publish an index of so many images in each place; return what that took.

    :param places: by what it is called, the ``host:port`` of the registry.
    """
    taken = {}
    for kind, host in places.items():
        job = Job(f"{host}/{REPOSITORY}", f"t{secrets.token_hex(6)}", PLATFORMS[:count])
        for platform in job.platforms:
            registry.put_manifest(REPOSITORY, f"{job.tag}-{platform.slug}", manifests[platform])
        taken[kind] = Taken(run(commands(job), job.configuration))
        expected = {platform: manifests[platform].digest for platform in job.platforms}
        actual = published(registry, REPOSITORY, job.tag)
        if expected != actual:
            raise SystemExit(f"{commands(job)[0][0]} published {actual} instead of {expected}")
    return taken


def table(times: Times, name: str) -> Table:
    """Return the table of a case: medians, how they compare to the best peer's, and the round trips in the fastest."""
    far, near = f"{name}, {FAR}", f"{name}, {NEAR}"
    medians = {one: middle(runs) for (case, one), runs in times.items() if case == far}
    best = min((one for one in medians if one != OURS), key=lambda one: medians[one])
    goal = Goal(GOALS[name], of=best)
    rows, bars = [], []
    for one, seconds in medians.items():
        distant, nearby = ([taken.seconds for taken in times[place, one]] for place in (far, near))
        numbers = [
            f"{number:.2f}" for number in (seconds, min(distant), max(distant), seconds / medians[best], min(nearby))
        ]
        judged = goal.judged(one, medians) if one == OURS else ""
        rows.append([one, *numbers, f"{(min(distant) - min(nearby)) / ROUND_TRIP:.1f}", judged])
        bars.append(Bar(one, seconds, f"{seconds:.2f} s", goal.most * medians[best] if one == OURS else None))
    header = ["", "seconds", "fastest", "slowest", "of the best peer", "fastest nearby", "round trips", "goal"]
    return Table(name, header, rows, {name: bars}, [f"Medians of {runs_of(len(times[far, OURS]))}."])


def probe(host: str) -> tuple[float, float]:
    """Return the seconds of a first request, with its connection, and of a second."""
    with requests.Session() as session:
        marks = [time.perf_counter()]
        for _ in range(2):
            session.get(f"http://{host}/v2/", timeout=10)
            marks.append(time.perf_counter())
    return marks[1] - marks[0], marks[2] - marks[1]


def measure(rounds: int) -> Sequence[Table]:
    """Return a table for each number of platforms."""
    tools = contestants()
    with registry() as host, away([host], 0) as near, away([host], ROUND_TRIP) as far:
        client = Registry(host, Policy(), say)
        manifests = {platform: push_image(host, REPOSITORY, platform) for platform in PLATFORMS}
        places = {FAR: next(iter(far)), NEAR: next(iter(near))}
        first, second = probe(places[FAR])
        cases = []
        for name, count in COUNTS.items():
            runs = {
                one: partial(publish, commands, count, manifests, client, places) for one, commands in tools.items()
            }
            cases.append(Case(name, runs))
        times = race(cases, rounds)
    tables = [table(times, name) for name in COUNTS]
    proxy = f"{first * 1000:.0f} ms for a first request, {second * 1000:.0f} ms for the next"
    trips = f"Round trips are (fastest - fastest nearby) / {ROUND_TRIP} s. The proxy: {proxy}."
    return [*tables[:-1], replace(tables[-1], notes=[*tables[-1].notes, trips])]
