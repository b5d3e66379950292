"""What several of the unit tests stand on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.project import NO_DOCKER, Project
from tests.unit.registry_server import RegistryServer
from tests.unit.staging import AMD64, ARM, ARM64, image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own; and nothing is remembered from one test to the next."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    """A registry that listens."""
    server = RegistryServer()
    yield server.start()
    server.stop()


@pytest.fixture
def staged(server: RegistryServer) -> dict[str, dict[str, Any]]:
    """What build-arch pushed: an image for each platform, by architecture."""
    return {
        "amd64": image(server, AMD64, "latest-amd64"),
        "arm64": image(server, ARM64, "latest-arm64"),
        "arm": image(server, ARM, "latest-arm-v7"),
    }


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which ``docker login`` stores; nothing in it yet."""
    directory = tmp_path / "docker"
    directory.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    return directory / "config.json"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The working directory: a project without a matrix, on a machine without Docker, programs and settings."""
    path = tmp_path / "some_server"
    path.mkdir()
    monkeypatch.chdir(path)
    for name in list(os.environ):
        if name.startswith(("INVOKE_", "DOCKER_", "BUILDKIT_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DOCKER_HOST", NO_DOCKER)
    monkeypatch.setenv("PATH", "")
    # Below /proc not even root can make directories, which would be there for all tests that follow.
    monkeypatch.setenv("HOME", "/proc/nowhere/home")
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere/state")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere/cache")
    project = Project(path)
    project.write(tasks_py="from multiarch import ns\n", Dockerfile="FROM busybox\n")
    return project
