"""Builders: whether one listens, and what buildctl needs to reach it."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.buildkit.address import container_address
from multiarch.buildkit.builder import Builder
from multiarch.docker_host import DockerHost
from multiarch.errors import ConfigurationError
from multiarch.retry import Policy
from tests.unit.docker_daemon import Daemon

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry_server import RegistryServer


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> DockerHost:
    """A Docker host on this machine, which need not answer."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    return DockerHost(Policy(attempts=1), print)


@pytest.mark.parametrize(
    ("address", "program"),
    [
        ("docker-container://buildkit", "docker"),
        ("podman-container://buildkit", "podman"),
        ("kube-pod://buildkit", "kubectl"),
        ("ssh://me@box", "ssh"),
    ],
)
def test_missing_command_of_an_address_is_named(
    host: DockerHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, program: str
) -> None:
    """At once: buildctl would try for as long as retries last."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        Builder(address).check(host)
    expected = f"PATH: buildctl reaches {address} through the {program} command, which is not there: install it, or"
    assert str(caught.value).startswith(expected)


def test_only_what_docker_reaches_needs_its_environment(host: DockerHost) -> None:
    """A server at another address has nothing to do with Docker, which may be set up wrongly, or not at all."""
    assert (None, None) == (Builder("unix:///x").environ(host), Builder("tcp://x:1").environ(host))
    environ = Builder("docker-container://buildkit").environ(host) or {}
    assert "unix:///nowhere/docker.sock" == environ["DOCKER_HOST"]


def server_with(directory: Path) -> Any:
    """Return a container that has a directory of this machine for its socket."""
    return SimpleNamespace(
        name="buildkit", attrs={"Mounts": [{"Source": str(directory), "Destination": "/run/buildkit"}]}
    )


def test_dead_socket_is_passed_over(server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be left of another server; then ours is reached through Docker."""
    Daemon(server)
    path, docker = tmp_path / "buildkitd.sock", tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{docker}")
    host = DockerHost(Policy(attempts=1), print)
    with server.also_at(docker), socket.socket(socket.AF_UNIX) as listener:
        assert "docker-container://buildkit" == container_address(server_with(tmp_path), host)
        listener.bind(str(path))
        assert "docker-container://buildkit" == container_address(server_with(tmp_path), host)
        listener.listen()
        assert f"unix://{path}" == container_address(server_with(tmp_path), host)
        host.client.close()


def test_socket_of_this_machine_is_no_other_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of the same name on another machine is not this one, whose socket may be of a server here."""
    monkeypatch.setenv("DOCKER_HOST", "ssh://box")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "buildkitd.sock"))
        listener.listen()
        other = DockerHost(Policy(attempts=1), print)
        assert "docker-container://buildkit" == container_address(server_with(tmp_path), other)
