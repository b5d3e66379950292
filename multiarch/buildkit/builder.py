"""Builders: BuildKit servers by their address, and what they emulate."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from multiarch.errors import BuilderUnreachableError
from multiarch.image.platform import runs_natively

if TYPE_CHECKING:
    from multiarch.config.settings import MatrixEntry
    from multiarch.docker_host import DockerHost
    from multiarch.image.platform import Platform

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
