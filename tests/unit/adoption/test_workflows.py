"""Workflows with docker's actions: after those in the actions' own manuals and of public projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multiarch.adoption.builds import Text
from multiarch.adoption.metadata_action import templates
from tests.unit.adoption.adopted import adopt

if TYPE_CHECKING:
    from tests.unit.project import Project

RELEASE = """\
name: release
on:
  push:
    branches: [main]
    tags: ["v*"]
env:
  REGISTRY: ghcr.io
  IMAGE_NAME: someone/app
jobs:
  image:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - id: meta
        uses: docker/metadata-action@v5
        with:
          images: |
            docker.io/someone/app
            ${{ env.REGISTRY }}/${{ env.IMAGE_NAME }}
          tags: |
            type=schedule
            type=ref,event=branch
            type=semver,pattern={{version}}
            type=semver,pattern={{major}}.{{minor}}
            type=sha
            type=raw,value=edge,enable={{is_default_branch}}
            type=raw,value=x,enable=${{ github.ref == 'refs/heads/x' }}
      - name: Test
        uses: docker/build-push-action@v6
        with:
          context: test
          load: true
      - uses: docker/build-push-action@v6
        with:
          context: "{{defaultContext}}"
          file: docker/Dockerfile
          platforms: linux/amd64,linux/arm64
          push: ${{ github.event_name != 'pull_request' }}
          tags: ${{ steps.meta.outputs.tags }}
          labels: ${{ steps.meta.outputs.labels }}
          build-args: |
            CHANNEL=stable
            COMMIT=${{ github.sha }}
          cache-from: type=gha
"""
FILE = ".github/workflows/release.yml"
RUNTIME = "is known only while the workflow runs"


def test_actions_become_settings(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags become the placeholders that mean the same; a test build is none; expressions have no value."""
    told = adopt(project, {FILE: RELEASE, "docker/": "", "Dockerfile": ""})
    assert (
        """\
multiarch:
  image: [docker.io/someone/app, ghcr.io/someone/app]
  tags: ["{branch}", "{semver}", "{major}.{minor}", "sha-{sha}", "edge if default-branch", "latest if highest"]
  platforms: [linux/amd64, linux/arm64]
  dockerfile: docker/Dockerfile
  build_args:
    CHANNEL: stable
"""
        == told.settings
    )
    assert [
        f"{FILE}:18 -> multiarch.image",
        f"{FILE}:22 -> multiarch.tags",
        f"{FILE}:37 -> multiarch.platforms",
        f"{FILE}:36 -> multiarch.dockerfile",
        f"{FILE}:42 -> multiarch.build_args",
    ] == told.sources
    raw = "type=raw,value=x,enable=${{ github.ref == 'refs/heads/x' }}: it is not for every build"
    assert [
        f"{FILE}:21: tags: not sure: type=schedule: no placeholder means the same",
        f"{FILE}:27: tags: not sure: {raw}, and no condition means the same",
        f"{FILE}:43: build_args.COMMIT: not sure: its value {RUNTIME}",
        f"{FILE}:40: labels: not sure: of metadata-action only commit and repository are set, in a CI",
        f"{FILE}:44: cache-from: not sure: it is not taken",
    ] == told.doubts
    for name, value in {"GITHUB_ACTIONS": "true", "GITHUB_REF_TYPE": "branch", "GITHUB_REF_NAME": "main"}.items():
        monkeypatch.setenv(name, value)
    released = project.run("--dry", "release")
    assert (0, True) == (released.status, "docker.io/someone/app:main" in released.out[-1]), released


def test_the_workflow_that_github_offers(project: Project) -> None:
    """Its image is the repository's name, which is known only there; a matrix of platforms is not evaluated."""
    told = adopt(
        project,
        {
            FILE: "env: {REGISTRY: ghcr.io, IMAGE: '${{ github.repository }}'}\njobs:\n  a:\n    steps:\n"
            "      - uses: docker/build-push-action@v6\n        with:\n          push: true\n"
            "          platforms: ${{ matrix.platform }}\n"
            "          tags: ${{ env.REGISTRY }}/${{ env.IMAGE }}:latest\n",
            "Dockerfile": "",
        },
    )
    assert "multiarch:\n" == told.settings
    assert [
        f"{FILE}:9: tags: not sure: ghcr.io/${{{{ env.IMAGE }}}}:latest {RUNTIME}",
        f"{FILE}:8: platforms: not sure: ${{{{ matrix.platform }}}} {RUNTIME}",
        "image: not sure: nothing names a repository; without one, a release goes to the embedded registry",
    ] == told.doubts


