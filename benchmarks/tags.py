"""Many tags beside one.

Every run is a process of ``manifest``, from nothing to tags that are new in a registry 50 ms away; they are checked.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.arena import away, invoke, registry
from benchmarks.images import published, push_image
from benchmarks.index import ROUND_TRIP, run
from benchmarks.peers import compile_package
from benchmarks.race import Case, race, say
from benchmarks.table import Table, Taken, timed_table
from multiarch.image.platform import Platform
from multiarch.registry.client import Registry
from multiarch.retry import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.image.manifest import Manifest

NAME = "50 ms away"
PLATFORMS = tuple(Platform.parse(f"linux/{name}") for name in ("amd64", "arm64", "arm/v7", "386", "ppc64le", "s390x"))
_VERSIONS = (("1.27", ("1.27.0", "1", "")), ("1.26", ("1.26.7",)))
_FLAVOURS = (("bookworm", ("",)), ("alpine3.24", ("alpine",)))


@dataclass(frozen=True)
class Project:
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
    Project("1 tag on 1 index", {("app", "t0"): {"tags": ["t0"]}}, 1),
    Project("24 tags on 1 index", {("app", "t0"): {"tags": [f"t{number}" for number in range(24)]}}, 24),
    Project("24 tags on 4 indexes", dict.fromkeys(_STAGED, _GRID), 24),
    Project(
        "24 tags on 3 indexes in 3 repositories",
        {(name, "t0"): {"tags": [f"t{number}" for number in range(8)]} for name in ("app", "worker", "tools")},
        24,
    ),
)


def publish(case: Project, manifests: Mapping[Platform, Manifest], near: str, host: str) -> Mapping[str, Taken]:
    """Publish a project's tags; return what that took.

    :param near: the registry, without delay.
    """
    client = Registry(near, Policy(), say)
    mark = f"bench-{secrets.token_hex(4)}"
    for repository, tag in case.targets:
        for platform in PLATFORMS:
            push_image(near, f"{mark}/{repository}", platform)
            client.put_manifest(f"{mark}/{repository}", f"{tag}-{platform.slug}", manifests[platform])
    seconds = run([invoke("manifest")], case.configuration(host, mark))
    _check(case, client, mark)
    return {"": Taken(seconds)}


def _check(case: Project, client: Registry, mark: str) -> None:
    for repository, tag in case.targets:
        if len(published(client, f"{mark}/{repository}", tag)) != len(PLATFORMS):
            raise SystemExit(f"{case.name}: {mark}/{repository}:{tag} was not published")


def measure(rounds: int) -> Sequence[Table]:
    """Return the table of all projects; they take turns as contestants do."""
    compile_package()
    with registry() as near, away([near], ROUND_TRIP) as far:
        manifests = {platform: push_image(near, "bench/app", platform) for platform in PLATFORMS}
        runs = {case.name: partial(publish, case, manifests, near, next(iter(far))) for case in CASES}
        times = race([Case(NAME, runs)], rounds)
    return [timed_table("case", times, CASES[0].name)]
