"""What these tests share with those of tests/unit."""

from tests.unit.conftest import docker_config, server

__all__ = ["docker_config", "server"]
