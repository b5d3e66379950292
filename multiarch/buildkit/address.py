"""The address of the local BuildKit server, as BUILDKIT_HOST takes it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit.builder import dial
from multiarch.buildkit.server import SOCKET, wanted
from multiarch.config.settings import BUILDKIT_CONTAINER
from multiarch.docker_info import HostInfo
from multiarch.errors import NoBuilderError

if TYPE_CHECKING:
    from docker.models.containers import Container

    from multiarch.config.settings import Settings
    from multiarch.docker_host import DockerHost

CONTAINER_ADDRESS = f"docker-container://{BUILDKIT_CONTAINER}"


def running_address(settings: Settings, host: DockerHost) -> str:
    """Return the address of the local builder: BUILDKIT_HOST, else our running server.

    :raises NoBuilderError: neither is there.
    """
    if settings.builder.host:
        return settings.builder.host
    # Asked again: a shell is opened after a build, which may have taken an hour, and the server may have ended since.
    container = host.find(BUILDKIT_CONTAINER, again=True)
    if container is None or container.status != "running":
        raise NoBuilderError
    return container_address(container, host)


def dry_address(settings: Settings) -> str:
    """Return the address that the server would have on a local Linux Docker host."""
    directory = wanted(settings, HostInfo(machine=""), local=True).sockets
    automatic = f"unix://{directory / SOCKET}" if directory else CONTAINER_ADDRESS
    return settings.builder.host or settings.builder.address or automatic


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
    return CONTAINER_ADDRESS
