"""Builders: BuildKit servers by their address, and what they emulate."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.errors import BuilderUnreachableError, ConfigurationError, shown_address
from multiarch.image.platform import runs_natively

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.docker_host import DockerHost
    from multiarch.image.platform import Platform

_DIAL_SECONDS = 5.0  # a server on the same machine or network answers at once
# What a client of HTTP/2 says first, with settings that change nothing; a server's first frame is of its settings
# (RFC 9113, sections 3.4, 4.1 and 6.5).
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_FRAME_HEADER, _FRAME_TYPE, _SETTINGS = 9, 3, 4
_ANSWER_SECONDS = 0.5  # a server that is busy, and takes longer, is asked in another way
# The programs that buildctl dials through (BuildKit, client/connhelper).
_PROGRAMS = {"docker-container": "docker", "podman-container": "podman", "kube-pod": "kubectl", "ssh": "ssh"}
_PROGRAMS["nerdctl-container"] = "nerdctl"


class Builder(Struct, frozen=True):
    """A BuildKit that builds platforms.

    :ivar address: as BUILDKIT_HOST takes it; empty while it is not started.
    :ivar machine: the kernel's name of its machine (``uname -m``); None where it is not known.
    :ivar name: what errors call it; empty for the local one.
    :ivar aarch32: whether its CPU has ARM's 32-bit state, if it is an arm64.
    :ivar tls: a directory with certificates for it; None without.
    :ivar tls_name: the name in its certificate, where it is another than that of the address.
    :ivar variables: those that what buildctl dials through has beside those of this process.
    """

    address: str
    machine: str | None = None
    name: str = ""
    aarch32: bool = False
    tls: Path | None = None
    tls_name: str | None = None
    variables: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        place = shown_address(self.address)
        if self.name in ("", self.address):
            return f"builder {place}"
        # A pool of pods has no address before they are found.
        return f"builder {self.name}" if place.endswith("://") else f"builder {self.name} ({place})"

    def emulates(self, platform: Platform) -> bool:
        """Whether *platform*'s programs run under an emulator here."""
        return self.machine is not None and not runs_natively(platform, self.machine, aarch32=self.aarch32)

    def flags(self) -> list[str]:
        """Return the flags of buildctl that choose this builder."""
        certificates = ["--tlsdir", str(self.tls)] if self.tls else []
        name = ["--tlsservername", self.tls_name] if self.tls_name else []
        return ["--addr", self.address, *certificates, *name]

    def environ(self, host: DockerHost) -> dict[str, str] | None:
        """Return the environment of buildctl; None for that of this process.

        Its docker command must find the container on the Docker host that we have found it on.
        """
        if self.address.startswith("docker-container://"):
            return host.endpoint.environ()
        return {**os.environ, **dict(self.variables)} if self.variables else None

    def check(self, host: DockerHost) -> None:
        """Check that a server listens, before a build waits for it; addresses that buildctl alone can dial pass.

        :raises BuilderUnreachableError: none does.
        :raises ConfigurationError: buildctl lacks the program that it dials through.
        """
        scheme, _, rest = self.address.partition("://")
        program = _PROGRAMS.get(scheme)
        if program and shutil.which(program) is None:
            problem = (
                f"buildctl reaches {shown_address(self.address)} through the {program} command, which is not there"
            )
            raise ConfigurationError("PATH", f"{problem}: install it, or choose another address")
        try:
            if scheme == "unix":
                dial(rest)
            elif scheme == "tcp":
                name, _, port = rest.rpartition(":")
                socket.create_connection((name.strip("[]"), int(port)), timeout=_DIAL_SECONDS).close()
            elif scheme == "docker-container" and not host.is_running(rest):
                raise BuilderUnreachableError(self.address, "no such container is running on the Docker host")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise BuilderUnreachableError(self.address, reason) from None


def dial(path: str | os.PathLike[str]) -> None:
    """Check that somebody listens on a Unix socket. :raises OSError: nobody does, or this user may not connect."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_DIAL_SECONDS)
        connection.connect(os.fspath(path))


def answers(path: str | os.PathLike[str]) -> bool:
    """Whether the server on a Unix socket greets a client at once, as gRPC does; one that hangs only listens."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(os.fspath(path))
        connection.sendall(_PREFACE)
        with connection.makefile("rb") as answer:
            header = answer.read(_FRAME_HEADER)
        return len(header) == _FRAME_HEADER and header[_FRAME_TYPE] == _SETTINGS
    return False
