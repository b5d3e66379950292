"""The connection to the Docker host: what is said when there is none to be had."""

from __future__ import annotations

import gc
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import docker
import pytest

from multiarch.docker_host import DockerHost
from multiarch.errors import DockerPermissionError
from multiarch.retry import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be a user who may not do everything: root passes every permission."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_socket_that_may_not_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon listens, and this user may not connect: the line says how to be allowed."""
    path = tmp_path / "docker.sock"
    host = DockerHost(Policy(seconds=0.0), print)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o000)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        # The SDK is imported before, because another user may not be able to read it.
        assert docker.__version__
        with unprivileged():
            said = _refusal(host)
    gc.collect()
    assert (
        f"permission denied on the Docker socket unix://{path}: add this user to the docker group"
        " (sudo usermod -aG docker $USER, then log in again) or use sudo"
    ) == said


def _refusal(host: DockerHost) -> str:
    """Return what is said of a host that may not be used; its traceback, and the socket in it, end here."""
    with pytest.raises(DockerPermissionError) as caught:
        host.client.ping()
    return str(caught.value)
