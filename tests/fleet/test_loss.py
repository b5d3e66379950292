"""Builders that are lost while they build: the platform goes on elsewhere, and what failed by itself does not."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tests.fleet.parts import commands_of, processes_of, published, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.parts import Builder, Project, Registry

    Start = Callable[[str], Builder]

SLOW = "FROM busybox:stable\nRUN echo begun && sleep {} && echo {} > /once\n"
BOTH = """\
  platforms: [linux/amd64, linux/386]
  builders:
    one: {{address: '{}', jobs: {}}}
    two: {{address: '{}'}}
"""
ONE_OF_TWO = """\
  platforms: [linux/amd64]
  builders:
    one: {{address: '{}'}}
    two: {{address: '{}'}}
"""


def test_platform_goes_on_elsewhere_when_its_builder_is_killed(project: Project, local: Start) -> None:
    """A machine that fails in the middle of a RUN: both platforms are published, and the table says what happened."""
    one, two = local("one"), local("two")
    project.write(SLOW.format(4, "a"), BOTH.format(one.address, 1, two.address))
    run = project.begin("release", "--report", "report.json")
    wait_until(lambda: len(commands_of("sleep 4 &&")) == 2, "both RUNs")
    one.kill()
    result = project.end(run)
    assert 0 == result.status, result.err
    assert [f"{project.image}:latest@{published(project)}"] == result.out
    # What gRPC says of it depends on the moment.
    lost = rf"linux/amd64 │ builder one \({re.escape(one.address)}\) was lost: \S.*; going on on two$"
    assert 1 == len(re.findall(lost, result.err, re.MULTILINE)), result.err
    rows = {row["platform"]: row for row in json.loads((project.path / "report.json").read_text())["platforms"]}
    assert {"linux/amd64": ("two", ["one"]), "linux/386": ("two", [])} == {
        name: (row["builder"], row["lost"]) for name, row in rows.items()
    }
    assert "natively on two; one was lost" in result.err
    assert [] == processes_of(str(one.folder.parent))


def test_all_builders_lost_leaves_the_tags_and_names_each(project: Project, local: Start) -> None:
    """For as long as the policy retries; then the error says what became of each builder."""
    one, two = local("one"), local("two")
    project.write(SLOW.format(0, "a"), BOTH.format(one.address, 1, two.address))
    assert 0 == project.run("release").status
    before = published(project)
    project.write(SLOW.format(5, "b"), BOTH.format(one.address, 1, two.address) + "  retry_seconds: 4\n")
    text = (project.path / "invoke.yaml").read_text().replace("  retry_seconds: 30\n", "")
    (project.path / "invoke.yaml").write_text(text)
    run = project.begin("release")
    wait_until(lambda: len(commands_of("sleep 5 &&")) == 2, "both RUNs")
    one.kill()
    two.kill()
    result = project.end(run)
    assert (1, []) == (result.status, result.out)
    last = result.err.splitlines()[-1]
    assert last.endswith("; nothing was published") and "no builder is left: " in last
    assert ["one", "two"] == sorted(name for name in ("one", "two") if f"{name} does not answer" in last), last
    assert (True, before) == (bool(before), published(project))


def test_builder_that_comes_back_is_used_again(project: Project, local: Start) -> None:
    """The only one of its platform: a restart in the middle of a build is waited for."""
    one = local("one")
    settings = f"  platforms: [linux/amd64]\n  builders:\n    one: {{address: '{one.address}'}}\n"
    project.write(SLOW.format(3, "c"), settings)
    run = project.begin("release")
    wait_until(lambda: bool(commands_of("sleep 3 &&")), "the RUN")
    one.kill()
    one.start()
    result = project.end(run)
    assert 0 == result.status, result.err
    assert "natively on one; one was lost" in result.err


def test_run_that_fails_runs_once_on_one_builder(project: Project, local: Start) -> None:
    """It would fail anywhere: its words are those of the Dockerfile, and no builder's."""
    one, two = local("one"), local("two")
    settings = ONE_OF_TWO.format(one.address, two.address)
    project.write("FROM busybox:stable\nRUN echo ran && echo connection refused && exit 3\n", settings)
    result = project.run("release", "--report", "report.json")
    assert (1, []) == (result.status, result.out)
    assert "exit code: 3" in result.err
    solves = json.loads((project.path / "report.json").read_text())["solves"]
    assert ["one"] == [solve["builder"] for solve in solves]


def test_registry_that_is_down_moves_no_platform(project: Project, registry: Registry, local: Start) -> None:
    """The other builder could not push either: the same one tries again, as long as retries last."""
    one, two = local("one"), local("two")
    settings = ONE_OF_TWO.format(one.address, two.address)
    project.write(SLOW.format(3, "d"), settings)
    run = project.begin("release", "--report", "report.json")
    wait_until(lambda: bool(commands_of("sleep 3 &&")), "the RUN")
    registry.daemon.end()
    wait_until(lambda: len(processes_of("one.sock")) == 0, "the first failure of the push")
    registry.start()
    result = project.end(run)
    assert 0 == result.status, result.err
    solves = json.loads((project.path / "report.json").read_text())["solves"]
    assert {"one"} == {solve["builder"] for solve in solves}
    assert len(solves) > 1
