"""Builders: the addresses of BuildKit servers, as BUILDKIT_HOST takes them, and whether one answers there."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit.server import SOCKET, wanted
from multiarch.config.settings import BUILDKIT_CONTAINER
from multiarch.errors import BuilderUnreachableError, NoBuilderError
from multiarch.image.platform import runs_natively

if TYPE_CHECKING:
    from docker.models.containers import Container

    from multiarch.config.settings import MatrixEntry, Settings
    from multiarch.docker_host import DockerHost
    from multiarch.image.platform import Platform

CONTAINER_ADDRESS = f"docker-container://{BUILDKIT_CONTAINER}"
_DIAL_SECONDS = 5.0  # a server on the same machine or network answers at once


@dataclass(frozen=True)
class Builder:
    """A BuildKit that builds platforms.

    :ivar address: as BUILDKIT_HOST takes it; empty while it is not started.
    :ivar machine: the kernel's name of its machine (``uname -m``); None for a native builder, which emulates nothing.
    """

    address: str
    machine: str | None = None

    def emulates(self, platform: Platform) -> bool:
        """Whether *platform*'s programs run under an emulator here."""
        return self.machine is not None and not runs_natively(platform, self.machine)

    def flags(self) -> list[str]:
        """Return the flags of buildctl that choose this builder."""
        return ["--addr", self.address]

    def check(self, host: DockerHost) -> None:
        """Check that a server listens, before a build waits for it; addresses that buildctl alone can dial pass.

        :raises BuilderUnreachableError: none does.
        """
        scheme, _, rest = self.address.partition("://")
        try:
            if scheme == "unix":
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(_DIAL_SECONDS)
                    connection.connect(rest)
            elif scheme == "tcp":
                name, _, port = rest.rpartition(":")
                socket.create_connection((name.strip("[]"), int(port)), timeout=_DIAL_SECONDS).close()
            elif scheme == "docker-container" and not host.is_running(rest):
                raise BuilderUnreachableError(self.address, "no such container is running on the Docker host")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise BuilderUnreachableError(self.address, reason) from None


def builder_of(entry: MatrixEntry, local: Builder) -> Builder:
    """Return the builder of a platform: its own, which is native, or the *local* one."""
    return Builder(entry.builder) if entry.builder else local


def running_address(settings: Settings, host: DockerHost) -> str:
    """Return the address of the local builder: BUILDKIT_HOST, else our running server.

    :raises NoBuilderError: neither is there.
    """
    if settings.builder.host:
        return settings.builder.host
    container = host.find(BUILDKIT_CONTAINER)
    if container is None or container.status != "running":
        raise NoBuilderError
    return container_address(container)


def dry_address(settings: Settings) -> str:
    """Return the address that the server would have on a local Linux Docker host."""
    directory = wanted(settings, {"Architecture": ""}, local=True).sockets
    automatic = f"unix://{directory / SOCKET}" if directory else CONTAINER_ADDRESS
    return settings.builder.host or settings.builder.address or automatic


def container_address(container: Container) -> str:
    """Return the address of our server: its socket, or through Docker where Docker's files are not this machine's."""
    for mount in container.attrs["Mounts"]:
        path = Path(str(mount.get("Source", ""))) / SOCKET
        if mount.get("Destination") == "/run/buildkit" and os.access(path, os.R_OK | os.W_OK) and path.is_socket():
            return f"unix://{path}"
    return CONTAINER_ADDRESS
