"""The BuildKit server that a run needs: arguments, mounts, buildkitd.toml (BuildKit, docs/buildkitd.toml.md).

A ``RUN`` shares the network namespace of the server's container, unless buildkitd has a network for its workers. So a
server on the host's network gives each ``RUN`` one of its own, on BuildKit's bridge: no ``RUN`` reaches what listens on
the host's loopback interface, such as the server itself, which asks for no login.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.certificates import PLACE, certificate_files, known_certificates
from multiarch.docker_info import OWNER
from multiarch.image.platform import Platform
from multiarch.image.reference import is_loopback
from multiarch.paths import state_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multiarch.certificates import CertificateFile
    from multiarch.config.settings import Settings
    from multiarch.docker_info import HostInfo

VOLUME = "buildkit-state"
SOCKET = "buildkitd.sock"
_PLATFORMS = "multiarch.platforms"
_TCP = "multiarch.tcp"
_NETWORK = "multiarch.network"
_SOCKETS = "multiarch.sockets"
# Values of the label _NETWORK. Servers of earlier versions have "host", where a RUN has the host's network as well.
_DOCKERS, _HOSTS = "bridge", "host, RUN on a bridge"
# sun_path of unix(7) holds 108 bytes with the final zero.
_LONGEST_SOCKET = 107


@dataclass(frozen=True)
class Server:
    """The requirements of a run on its server; an existing one may exceed them.

    :ivar toml: its buildkitd.toml, empty when it needs none.
    :ivar certificates: copies of files for TLS, most of which *toml* names.
    :ivar host_network: whether it has the host's network, to reach a registry or be reached over loopback.
    :ivar tcp: ``host:port`` it also listens on, on the loopback interface.
    :ivar sockets: the directory on this machine that holds its socket, None when it cannot be shared.
    :ivar sockets_asked: whether it must be that directory; else the socket of another user's server will do.
    """

    image: str
    platforms: tuple[Platform, ...]
    toml: str
    certificates: tuple[CertificateFile, ...]
    host_network: bool
    tcp: str | None
    sockets: Path | None
    sockets_asked: bool
    group: int

    def command(self) -> list[str]:
        """Return the arguments of buildkitd."""
        arguments = ["--addr", f"unix:///run/buildkit/{SOCKET}", "--group", str(self.group)]
        if self.tcp:
            arguments += ["--addr", f"tcp://{self.tcp}"]
        if self.host_network:
            # Measured, a pool of namespaces (--oci-cni-pool-size) makes no small build faster, and each start slower.
            arguments += ["--oci-worker-net", "bridge"]
        for platform in self.platforms:
            arguments += ["--oci-worker-platform", str(platform)]
        return arguments

    def volumes(self) -> list[str]:
        """Return the mounts in the form of ``docker run -v``."""
        mounts = [f"{VOLUME}:/var/lib/buildkit"]
        return mounts if self.sockets is None else [*mounts, f"{self.sockets}:/run/buildkit"]

    def labels(self, image_id: str) -> dict[str, str]:
        """Return the container's labels, which `serves` compares."""
        digests = [[file.path, hashlib.sha256(file.content).hexdigest()] for file in self.certificates]
        essence = json.dumps([image_id, self.toml, *digests])
        return {
            OWNER: hashlib.sha256(essence.encode()).hexdigest(),
            _PLATFORMS: ",".join(map(str, self.platforms)),
            _TCP: self.tcp or "",
            _NETWORK: _HOSTS if self.host_network else _DOCKERS,
            _SOCKETS: str(self.sockets or ""),
        }

    def serves(self, labels: Mapping[str, str], image_id: str) -> bool:
        """Whether a container with these labels meets all requirements."""
        wanted = self.labels(image_id)
        return (
            labels.get(OWNER) == wanted[OWNER]
            and set(wanted[_PLATFORMS].split(",")) <= set(labels.get(_PLATFORMS, "").split(","))
            and (not self.tcp or labels.get(_TCP) == self.tcp)
            and (not self.sockets_asked or labels.get(_SOCKETS) == str(self.sockets))
            and (labels.get(_NETWORK) == _HOSTS or not (self.host_network or _is_exposed(labels)))
        )

    def replacing(self, labels: Mapping[str, str]) -> Server:
        """Add the old server's platforms and address, so that two projects do not keep recreating it."""
        tcp = self.tcp or labels.get(_TCP) or None
        return replace(
            self,
            platforms=tuple(dict.fromkeys((*self.platforms, *_platforms_of(labels)))),
            tcp=tcp,
            host_network=self.host_network or tcp is not None or labels.get(_NETWORK, _DOCKERS) != _DOCKERS,
        )


