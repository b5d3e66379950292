"""What these tests share with those of tests/unit."""

from tests.unit.conftest import cache, docker_config, project, server

__all__ = ["cache", "docker_config", "project", "server"]
