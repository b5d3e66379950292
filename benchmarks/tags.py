"""How long many tags take, beside one: ``python -m benchmarks.tags``.

Every run is a process of ``manifest``, from nothing to tags that are new in a registry 50 ms away; they are checked.
The cases take turns; the first round is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.delay import delayed
from benchmarks.images import published, push_image
from benchmarks.index import ROUND_TRIP, registry_container, run
from benchmarks.peers import compile_package
from multiarch.image.platform import Platform
from multiarch.registry.client import Registry
from multiarch.retry import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.image.manifest import Manifest

PLATFORMS = tuple(Platform.parse(f"linux/{name}") for name in ("amd64", "arm64", "arm/v7", "386", "ppc64le", "s390x"))
_VERSIONS = (("1.27", ("1.27.0", "1", "")), ("1.26", ("1.26.7",)))
_FLAVOURS = (("bookworm", ("",)), ("alpine3.24", ("alpine",)))


@dataclass(frozen=True)
class Case:
    """A project in one repository or several.

    :ivar targets: by repository and staging tag, what invoke.yaml says of a target.
    """

    name: str
    targets: Mapping[tuple[str, str], Mapping[str, Any]]
    tags: int

    def configuration(self, host: str, mark: str) -> str:
        """Return invoke.yaml; JSON is YAML. *mark* begins each repository."""
        targets: dict[str, Any] = {}
        for (repository, _), written in self.targets.items():
            targets[repository] = {"image": f"{host}/{mark}/{repository}", **written}
        return json.dumps({"multiarch": {"platforms": [str(p) for p in PLATFORMS], "targets": targets}})


def _axis(name: str, values: Sequence[tuple[str, Sequence[str]]]) -> list[dict[str, Any]]:
    return [{name: value, "aliases": list(aliases)} for value, aliases in values]


_GRID = {
    "tags": ["{version}-{flavour}"],
    "matrix": {"version": _axis("version", _VERSIONS), "flavour": _axis("flavour", _FLAVOURS)},
}
_STAGED = [("golang", f"{version}-{flavour}") for version, _ in _VERSIONS for flavour, _ in _FLAVOURS]
CASES = (
    Case("1 tag on 1 index", {("app", "t0"): {"tags": ["t0"]}}, 1),
    Case("24 tags on 1 index", {("app", "t0"): {"tags": [f"t{number}" for number in range(24)]}}, 24),
    Case("24 tags on 4 indexes", dict.fromkeys(_STAGED, _GRID), 24),
    Case(
        "24 tags on 3 indexes in 3 repositories",
        {(name, "t0"): {"tags": [f"t{number}" for number in range(8)]} for name in ("app", "worker", "tools")},
        24,
    ),
)


def race(manifests: Mapping[Platform, Manifest], near: str, host: str, rounds: int) -> dict[str, list[float]]:
    """Let all cases have their turns; return the seconds of each run.

    :param near: the registry, without delay.
    """
    times: dict[str, list[float]] = {case.name: [] for case in CASES}
    registry = Registry(near, Policy(), _say)
    for number in range(rounds + 1):
        for case in CASES[number % len(CASES) :] + CASES[: number % len(CASES)]:
            mark = f"bench-{secrets.token_hex(4)}"
            for repository, tag in case.targets:
                for platform in PLATFORMS:
                    push_image(near, f"{mark}/{repository}", platform)
                    name = f"{tag}-{platform.slug}"
                    registry.put_manifest(f"{mark}/{repository}", name, manifests[platform])
            seconds = run([[sys.executable, "-m", "invoke", "manifest"]], case.configuration(host, mark))
            _check(case, registry, mark)
            if number:
                times[case.name].append(seconds)
            _say(f"{number} {case.name}: {seconds:.2f}")
    return times


def _check(case: Case, registry: Registry, mark: str) -> None:
    for repository, tag in case.targets:
        if len(published(registry, f"{mark}/{repository}", tag)) != len(PLATFORMS):
            raise SystemExit(f"{case.name}: {mark}/{repository}:{tag} was not published")


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count (default: %(default)s)")
    rounds = parser.parse_args().rounds
    compile_package()
    with registry_container() as near, delayed(near, ROUND_TRIP) as far:
        manifests = {platform: push_image(near, "bench/app", platform) for platform in PLATFORMS}
        times = race(manifests, near, far, rounds)
    lines = ["| case | median seconds | fastest, slowest | of one tag |", "|---|---:|---:|---:|"]
    one = median(times[CASES[0].name])
    for name, runs in times.items():
        lines.append(f"| {name} | {median(runs):.2f} | {min(runs):.2f}, {max(runs):.2f} | {median(runs) / one:.2f} |")
    lines += ["", f"{rounds} rounds on {os.cpu_count()} processors; load {os.getloadavg()[0]:.1f} at the end."]
    print("\n".join(lines), flush=True)  # noqa: T201 (this is the result)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