def wanted(settings: Settings, info: HostInfo, *, local: bool) -> Server:
    """Return the server that *settings* need on a Docker host.

    :param local: whether the host shares this machine's file system, so that its socket can be used from here.
    """
    publish = settings.publish
    mirrors = [url for registry in info.registries for url in registry.mirrors]
    names = [image.registry for image in settings.publish.images]
    names += [url.rpartition("://")[2].partition("/")[0] for url in mirrors]
    address = settings.builder.address or ""
    tcp = address.removeprefix("tcp://") if address.startswith("tcp://") else None
    certified = [known.host for known in known_certificates()]
    return Server(
        image=settings.builder.image,
        platforms=_platforms(settings, info.machine),
        toml=mirrors_toml(info, (i.registry for i in publish.images), publish.insecure_registries, certified),
        certificates=certificate_files(),
        host_network=tcp is not None or any(is_loopback(name) for name in names),
        tcp=tcp,
        sockets=_socket_directory(settings) if local else None,
        sockets_asked=address.startswith("unix://"),
        group=0 if info.is_rootless else os.getgid(),
    )


def _is_exposed(labels: Mapping[str, str]) -> bool:
    """Whether a server of an earlier version is reached by others, or gives a RUN the host's loopback interface."""
    return labels.get(_NETWORK) != _DOCKERS or bool(labels.get(_TCP))


def _platforms_of(labels: Mapping[str, str]) -> list[Platform]:
    """Return the platforms of an earlier server; none of a name that is no platform's, such as a later version's."""
    platforms = []
    for name in labels.get(_PLATFORMS, "").split(","):
        with contextlib.suppress(ValueError):
            platforms.append(Platform.parse(name))
    return platforms


def _platforms(settings: Settings, machine: str) -> tuple[Platform, ...]:
    """Return the worker's platforms, the host's own first: that is ``$BUILDPLATFORM`` of a Dockerfile."""
    platforms = list(settings.local_platforms)
    with contextlib.suppress(ValueError):
        platforms.insert(0, Platform.parse(machine))
    return tuple(dict.fromkeys(platforms))


def _socket_directory(settings: Settings) -> Path | None:
    if (settings.builder.address or "").startswith("unix://"):
        return Path(str(settings.builder.address).removeprefix("unix://")).parent
    directory = state_directory() / "buildkit"
    fits = len(os.fsencode(directory / SOCKET)) <= _LONGEST_SOCKET
    return directory if fits and ":" not in str(directory) else None  # Docker splits a mount's source there


def mirrors_toml(
    info: HostInfo, registries: Iterable[str], insecure: Iterable[str] = (), certified: Iterable[str] = ()
) -> str:
    """Return a buildkitd.toml with the Docker daemon's registries, which a BuildKit in a container does not know.

    :param registries: the hosts that images are pushed to; the daemon may know only their networks.
    :param insecure: the hosts of ``insecure_registries``.
    :param certified: those that have certificates in the container.
    """
    tables: dict[str, dict[str, Any]] = {name: {"insecure": True, "http": True} for name in insecure}
    for registry in info.registries:
        if not registry.secure:
            # As the daemon does: https without verification, then http.
            tables.setdefault(registry.name, {}).update(insecure=True, http=True)
        for url in registry.mirrors:
            scheme, _, rest = url.rpartition("://")
            place = rest.rstrip("/")
            tables.setdefault(registry.name, {}).setdefault("mirrors", []).append(place)
            if scheme == "http":
                tables.setdefault(place.partition("/")[0], {})["http"] = True
    for name in registries:
        if name not in tables and not is_loopback(name) and info.is_insecure(name):
            tables[name] = {"insecure": True, "http": True}
    for name in certified:
        tables.setdefault(name, {})["tlsconfigdir"] = [f"{PLACE}/{name}"]
    lines: list[str] = []
    for name in sorted(tables):
        # Of what is printable, text in JSON is a basic string of TOML as it is, except for \\u of a surrogate pair.
        lines.append(f"[registry.{json.dumps(name, ensure_ascii=False)}]")
        lines += [f"  {key} = {json.dumps(value, ensure_ascii=False)}" for key, value in sorted(tables[name].items())]
    return "\n".join([*lines, ""]) if lines else ""
