"""Parts and jobs: made once, in order, side by side, and again only when the recipe changes."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab import gitlab_ci_local, golang, plan
from lab.commands import run
from lab.errors import LabError
from lab.jobs import Job, run_jobs
from lab.parts import Part
from lab.paths import SOURCE
from lab.progress import duration

if TYPE_CHECKING:
    from collections.abc import Callable


def make(folder: Path) -> str:
    """Make the simplest part there is."""
    (folder / "thing").write_text("made")
    return "1.0"


PART = Part(name="some/part", make=make, recipe=("a", "b"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the parts of a test in a folder of its own."""
    monkeypatch.setattr("lab.parts.PARTS", tmp_path)
    return tmp_path


def test_the_stamp_is_of_the_recipe_alone() -> None:
    """The same recipe has the same stamp; any change of it, or of a needed part, another one."""
    assert PART.stamp() == replace(PART, after=("something",)).stamp()
    others = [
        replace(PART, recipe=("ab",)),
        replace(PART, name="other"),
        replace(PART, files=("errors.py",)),
        replace(PART, needs=(PART,)),
        replace(PART, needs=(replace(PART, recipe=()),)),
    ]
    assert len(others) + 1 == len({part.stamp() for part in [PART, *others]})


def test_a_part_is_made_once(folder: Path) -> None:
    """Once made it is fresh, until its recipe changes."""
    assert not PART.fresh()
    assert "1.0" == PART.build()
    assert PART.fresh()
    assert ("1.0", "made") == (PART.version(), (folder / "some_part/thing").read_text())
    assert not replace(PART, recipe=("c",)).fresh()
    assert not replace(PART, intact=lambda _: False).fresh()


def test_a_failure_leaves_the_part_as_it_was(folder: Path) -> None:
    """What could not be made does not take the place of what is there."""

    def fail(new: Path) -> str:
        (new / "half").touch()
        raise LabError("no")

    PART.build()
    with pytest.raises(LabError):
        replace(PART, make=fail).build()
    assert PART.fresh()
    assert not (folder / "some_part/half").exists()


def job(name: str, work: Callable[[], str], *needs: str, due: bool = True) -> Job:
    """Make a job out of a function."""
    return Job(name, lambda: due, work, needs)


def test_jobs_wait_for_those_they_need() -> None:
    """A job starts after its needs; one that is not due does nothing and holds nobody up."""
    order: list[str] = []

    def note(name: str) -> Callable[[], str]:
        def work() -> str:
            order.append(name)
            return name

        return work

    jobs = [job("a", note("a")), job("b", note("b"), "a", due=False), job("c", note("c"), "b")]
    assert 2 == run_jobs(jobs)
    assert ["a", "c"] == order


def test_jobs_without_needs_run_side_by_side() -> None:
    """Two jobs that wait for each other's start both get done."""
    meeting = threading.Barrier(2, timeout=5)

    def meet() -> str:
        meeting.wait()
        return "met"

    assert 2 == run_jobs([job("a", meet), job("b", meet)])


def test_a_failure_ends_the_other_jobs() -> None:
    """The first failure is raised, a command that runs is ended, and what waits is not begun."""
    begun: list[str] = []

    def fail() -> str:
        raise LabError("out of luck")

    def last() -> str:
        begun.append("last")
        return "made"

    jobs = [job("long", lambda: run(["sleep", "60"])), job("bad", fail), job("last", last, "bad")]
    with pytest.raises(LabError, match="out of luck"):
        run_jobs(jobs)
    assert [] == begun
    assert "on\n" == run(["echo", "on"])


def test_a_failed_command_shows_its_last_lines() -> None:
    """The error names the program, its exit and what it said."""
    with pytest.raises(LabError, match=r"sh .* failed \(exit 3\):\n  why"):
        run(["sh", "-c", "echo why >&2; exit 3"])


def test_a_version_of_go_is_read_from_what_it_prints() -> None:
    """Releases, release candidates and nonsense."""
    assert (1, 26, 3) == golang.parse_version("go version go1.26.3 linux/amd64")
    assert (1, 27) == golang.parse_version("go version go1.27rc1 linux/amd64")
    assert () == golang.parse_version("command not found")
    assert golang.parse_version("go version go1.19.8 linux/amd64") < golang.MINIMUM


def test_gitlab_ci_local_is_locked() -> None:
    """Each package that npm installs has a checksum; it is made on first need, and no part of a Docker host."""
    (lock,) = [json.loads((SOURCE / name).read_text()) for name in gitlab_ci_local.PART.files if "-lock" in name]
    installed = {name: package for name, package in lock["packages"].items() if name}
    assert ["node_modules/gitlab-ci-local"] == list(installed)
    assert [True] == [package["integrity"].startswith("sha512-") for package in installed.values()]
    assert gitlab_ci_local.PART not in plan.PARTS


def test_gitlab_ci_local_is_made_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its command is that of the part, which is made where it is missing, and again where files of it are gone."""

    def pretend(new: Path) -> str:
        (new / "node_modules/gitlab-ci-local/dist").mkdir(parents=True)
        (new / "node_modules/gitlab-ci-local/dist/index.js").touch()
        (new / "node").touch()
        made.append(new)
        return "1"

    made: list[Path] = []
    monkeypatch.setattr("lab.lock.CACHE", folder)
    monkeypatch.setattr(gitlab_ci_local, "PART", replace(gitlab_ci_local.PART, make=pretend))
    expected = [
        str(folder / "gitlab-ci-local" / name) for name in ("node", "node_modules/gitlab-ci-local/dist/index.js")
    ]
    assert [expected, expected] == [gitlab_ci_local.command(), gitlab_ci_local.command()]
    assert 1 == len(made)
    Path(expected[0]).unlink()
    assert expected == gitlab_ci_local.command()
    assert 2 == len(made)


def test_the_plan_names_needs_before_what_needs_them() -> None:
    """The runner relies on this order."""
    known: set[str] = set()
    for planned in plan.jobs():
        assert set() == set(planned.needs) - known
        known.add(planned.name)


def test_the_mirror_offers_the_official_names() -> None:
    """Each repository that a release pulls from is a part."""
    expected = {
        "arm32v7/busybox",
        "docker/dockerfile",
        "library/busybox",
        "library/registry",
        "linuxkit/binfmt",
        "moby/buildkit",
        "tonistiigi/binfmt",
    }
    parts = {part.name: part for part in plan.PARTS}
    assert expected == {name for name in parts if "/" in name}
    assert {"latest", "v0.32.2", "buildx-stable-1"} <= set(parts["moby/buildkit"].recipe)
    assert {"latest", "v0.6"} <= set(parts["linuxkit/binfmt"].recipe)
    assert {"latest", "2"} <= set(parts["library/registry"].recipe)
    assert {"latest", "1"} <= set(parts["docker/dockerfile"].recipe)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.04, "0.0 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s")]
)
def test_a_duration_reads_like_a_stopwatch(seconds: float, expected: str) -> None:
    """Short spans to the tenth, long ones in minutes."""
    assert expected == duration(seconds)
