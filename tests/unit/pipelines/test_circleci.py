"""Workflows of CircleCI, by what is written alone: nothing runs them outside of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.unit.pipelines.files import ASSETS, FAR, GRID, NATIVE, PAIR, PLAIN, VARIED, merged, parsed

if TYPE_CHECKING:
    from pathlib import Path


def test_the_references_of_circleci(tmp_path: Path) -> None:
    """CircleCI refuses a workflow with a job, a parameter or a requirement that is not declared."""
    for block in (PLAIN, VARIED, NATIVE, FAR, PAIR, GRID, ASSETS):
        file = parsed("circleci", tmp_path, **block)
        for workflow in file["workflows"].values():
            entries = [(name, values) for entry in workflow["jobs"] for name, values in entry.items()]
            names = {values.get("name", name) for name, values in entries}
            for name, values in entries:
                declared = file["jobs"][name].get("parameters", {})
                passed = set(values) - {"name", "filters", "requires"}
                needed = {parameter for parameter, declaration in declared.items() if "default" not in declaration}
                assert needed <= passed <= set(declared)
                assert set(values.get("requires", [])) <= names
        for job in file["jobs"].values():
            used = set(re.findall(r"<< parameters\.(\w+) >>", str(job)))
            assert set(job.get("parameters", {})) == used


def test_what_circleci_publishes(tmp_path: Path) -> None:
    """The branches of the settings, and tags; anything else is built and pushed nowhere."""
    file = parsed("circleci", tmp_path, **VARIED)
    release, check = (file["workflows"][name]["jobs"] for name in ("multiarch", "multiarch-check"))
    only = {"branches": {"only": ["trunk", "release/1"]}, "tags": {"only": "/.*/"}}
    assert [only] * 5 == [next(iter(entry.values()))["filters"] for entry in release]
    assert [("none", {"branches": {"ignore": ["trunk", "release/1"]}})] * 4 == [
        (entry["multiarch-build"]["output"], entry["multiarch-build"]["filters"]) for entry in check
    ]
    assert "<< pipeline.number >>" == file["jobs"]["multiarch-build"]["environment"]["INVOKE_MULTIARCH_BUILD"]


def test_a_projects_circleci_file_stays(tmp_path: Path) -> None:
    """Its workflows and jobs; and a context that it gives to ours, by which organisations share secrets."""
    existing = "version: 2.1\njobs:\n  test: # quick\n    docker: [{image: x}]\nworkflows:\n  release: {jobs: [test]}\n"
    file = merged(tmp_path, "circleci", existing)
    assert (["test"], True) == (file.data["workflows"]["release"]["jobs"], "test: # quick" in file.text)
    edited = re.sub(r"( +)platform: linux/arm64\n", r"\g<0>\1context: hub\n", file.text)
    jobs = merged(tmp_path, "circleci", edited, platforms=["arm64"]).data["workflows"]["multiarch"]["jobs"]
    assert ["hub", None] == [next(iter(job.values())).get("context") for job in jobs]
