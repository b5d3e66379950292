"""Files of bake: HCL as buildx evaluates it, after that of public projects; JSON as it stands there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.unit.adoption.adopted import Adopted, adopt
from tests.unit.adoption.bake_files import HCL, HCL_SETTINGS, PRINTED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.project import Project

DIRECTORIES = {"base/": "", "app/": "", "worker/": ""}
NOWHERE = "nothing names a repository; without one, a release goes to the embedded registry"


@pytest.fixture
def docker(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker that answers as the one of `PRINTED` did; what it is asked is in the file ``asked`` beside it."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "printed").write_text(PRINTED)
    program = folder / "docker"
    program.write_text(
        f'#!/bin/sh\necho "$@ $TAG" >> {folder}/asked\n'
        f"if [ $2 = bake ]; then /bin/cat {folder}/printed; [ ! -e {folder}/status ]; fi\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("TAG", "of-this-machine")
    return folder


def test_hcl_is_what_buildx_makes_of_it(project: Project, docker: Path) -> None:
    """Variables, functions, a matrix, inherits and a base; no variable of this machine gets in."""
    told = adopt(project, {"docker-bake.hcl": HCL} | DIRECTORIES)
    assert HCL_SETTINGS == told.settings
    assert [
        "docker-bake.hcl:20 -> multiarch.targets.base.context",
        "docker-bake.hcl:22 -> multiarch.targets.base.platforms",
        "docker-bake.hcl:25 -> multiarch.targets.base.tags",
        "docker-bake.hcl:26 -> multiarch.targets.app.image",
        "docker-bake.hcl:26 -> multiarch.targets.app.tags",
        "docker-bake.hcl:22 -> multiarch.targets.app.platforms",
    ] == told.sources[:6]
    assert "docker-bake.hcl:39 -> multiarch.targets.worker-1-27.tags" in told.sources
    assert [
        f"targets.base.image: not sure: {NOWHERE}",
        "docker-bake.hcl:29: targets.app.annotations: not sure: there is no setting that means the same",
    ] == told.doubts
    assert 0 == project.run("--dry", "release").status
    asked = set((docker / "asked").read_text().splitlines())
    assert {"buildx version ", "buildx bake --print -f docker-bake.hcl "} == asked


def test_without_buildx_that_is_said_and_others_count(project: Project) -> None:
    """HCL is not guessed at; the compose file beside it is read."""
    files = {"docker-bake.hcl": HCL, "compose.yaml": "services: {app: {image: someone/app:1, build: app}}\n"}
    told = adopt(project, files | DIRECTORIES)
    assert 'multiarch:\n  image: docker.io/someone/app\n  tags: ["1"]\n  context: app\n' == told.settings
    remedy = "only buildx evaluates it, and docker is not there: install both (nothing is taken from it)"
    assert f"docker-bake.hcl: {remedy}" in told.doubts


def test_what_buildx_says_against_a_file_is_told(project: Project, docker: Path) -> None:
    """In one line."""
    (docker / "status").touch()
    program = docker / "docker"
    program.write_text(
        program.read_text() + "echo '#1 reading' >&2; echo 'ERROR: docker-bake.hcl:1: wrong' >&2; false\n"
    )
    program.write_text(program.read_text().replace("if [ $2 = bake ]", "[ $2 = version ] && exit 0\nif [ $2 = bake ]"))
    told = adopt(project, {"docker-bake.hcl": "oops"} | DIRECTORIES)
    says = "docker buildx bake --print says: ERROR: docker-bake.hcl:1: wrong (nothing is taken from it)"
    assert f"docker-bake.hcl: {says}" in told.doubts


JSON = """\
{
\t"group": {"default": {"targets": ["all"]}, "all": {"targets": ["app"]}},
\t"target": {
\t\t"app": {
\t\t\t"context": "app",
\t\t\t"args": {"A": "yes", "B": null, "C": "env:X", "D": "{sha}"},
\t\t\t"tags": ["someone/app:1.20", "ghcr.io/someone/app:1.20"],
\t\t\t"platforms": ["linux/amd64", "linux/arm64"],
\t\t\t"secret": ["id=token,env=TOKEN", {"id": "npm", "src": "npmrc"}],
\t\t\t"attest": ["type=provenance,mode=max", {"type": "sbom", "disabled": true}],
\t\t\t"cache-from": ["type=gha"],
\t\t\t"no-cache": true
\t\t},
\t\t"other": {"context": "other"}
\t}
}
"""


def test_plain_json_needs_no_buildx(project: Project) -> None:
    """Groups in groups; what is in no default group is not released."""
    told = adopt(project, {"docker-bake.json": JSON} | DIRECTORIES)
    assert (
        """\
