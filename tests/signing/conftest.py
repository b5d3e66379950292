"""Fixtures: keys, a registry, and a project whose images are staged there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.signing.parts import DEBIAN, Keys, Project, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A pair of keys."""
    return Keys.make(tmp_path_factory.mktemp("keys") / "pair")


@pytest.fixture
def registry(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Registry]:
    """A registry; Debian's, unless a test names the kind."""
    registry = Registry(tmp_path / "registry", getattr(request, "param", DEBIAN)).start()
    yield registry
    registry.end()


@pytest.fixture
def project(tmp_path: Path, registry: Registry, keys: Keys) -> Project:
    """A project with two images that are staged, and not published yet."""
    (tmp_path / "project").mkdir()
    project = Project(tmp_path / "project", registry, keys)
    project.write()
    registry.stage("amd64", "arm64")
    return project
