"""What is left of the tests on a Docker host: nothing, and all that was there before."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.integration.docker_host import DockerState, docker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def name() -> Iterator[str]:
    """A name for containers and images that are somebody else's; they are removed afterwards."""
    name = f"somebody-{secrets.token_hex(4)}"
    yield name
    for suffix in ("", "-later"):
        docker("rm", "--force", "--volumes", name + suffix)
        docker("image", "rm", "--force", f"{name}{suffix}:1")


def test_what_tests_made_is_removed_and_nothing_else(name: str) -> None:
    """A container, a volume, tags and images of the tests go; a tag that they moved names its image again."""
    docker("pull", "--quiet", "--platform", "linux/amd64", "busybox:stable")
    docker("tag", "busybox:stable", f"{name}:1")
    docker("create", "--name", name, "--volume", "/data", "busybox:stable")
    before = DockerState.read()

    docker("create", "--name", "test-registry-0123ab", "--volume", "test-buildkit-0123ab:/data", "busybox:stable")
    docker("tag", "busybox:stable", "127.0.0.1:5001/example:1")
    docker("pull", "--quiet", "--platform", "linux/s390x", "busybox:stable")
    docker("tag", "busybox:stable", "127.0.0.1:5001/example:2")
    docker("pull", "--quiet", "--platform", "linux/ppc64le", "busybox:stable")
    made = before.differences(DockerState.read())
    before.restore()

    assert ["+ containers: test-registry-0123ab", "+ volumes: test-buildkit-0123ab"] == made[:2]
    assert [2, 2] == [sum(line.startswith(kind) for line in made) for kind in ("+ images: ", "+ tags: 127.0.0.1:5001/")]
    assert [] == before.differences(DockerState.read())


def test_what_somebody_else_left_is_told(name: str) -> None:
    """It is not removed; the comparison names it, and what is missing."""
    docker("pull", "--quiet", "busybox:stable")
    docker("create", "--name", name, "busybox:stable")
    before = DockerState.read()
    docker("rm", name)
    docker("create", "--name", f"{name}-later", "--volume", "/data", "busybox:stable")
    docker("tag", "busybox:stable", f"{name}-later:1")
    before.restore()

    lines = before.differences(DockerState.read())
    assert [f"+ containers: {name}-later", f"- containers: {name}"] == lines[:2]
    assert ["+ volumes: ", f"+ tags: {name}-later:1 is "] == [
        re.sub(r"(sha256:)?[0-9a-f]{64}", "", x) for x in lines[2:]
    ]
