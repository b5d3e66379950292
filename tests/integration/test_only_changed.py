"""`release --only-changed`: what is published as it would be built now is not built, and gets the tags that are due."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.conftest import REGISTRY, Project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Result

SETTINGS = """\
multiarch:
  image: {registry}/{name}/{{target}}
  platforms: [linux/amd64, linux/arm64]
  tags: [latest]
  targets:
    app: {{context: app, contexts: {{base: "target:base"}}}}
    worker: {{context: worker, platforms: [linux/amd64]}}
    base: {{context: base, tags: []}}
  groups: {{default: [app, worker]}}
"""
FILES = {"base": "FROM busybox:stable\n", "app": "FROM base\nCOPY app /app\n", "worker": "FROM busybox:stable\n"}


@pytest.fixture
def pair(project: Project, embedded: None) -> Project:
    """An image on a base without tags, and one of its own."""
    for name, text in FILES.items():
        (project.path / name).mkdir()
        (project.path / name / "Dockerfile").write_text(text)
    (project.path / "app" / "app").write_text("1\n")
    project.write(invoke_yaml=SETTINGS.format(registry=REGISTRY, name=project.path.name))
    return project


def released(project: Project, *words: str) -> Result:
    """Run a release that must succeed."""
    result = project.run("release", *words)
    assert 0 == result.status, result.err
    return result


def verdicts(output: str) -> list[str]:
    """Return what a run said of the targets."""
    return [line for line in output.splitlines() if line.startswith(("app: ", "worker: "))]


def solves(report: Path) -> list[Any]:
    """Return the solves of a run by its report; none where it wrote none."""
    found: list[Any] = json.loads(report.read_text())["solves"] if report.is_file() else []
    return found


def test_only_what_has_changed_is_built(pair: Project) -> None:
    """The first run builds all; then a file of one, a new tag, and the base count as they should, and nothing else."""
    name, report = f"{REGISTRY}/{pair.path.name}", pair.path / "report.json"
    first = released(pair, "--only-changed")
    nothing = [f"{one}: changed: nothing is published under its tags" for one in ("app", "worker")]
    assert nothing == verdicts(first.err)

    again = released(pair, "--only-changed", "--report", "report.json")
    assert ["app: unchanged", "worker: unchanged"] == verdicts(again.err)
    assert ([], first.out) == (solves(report), again.out)

    (pair.path / "app" / "app").write_text("2\n")
    edited = released(pair, "--only-changed", "--report", "report.json")
    reason = f"{name}/app:latest was built from other inputs: context"
    assert [f"app: changed: {reason}", "worker: unchanged"] == verdicts(edited.err)
    assert {"app", "base"} == {platform.split()[0] for solve in solves(report) for platform in solve["platforms"]}
    app, worker = edited.out
    assert worker == first.out[1]

    tagged = released(pair, "--only-changed", "--tag", "2.0", "--tag", "latest", "--target", "app")
    assert ["app: unchanged"] == verdicts(tagged.err)
    assert [app.replace(":latest@", ":2.0@"), app] == tagged.out

    (pair.path / "base" / "Dockerfile").write_text("FROM busybox:stable\nENV A=b\n")
    rebased = released(pair, "--only-changed")
    reason = f"{name}/app:latest was built from other inputs: bases"
    assert [f"app: changed: {reason}", "worker: unchanged"] == verdicts(rebased.err)