def test_two_images_become_targets_and_two_workflows_agree(project: Project) -> None:
    """Where two workflows tag the same image otherwise, neither is believed."""
    step = (
        "      - uses: docker/build-push-action@v6\n        with: {push: true, platforms: 'linux/amd64,linux/s390x', "
    )
    told = adopt(
        project,
        {
            ".github/workflows/a.yml": "jobs:\n  both:\n    steps:\n"
            f"{step}context: app, tags: 'someone/app:1'}}\n{step}context: worker, tags: 'someone/worker:1'}}\n",
            ".github/workflows/b.yml": f"jobs:\n  n:\n    steps:\n{step}context: app, tags: 'someone/app:nightly'}}\n",
            "app/": "",
            "worker/": "",
        },
    )
    assert (
        """\
multiarch:
  targets:
    app:
      image: docker.io/someone/app
      platforms: [linux/amd64, linux/s390x]
      context: app
    worker:
      image: docker.io/someone/worker
      tags: ["1"]
      platforms: [linux/amd64, linux/s390x]
      context: worker
"""
        == told.settings
    )
    says = ".github/workflows/b.yml:5 says otherwise"
    assert [f".github/workflows/a.yml:5: targets.app.tags: not sure: {says}"] == told.doubts


def test_a_workflow_with_the_commands_of_a_script(project: Project) -> None:
    """Literals of its environment are filled in; what GitHub fills in is not sure."""
    told = adopt(
        project,
        {
            FILE: "jobs:\n  a:\n    env: {IMAGE: someone/app}\n    steps:\n      - run: |\n"
            "          docker run -d moby/buildkit --oci-worker-platform=linux/amd64 --oci-worker-platform=arm64\n"
            "          docker manifest create ${{ env.IMAGE }}:2 ${{ env.IMAGE }}:${{ github.sha }}\n",
            "Dockerfile": "",
        },
    )
    assert (
        """\
multiarch:
  image: docker.io/someone/app
  tags: ["2"]
  platforms: [linux/amd64, linux/arm64]
"""
        == told.settings
    )
    assert [f"{FILE}:7 -> multiarch.image", f"{FILE}:7 -> multiarch.tags", f"{FILE}:6 -> multiarch.platforms"] == (
        told.sources
    )
    assert 0 == project.run("--dry", "release").status


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("type=semver,pattern={{version}}", "{semver}"),
        ("type=semver,pattern=v{{major}}", "v{major}"),
        ("type=semver,pattern={{raw}}", "{tag}"),
        ("type=ref,event=branch,suffix=-dev", "{branch}-dev"),
        ("type=ref,event=tag", "{tag}"),
        ("type=sha,prefix=", "{sha}"),
        ("type=raw,value=stable", "stable"),
        ("stable", "stable"),
        ("type=raw,value=latest", "latest if any"),
        ("type=raw,value=latest,enable={{is_default_branch}}", "latest if default-branch"),
        ("type=edge", "edge if default-branch"),
    ],
)
def test_a_line_of_tags_has_its_placeholder(line: str, expected: str) -> None:
    """As the README of the action describes it."""
    found, problems = templates([Text(line, 3)], [Text("latest=false", 1)], 1)
    assert ([Text(expected, 3)], []) == (found, problems)


@pytest.mark.parametrize(
    "line",
    [
        "type=ref,event=pr",
        "type=sha,format=long",
        "type=edge,branch=main",
        "type=match,pattern=v(.*)",
        "type=semver,pattern={{version}},value=${{ inputs.v }}",
        "type=semver,pattern={{date 'YYYY'}}",
        "type=raw,value={{branch}}-x",
        "type=raw,value=${{ github.ref }}",
        "type=raw,value=latest,enable=${{ github.ref == 'refs/heads/main' }}",
        "type=ref,event=branch,prefix={{sha}}-",
    ],
)
def test_a_line_that_means_something_else_gives_no_tag(line: str) -> None:
    """It is told, with its line."""
    found, problems = templates([Text(line, 3)], [Text("latest=false", 1)], 1)
    assert ([], [3]) == (found, [problem.line for problem in problems])


def test_no_tags_are_the_usual_ones_of_the_action() -> None:
    """Branch and tag; that it moves latest with any git tag is told."""
    found, problems = templates([], [], 7)
    assert ([Text("{branch}", 7), Text("{tag}", 7)], [7]) == (found, [problem.line for problem in problems])
    assert ([], [2]) == (
        templates([], [Text("suffix=-x", 2)], 7)[0],
        [templates([], [Text("suffix=-x", 2)], 7)[1][0].line],
    )
