"""Compose files: after those of shops, forums and monitors that are public, with what compose fills in."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from multiarch.adoption.interpolation import UnsetError, interpolate, read_dotenv
from tests.unit.adoption.adopted import adopt

if TYPE_CHECKING:
    from tests.unit.project import Project

# The project of a test has no programs.
PATH = os.environ["PATH"]
COMPOSE = """\
name: shop
x-build: &build
  args: &args
    NODE_ENV: production
    RETRIES: 3
    RATE: 1.20
  platforms: [linux/amd64, linux/arm64]
services:
  db:
    image: postgres:17
  base:
    build:
      context: base
  web:
    image: "ghcr.io/someone/web:${TAG:-1.4}"
    build:
      <<: *build
      context: ./web
      additional_contexts:
        base: service:base
      args:
        - VERSION=${VERSION:?set it}
        - PRICE=5$$
        - HOST_ONLY
        - REGION=${REGION}
      x-bake:
        tags: ["ghcr.io/someone/web:${TAG:-1.4}", "ghcr.io/someone/web:latest"]
        platforms: [linux/arm/v7]
  worker:
    image: shop-worker
    build: {context: worker, dockerfile: docker/Dockerfile, target: run, args: *args, platforms: [arm64], network: host}
"""


def test_services_become_targets(project: Project) -> None:
    """Variables, anchors, lists and maps, x-bake and a service as context; what is not sure is not written."""
    files = {"compose.yaml": COMPOSE, ".env": "REGION=eu-1 # for all\n", "base/": "", "web/": ""}
    told = adopt(project, files | {"worker/docker/": ""})
    assert (
        """\
multiarch:
  targets:
    base:
      tags: []
      platforms: [linux/amd64, linux/arm64, linux/arm/v7]
      context: base
    web:
      image: ghcr.io/someone/web
      tags: ["1.4", latest]
      platforms: [linux/amd64, linux/arm64, linux/arm/v7]
      context: web
      contexts:
        base: target:base
      build_args:
        PRICE: "5$"
        REGION: eu-1
    worker:
      platforms: [linux/arm64]
      context: worker
      dockerfile: worker/docker/Dockerfile
      target: run
      build_args:
        NODE_ENV: production
        RETRIES: "3"
"""
        == told.settings
    )
    assert [
        "compose.yaml:13 -> multiarch.targets.base.context",
        "compose.yaml:7 -> multiarch.targets.base.platforms",
        "compose.yaml:20 -> multiarch.targets.base.tags",
        "compose.yaml:27 -> multiarch.targets.web.image",
        "compose.yaml:27 -> multiarch.targets.web.tags",
        "compose.yaml:7 -> multiarch.targets.web.platforms",
        "compose.yaml:18 -> multiarch.targets.web.context",
        "compose.yaml:23 -> multiarch.targets.web.build_args",
        "compose.yaml:20 -> multiarch.targets.web.contexts",
        "compose.yaml:31 -> multiarch.targets.worker.platforms",
        "compose.yaml:31 -> multiarch.targets.worker.context",
        "compose.yaml:31 -> multiarch.targets.worker.dockerfile",
        "compose.yaml:31 -> multiarch.targets.worker.target",
        "compose.yaml:4 -> multiarch.targets.worker.build_args",
    ] == told.sources
    nowhere = "nothing names a repository; without one, a release goes to the embedded registry"
    unset, machine = "${VERSION} is set by nothing that is here", "it has no value here; compose takes the machine's"
    assert [
        f"targets.base.image: not sure: {nowhere}",
        f"compose.yaml:22: targets.web.build_args.VERSION: not sure: {unset}",
        f"compose.yaml:24: targets.web.build_args.HOST_ONLY: not sure: {machine}",
        "compose.yaml:30: targets.worker.image: not sure: shop-worker names no repository that can be pushed to",
        "compose.yaml:6: targets.worker.build_args.RATE: not sure: it is no text; quote it",
        "compose.yaml:31: targets.worker.network: not sure: there is no setting that means the same",
        "targets.worker.tags: not sure: nothing names a tag; the usual one is latest",
    ] == told.doubts
    assert 0 == project.run("--dry", "release").status


def test_one_service_is_the_image_of_the_project(project: Project) -> None:
    """Without targets; secrets of variables and files are named, not read."""
    told = adopt(
        project,
        {
            "docker-compose.yml": "services:\n  app:\n    image: someone/app:2\n    build:\n      context: .\n"
            "      platforms: ['linux/amd64', 'linux/riscv64']\n      secrets: [npm, {source: token}]\n"
            "      ssh: [default]\n      pull: true\n"
            "secrets:\n  npm: {file: ./npmrc}\n  token: {environment: TOKEN}\n",
            "Dockerfile": "",
        },
    )
    assert (
        """\
