"""What these tests share, also with those of tests/unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.exhaustive.world import World
from tests.unit.conftest import cache, docker_config, project, server
from tests.unit.registry_server import RegistryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cache", "docker_config", "project", "server"]


@pytest.fixture
def world() -> Iterator[World]:
    """Two registries, and a release staged."""
    world = World(RegistryServer().start(), RegistryServer().start())
    world.stage("new")
    yield world
    for registry in world.servers:
        registry.stop()