multiarch:
  image: [docker.io/someone/app, ghcr.io/someone/app]
  tags: ["1.20"]
  platforms: [linux/amd64, linux/arm64]
  context: app
  build_args:
    A: "yes"
  secrets:
    token: env:TOKEN
    npm: file:npmrc
  no_cache: true
  attestations:
    - provenance: "mode=max"
"""
        == told.settings
    )
    assert [
        "docker-bake.json:6: build_args.B: not sure: its value is no text",
        "docker-bake.json:6: build_args.C: not sure: env:X would be filled in here",
        "docker-bake.json:6: build_args.D: not sure: {sha} would be filled in here",
        "docker-bake.json:11: cache-from: not sure: there is no setting that means the same",
    ] == told.doubts
    assert 0 == project.run("--dry", "release").status


@pytest.mark.parametrize("word", ['"inherits": ["x"]', '"tags": ["a/b:${TAG}"]', '"matrix": {}'])
def test_json_that_only_bake_evaluates_is_not_guessed_at(project: Project, word: str) -> None:
    """Nothing but buildx knows what comes of it."""
    told = adopt(project, {"docker-bake.json": f'{{"target": {{"default": {{{word}}}}}}}', "Dockerfile": ""})
    assert ("multiarch:\n", True) == (told.settings, "only buildx evaluates it" in told.doubts[0] + told.doubts[-1])


def _told(project: Project, text: str) -> Adopted:
    return adopt(project, {"docker-bake.json": text, "Dockerfile": ""})


def test_references_with_different_tags_are_no_product(project: Project) -> None:
    """Ours pushes each tag to each repository."""
    told = _told(project, '{"target": {"default": {"tags": ["someone/app:1", "ghcr.io/someone/app:2"]}}}')
    problem = "docker.io/someone/app and ghcr.io/someone/app do not have the same tags"
    assert ("multiarch:\n", f"docker-bake.json:1: image: not sure: {problem}") == (told.settings, told.doubts[0])


def test_without_a_default_nothing_is_taken(project: Project) -> None:
    """Which targets a release has is not told."""
    told = _told(project, '{"target": {"app": {"tags": ["someone/app:1"]}}}')
    problem = "it has no group or target default, so that it is not told which targets are released"
    assert ("multiarch:\n", True) == (told.settings, f"docker-bake.json: {problem}" in told.doubts)


def test_tags_of_a_workflow_complete_a_target(project: Project) -> None:
    """docker/bake-action gets them from docker/metadata-action; each workflow that is public does it so."""
    workflow = """\
jobs:
  bake:
    steps:
      - uses: docker/metadata-action@v5
        with: {images: someone/app, tags: "type=ref,event=branch", flavor: latest=false}
      - uses: docker/bake-action@v6
        with: {push: true}
"""
    bake = '{"target": {"default": {"platforms": ["linux/amd64", "linux/arm64"]}}}'
    told = adopt(project, {"docker-bake.json": bake, ".github/workflows/ci.yml": workflow, "Dockerfile": ""})
    assert (
        """\
multiarch:
  image: docker.io/someone/app
  tags: ["{branch}"]
  platforms: [linux/amd64, linux/arm64]
"""
        == told.text
    )
    assert [] == told.doubts
