"""What the benchmark of growth measures is what a release does: its inputs are read, to their end."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from benchmarks import scaling
from multiarch.config.project import load_project
from multiarch.registry.client import Registry
from multiarch.retry import Policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.registry_server import RegistryServer


def log_of(folder: Path) -> list[str]:
    """Return the log of the one vertex in the report."""
    page = (folder / "report.html").read_text()
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match
    (solve,) = json.loads(match[1])["solves"]
    (step,) = solve["steps"]
    log: list[str] = step["log"]
    return log


@pytest.mark.parametrize(
    ("write", "count", "expected"),
    [
        (scaling.redrawn, 3, ["   42%|################                      | 42.0/100 MB  3.1 MB/s  eta 0:00:18"]),
        (scaling.lines, 200, ["gcc -O2 -Wall -c -o build/module.o source/module.c"] * 200),
    ],
)
def test_logs_reach_the_report(
    tmp_path: Path, write: Callable[[Path, int], None], count: int, expected: list[str]
) -> None:
    """Through the process that stands for buildctl, its states, and the vertex."""
    write(tmp_path / "input", count)
    scaling.follow(tmp_path / "input")
    assert expected == log_of(tmp_path)


def test_one_line_is_that_long(tmp_path: Path) -> None:
    """It comes in pieces of 32 KiB, as BuildKit sends them, and nothing ends it."""
    scaling.endless(tmp_path / "input", 2)
    states = [json.loads(line) for line in (tmp_path / "input").read_text().splitlines()]
    assert (66, {43692}) == (len(states), {len(state["logs"][0]["data"]) for state in states[1:-1]})


def test_a_layer_is_read_to_its_end(tmp_path: Path) -> None:
    """The program that is looked for is in none of its files."""
    scaling.layer(tmp_path / "input", 250)
    scaling.search(tmp_path / "input")


def test_each_entry_of_an_index_is_read(server: RegistryServer, tmp_path: Path) -> None:
    """All of them are images of their own, which the inspection asks the registry for."""
    scaling.entries(Registry(server.host, Policy(), print), tmp_path / "input", 3)
    before = len(server.requests)
    scaling.inspect(tmp_path / "input")
    manifests = {request.path for request in server.requests[before:] if "/manifests/sha256:" in request.path}
    assert 3 == len(manifests)


def test_chained_targets_are_built_on_each_other(tmp_path: Path) -> None:
    """Each on the one before, so that their order is the only one."""
    scaling.chain(tmp_path / "input", 4)
    project = load_project(json.loads((tmp_path / "input").read_text()), {}, {})
    assert [("t0", {}), ("t1", {"base": "t0"}), ("t2", {"base": "t1"}), ("t3", {"base": "t2"})] == [
        (target.name, dict(target.bases)) for target in project
    ]
