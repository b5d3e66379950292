"""The fixtures of a Docker host that the tests leave as it was."""

from __future__ import annotations

from tests.integration.conftest import docker_host, registry

__all__ = ["docker_host", "registry"]
