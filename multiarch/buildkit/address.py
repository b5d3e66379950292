"""The address of the local BuildKit server, as BUILDKIT_HOST takes it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit.builder import dial
from multiarch.buildkit.server import SOCKET, wanted
from multiarch.docker_info import HostInfo
from multiarch.errors import NoBuilderError

if TYPE_CHECKING:
    from docker.models.containers import Container

    from multiarch.config.settings import Settings
    from multiarch.docker_host import DockerHost

_THROUGH_DOCKER = "docker-container://"


def running_server(settings: Settings, host: DockerHost) -> Container | None:
    """Return our running server: the one that fits the settings, else the first; None where none runs."""
    # Asked again: a shell is opened after a build, which may have taken an hour, and the server may have ended since.
    server = wanted(settings, host.info, local=host.is_local)
    first = host.find(server.name, again=True)
    if first is not None and first.status == "running" and server.serves(first.labels, None):
        return first
    apart = server.apart()
    own = host.find(apart.name, again=True)
    if own is not None and own.status == "running" and apart.serves(own.labels, None):
        return own
    return first if first is not None and first.status == "running" else None


def running_address(settings: Settings, host: DockerHost) -> str:
    """Return the address of the local builder: BUILDKIT_HOST, else our running server.

    :raises NoBuilderError: neither is there.
    """
    if settings.builder.host:
        return settings.builder.host
    container = running_server(settings, host)
    if container is None:
        raise NoBuilderError
    return container_address(container, host)


def dry_address(settings: Settings) -> str:
    """Return the address that the server would have on a local Linux Docker host."""
    server = wanted(settings, HostInfo(machine=""), local=True)
    automatic = f"unix://{server.sockets / SOCKET}" if server.sockets else f"{_THROUGH_DOCKER}{server.name}"
    return settings.builder.host or settings.builder.address or automatic


def asked_address(settings: Settings, container: Container) -> str | None:
    """Return the address of the settings, None without one; through Docker, it is that of the container that serves."""
    address = settings.builder.address
    through_docker = address and address.startswith(_THROUGH_DOCKER)
    return f"{_THROUGH_DOCKER}{container.name}" if through_docker else address


def container_address(container: Container, host: DockerHost) -> str:
    """Return the address of our server: its socket where it answers on this machine, else through Docker.

    The directory may be another machine's, or of a kind that carries no sockets; or its socket is left of a server that
    is gone.
    """
    for mount in container.attrs["Mounts"]:
        if mount["Destination"] == "/run/buildkit" and host.is_local:
            path = Path(mount["Source"]) / SOCKET
            with contextlib.suppress(OSError, ValueError):
                dial(path)
                return f"unix://{path}"
    return f"{_THROUGH_DOCKER}{container.name}"