multiarch:
  image: docker.io/someone/app
  tags: ["2"]
  platforms: [linux/amd64, linux/riscv64]
  secrets:
    npm: file:./npmrc
    token: env:TOKEN
  ssh: [default]
  pull: true
"""
        == told.text
    )
    assert [] == told.doubts


def test_what_git_ignores_is_not_copied(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``.env`` that is this machine's own may hold what nobody else should read."""
    monkeypatch.setenv("PATH", PATH)
    subprocess.run(["git", "init", "--quiet", project.path], check=True)
    compose = "services: {app: {image: 'someone/app:${TAG:-1}', build: {context: ., args: ['TOKEN=${TOKEN}']}}}\n"
    files = {"compose.yml": compose, ".env": "TOKEN=hunter2\n", ".gitignore": ".env\n", "Dockerfile": ""}
    told = adopt(project, files)
    assert 'multiarch:\n  image: docker.io/someone/app\n  tags: ["1"]\n' == told.settings
    assert "compose.yml:1: build_args.TOKEN: not sure: ${TOKEN} is set by nothing that is here" in told.doubts


def test_two_services_of_one_image_are_one(project: Project) -> None:
    """Web and worker run the same image with other commands; others that have its tag only keep their own build."""
    told = adopt(
        project,
        {
            "compose.yaml": "services:\n"
            "  web: {image: someone/app, build: .}\n"
            "  worker: {image: someone/app, build: .}\n"
            "  admin: {image: someone/app, build: admin}\n",
            "Dockerfile": "",
            "admin/": "",
        },
    )
    assert (
        """\
multiarch:
  targets:
    web:
      image: docker.io/someone/app
      tags: [latest]
    admin:
      context: admin
"""
        == told.settings
    )
    assert "compose.yaml:4: targets.admin.image: not sure: docker.io/someone/app:latest is of web too" in told.doubts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a$$b", "a$b"),
        ("$A-${A}", "1-1"),
        ("${B:-x${A}y}", "x1y"),
        ("${E-unset}", ""),
        ("${E:-empty}", "empty"),
        ("${A:+set}", "set"),
        ("${A:?no}", "1"),
    ],
)
def test_variables_are_filled_in_as_compose_does(text: str, expected: str) -> None:
    """Compose specification, "Interpolation"."""
    assert expected == interpolate(text, {"A": "1", "E": ""})


@pytest.mark.parametrize("text", ["$B", "${B}", "${B:?set it}", "${E:?set it}", "${A", "${A%x}", "$", "${B:-${C}}"])
def test_what_nothing_sets_is_not_made_up(text: str) -> None:
    """Compose takes an empty text, and warns."""
    with pytest.raises(UnsetError):
        interpolate(text, {"A": "1", "E": ""})


def test_defaults_in_defaults_end() -> None:
    """However deep a hostile file goes."""
    with pytest.raises(UnsetError, match="nested too deeply"):
        interpolate("${A:-" * 5000 + "}" * 5000, {})


def test_dotenv_is_read_as_compose_does() -> None:
    """Quotes, comments and export; what depends on other variables is left out."""
    text = 'A=1\nexport B = \'x # y\' # c\nC="a b"\nD=x # c\n# E=1\nF=${A}\nG="\\n"\nA=2\n'
    assert {"A": "2", "B": "x # y", "C": "a b", "D": "x"} == read_dotenv(text)


def test_file_that_compose_joins_with_it_is_named(project: Project) -> None:
    """Its values would win, and none of them is read."""
    files = {"compose.yaml": "services: {app: {image: a/b, build: .}}\n", "Dockerfile": "FROM scratch\n"}
    override = {"docker-compose.override.yaml": "services: {app: {image: c/d}}\n"}
    said = "compose.yaml: docker-compose.override.yaml, which compose joins with it, is not read"
    assert said not in adopt(project, files).doubts
    assert said in adopt(project, {**files, **override}).doubts
