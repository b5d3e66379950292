"""The examples of the repository, released as they are."""

from __future__ import annotations

import secrets
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import REGISTRY, ROOT, Project
from tests.integration.docker_host import docker

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["one-image", "app-and-worker", "versions-and-flavours"]


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A copy of an example, in a repository of its own."""
    path = tmp_path / f"example-{secrets.token_hex(3)}"
    shutil.copytree(ROOT / "examples" / request.param, path)
    file = path / "invoke.yaml"
    file.write_text(file.read_text().replace(f"{REGISTRY}/{request.param}", f"{REGISTRY}/{path.name}"))
    return Project(path)


def said(platform: str, reference: str, *words: str) -> str:
    """Return what an image says."""
    return docker("run", "--rm", "--pull", "always", "--quiet", "--platform", platform, reference, *words)


@pytest.mark.parametrize("example", ["one-image"], indirect=True)
def test_one_image(example: Project) -> None:
    """Each platform's image tells its own machine."""
    example.ok("release")
    assert "armv7l" == said("linux/arm/v7", f"{example.image}:latest")


@pytest.mark.parametrize("example", ["app-and-worker"], indirect=True)
def test_app_and_worker(example: Project) -> None:
    """Both are built on the base of their platform."""
    assert 4 == len(example.ok("release"))
    assert "app 1.0 for aarch64" == said("linux/arm64", f"{example.image}/app:1.0")
    assert "worker 1.0 for x86_64" == said("linux/amd64", f"{example.image}/worker:latest")
    assert 2 == len(example.ok("release", "--target", "worker"))


@pytest.mark.usefixtures("embedded")
@pytest.mark.parametrize("example", ["versions-and-flavours"], indirect=True)
def test_versions_and_flavours(example: Project) -> None:
    """24 tags on 4 indexes; the aliases are of the right ones."""
    published = dict(line.split("@") for line in example.ok("release"))
    assert (24, 4) == (len(published), len(set(published.values())))
    assert "tool 1.27 on bookworm" == said("linux/amd64", f"{example.image}:latest", "cat", "/version")
    assert "tool 1.26 on alpine3.24" == said("linux/arm64", f"{example.image}:1.26.7-alpine", "cat", "/version")
    assert 4 == len(example.ok("release", "--target", "tool-1.26-bookworm"))
