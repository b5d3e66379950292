"""What ``--only-changed`` says of a target after everything that may happen to it: it never leaves one out wrongly."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from msgspec.structs import replace

from multiarch.config.checkout import REVISION
from multiarch.image.manifest import OCI_INDEX
from multiarch.publish import changes
from tests.exhaustive.changes_table import CASES, OK, Case
from tests.exhaustive.released import GIT, Released, commit_of, git
from tests.unit.project import NO_DOCKER, Project
from tests.unit.registry_server import RegistryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

# Each case that was run, with what was said.
ROWS: list[tuple[str, str, str]] = []


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print the cases when they have been run."""
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{'case':<58}{'expected':<11}{'said':<11}reason")
        for name, expected, said in ROWS:
            words = [text if text == OK else "changed" for text in (expected, said)]
            print(f"{name:<58}{words[0]:<11}{words[1]:<11}{said if said != OK else ''}")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Released]:
    """A project that was released."""
    server = RegistryServer().start()
    path = tmp_path_factory.mktemp("first") / "project"
    path.mkdir()
    former = Path.cwd()
    os.chdir(path)
    with mock.patch.dict(os.environ, GIT):
        os.environ.pop("SOURCE_DATE_EPOCH", None)
        yield Released.create(path, server)
    os.chdir(former)
    server.stop()


@pytest.fixture
def released(first: Released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Released]:
    """A copy of it, which is the working directory. Registry and variables are as before afterwards."""
    shutil.copytree(first.path, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(tmp_path / "project")
    contents = dict(first.server.contents)
    with mock.patch.dict(os.environ):
        yield Released(tmp_path / "project", first.server, copy.deepcopy(first.written))
    first.server.start()
    first.server.contents = contents


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_target_is_left_out_only_where_nothing_it_is_built_from_has_changed(
    released: Released, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each case says in one line why."""
    case.happens(released)
    monkeypatch.chdir(released.path)
    verdict = released.verdicts()["app"]
    said = (verdict.reason or OK).replace(released.server.host, "HOST")
    said = re.sub(r"sha256:[0-9a-f]{64}", "DIGEST", said).replace(str(released.path), "PROJECT")
    ROWS.append((case.name, case.expected, said))
    assert 1 == len(said.splitlines())
    assert case.expected == said


CI = {"TRAVIS": "true", "TRAVIS_BUILD_NUMBER": "7", "TRAVIS_BRANCH": "main", "TRAVIS_PULL_REQUEST": "false"}


@pytest.fixture
def alone(released: Released, docker_config: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The same project with no Docker host and no BuildKit; its registry is not one that the tool starts."""
    monkeypatch.setenv("DOCKER_HOST", NO_DOCKER)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (released.path / "invoke.yaml").write_text(json.dumps({"multiarch": {**released.written, "dest": "nowhere"}}))
    (released.path / "tasks.py").write_text("from multiarch import ns\n")
    return Project(released.path)


def moved(server: RegistryServer) -> list[str]:
    """Return what was written to the registry under a tag, or as a manifest."""
    return [request for request in server.asked if request.startswith("PUT") and "/manifests/" in request]


def test_release_of_what_has_not_changed_needs_no_builder(released: Released, alone: Project) -> None:
    """Its line says since when; the tags are where they belong, and nothing is written."""
    index = released.verdicts()["app"].index
    digest = index.digest if index else ""
    released.server.requests.clear()
    result = alone.invoke("release")
    place = f"{released.server.host}/app:latest"
    assert (0, [f"{place}@{digest}"]) == (result.status, result.out), result.err
    assert ["app: unchanged"] == result.err[:1]
    assert [] == moved(released.server)


def test_new_tags_of_what_has_not_changed_go_to_its_index(released: Released, alone: Project) -> None:
    """It stays what it is, byte for byte, with the record and the commit that it was built from."""
    old = released.server.contents["/v2/app/manifests/latest"]
    result = alone.invoke("release", "--target", "app", "--tag", "1.1", "--tag", "1")
    assert 0 == result.status, result.err
    held = [released.server.contents[f"/v2/app/manifests/{tag}"] for tag in ("1.1", "1")]
    assert [old, old] == held


def test_what_has_not_changed_keeps_its_commit(
    released: Released, alone: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate of the commit is for what is built; without the flag it refuses the same images."""
    for name, value in CI.items():
        monkeypatch.setenv(name, value)
    released.environ |= CI
    released.config = {"config": {"Labels": {REVISION: git(released.path, "rev-parse", "HEAD")}}}
    released.release()
    released.write("docs/index.md", "# More\n")
    released.commit()
    result = alone.invoke("release")
    assert 0 == result.status, result.err
    assert "app: unchanged" in result.err


@pytest.mark.parametrize("name", ["app/main.py", "app/Dockerfile", "base/Dockerfile"])
def test_nothing_is_recorded_of_files_that_were_written_to_meanwhile(released: Released, name: str) -> None:
    """What the build has read of them nobody knows."""
    project, commit = released.project, commit_of(released.path)
    found = {"app": replace(released.verdicts()["app"], reason="other files", index=None)}
    found["base"] = released.verdicts()["base"]
    assert found == changes.confirmed(project, found, commit)
    released.write(name, "something else")
    assert {} == changes.confirmed(project, found, commit)["app"].inputs


@pytest.mark.parametrize("gate", ["dropped", "config"])
def test_what_has_not_changed_passes_the_other_gates(released: Released, alone: Project, gate: str) -> None:
    """A tag loses no platform to it, and an image of another platform than it says is refused."""
    if gate == "config":
        released.config = {"architecture": "arm64"}
        released.release()
    else:
        index = json.loads(released.server.contents["/v2/app/manifests/latest"][1])
        other = {**index["manifests"][0], "platform": {"os": "linux", "architecture": "arm64"}}
        released.server.hold_manifest("app", "1", {**index, "manifests": [other]}, OCI_INDEX)
    before = dict(released.server.contents)
    result = alone.invoke("release", "--target", "app", "--tag", "latest", "--tag", "1")
    expected = {
        "dropped": "gate 'nothing is dropped': HOST/app:1 has linux/arm64 today",
        "config": "gate 'the config matches': HOST/app:latest",
    }[gate]
    assert (1, []) == (result.status, result.out)
    assert expected in result.err[-1].replace(released.server.host, "HOST")
    assert before == released.server.contents


def test_what_has_changed_is_built(released: Released, alone: Project) -> None:
    """Here there is nothing to build it with, which is an error; and no tag moves."""
    released.write("app/main.py", "new\n")
    released.server.requests.clear()
    result = alone.invoke("release")
    assert (1, []) == (result.status, result.out)
    assert [f"app: changed: {released.server.host}/app:latest was built from other inputs: context"] == result.err[:1]
    assert [] == moved(released.server)


def test_dry_run_asks_nobody_and_shows_all(released: Released, alone: Project) -> None:
    """What is left out, the registry would have to say."""
    released.server.requests.clear()
    shown = alone.invoke("--dry", "release", "--only-changed")
    assert 0 == shown.status, shown.err
    assert [] == released.server.asked
    assert 2 == len([line for line in shown.out if " build --frontend " in line])
