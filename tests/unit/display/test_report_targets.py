"""The report of several images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from multiarch.config.project import load_project
from multiarch.display import report
from multiarch.display.summary import summarise
from tests.unit.display.test_summary import solve
from tests.unit.legs import leg
from tests.unit.rawjson import vertex

if TYPE_CHECKING:
    from multiarch.buildkit.solve import Solve

BLOCK = {
    "image": "docker.io/someone/{target}",
    "tags": ["latest", "1.0"],
    "platforms": ["linux/amd64", "linux/arm64"],
    "targets": {
        "base": {"context": "base", "tags": []},
        "files": {"context": "files", "tags": [], "platforms": ["linux/amd64"]},
        "app": {"contexts": {"base": "target:base", "src": "target:files"}},
        "worker": {"contexts": {"base": "target:base"}, "platforms": ["linux/amd64"], "tags": ["w"]},
    },
    "groups": {"default": ["app", "worker"]},
}


def data_of(*solves: Solve, task: str = "release") -> dict[str, Any]:
    """Return the report of a run for app and worker on an amd64 machine."""
    project = load_project(BLOCK, {}, {})
    rows = summarise(project.matrix, solves, {}, "x86_64")
    made = report.report_of(project, solves, rows, "x86_64", task=task, started=0.0, finished=20.0)
    data: dict[str, Any] = json.loads(json.dumps(made.as_data()))
    return data


def test_solve_names_what_each_of_its_platforms_is_built_on() -> None:
    """By its platform too: a base of one platform serves all. The timeline draws an arrow for each."""
    legs = leg("amd64", "app"), leg("arm64", "app")
    base, app = data_of(solve((leg("amd64", "base"),)), solve(legs))["solves"]
    assert ("base", [], ["base linux/amd64"]) == (base["target"], base["built_on"], base["platforms"])
    assert ("app", ["app linux/amd64", "app linux/arm64"]) == (app["target"], app["platforms"])
    assert [
        {"platform": "linux/amd64", "context": "base", "target": "base", "base_platform": "linux/amd64"},
        {"platform": "linux/arm64", "context": "base", "target": "base", "base_platform": "linux/arm64"},
        {"platform": "linux/amd64", "context": "src", "target": "files", "base_platform": "linux/amd64"},
        {"platform": "linux/arm64", "context": "src", "target": "files", "base_platform": "linux/amd64"},
    ] == app["built_on"]


def test_target_has_its_own_tags() -> None:
    """Not those of another one; one that others are built on has none that moves."""
    assert [
        {"name": "base", "images": ["docker.io/someone/base"], "tags": []},
        {"name": "files", "images": ["docker.io/someone/files"], "tags": []},
        {"name": "app", "images": ["docker.io/someone/app"], "tags": ["latest", "1.0"]},
        {"name": "worker", "images": ["docker.io/someone/worker"], "tags": ["w"]},
    ] == data_of()["targets"]
    assert ["latest-amd64", "latest-arm64"] == data_of(task="build-arch")["targets"][2]["tags"]


def test_images_and_tags_are_those_of_all_that_is_published() -> None:
    """As of one image, for programs that know nothing of targets."""
    data = data_of()
    assert (["docker.io/someone/app", "docker.io/someone/worker"], ["latest", "1.0", "w"]) == (
        data["images"],
        data["tags"],
    )


def test_retries_are_counted_within_a_target() -> None:
    """Attempts of another target on the same platform are none of this one's."""
    legs = [leg("amd64", target) for target in ("base", "app", "base", "worker", "base")]
    assert [0, 0, 1, 0, 2] == [one["retries"] for one in data_of(*(solve((one,)) for one in legs))["solves"]]


def test_advice_tells_targets_apart() -> None:
    """Two images may have the same instruction, which is slow in both."""
    line = vertex("a", "[2/3] RUN make", seconds=4), vertex("a", "[2/3] RUN make", seconds=8)
    advice = data_of(solve((leg("arm64", "base"),), line[0]), solve((leg("arm64", "app"),), line[1]))["advice"]
    assert [("app", "linux/arm64", 8.0), ("base", "linux/arm64", 4.0)] == [
        (one["target"], one["platform"], round(one["seconds"], 3)) for one in advice
    ]
