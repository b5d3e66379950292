"""Addresses of BuildKit servers: where ours listens, and whether one answers."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit.server import SOCKET, wanted
from multiarch.config.settings import BUILDKIT_CONTAINER
from multiarch.errors import (
    BuilderUnreachableError,
    NoBuilderError,
)

if TYPE_CHECKING:
    from docker.models.containers import Container

    from multiarch.config.settings import Settings
    from multiarch.docker_host import DockerHost


CONTAINER_ADDRESS = f"docker-container://{BUILDKIT_CONTAINER}"


def running_address(settings: Settings, host: DockerHost) -> str:
    """Return where to build: BUILDKIT_HOST, else our running server.

    :raises NoBuilderError: neither is there.
    """
    if settings.buildkit_host:
        return settings.buildkit_host
    # Asked again: a shell is opened after a build, which may have taken an hour, and the server with it.
    container = host.find(BUILDKIT_CONTAINER, again=True)
    if container is None or container.status != "running":
        raise NoBuilderError
    return _address(container)


def check_address(address: str, host: DockerHost) -> None:
    """See whether somebody is at an address, before a build waits for them; what buildctl alone can dial is not tried.

    :raises BuilderUnreachableError: nobody is.
    """
    scheme, _, rest = address.partition("://")
    try:
        if scheme == "unix":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(rest)
        elif scheme == "tcp":
            name, _, port = rest.rpartition(":")
            socket.create_connection((name.strip("[]"), int(port)), timeout=5).close()
        elif scheme == "docker-container" and not host.is_running(rest):
            raise BuilderUnreachableError(address, "no such container is running on the Docker host")
    except (OSError, ValueError) as error:
        raise BuilderUnreachableError(address, getattr(error, "strerror", None) or str(error)) from None


def dry_address(settings: Settings) -> str:
    """Return the address that `start_buildkit` would return on a local Linux Docker host."""
    directory = wanted(settings, {"Architecture": ""}, local=True).sockets
    automatic = f"unix://{directory / SOCKET}" if directory else CONTAINER_ADDRESS
    return settings.buildkit_host or settings.address or automatic


def _address(container: Container) -> str:
    """Prefer the socket; where Docker's file system is not this one (a VM, a CI container), go through Docker."""
    for mount in container.attrs["Mounts"]:
        path = Path(str(mount.get("Source", ""))) / SOCKET
        if mount.get("Destination") == "/run/buildkit" and os.access(path, os.R_OK | os.W_OK) and path.is_socket():
            return f"unix://{path}"
    return CONTAINER_ADDRESS
