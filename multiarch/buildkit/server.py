"""The BuildKit server that a run needs: its names, arguments, mounts and labels, and which running one serves it.

A ``RUN`` shares the network namespace of the server's container, unless buildkitd has a network for its workers. So a
server on the host's network gives each ``RUN`` one of its own, on BuildKit's bridge: no ``RUN`` reaches what listens on
the host's loopback interface, such as the server itself, which asks for no login.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from multiarch.buildkit.configuration import (
    Configuration,
    Tables,
    compose,
    docker_proxies,
    joined,
    read_label,
    registry_tables,
)
from multiarch.certificates import copied_certificates
from multiarch.config.entitlements import Entitlement
from multiarch.docker_info import OWNER
from multiarch.image.platform import Platform
from multiarch.image.reference import is_loopback
from multiarch.paths import state_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.settings import Settings
    from multiarch.docker_info import HostInfo

SOCKET = "buildkitd.sock"
_PLATFORMS = "multiarch.platforms"
_TCP = "multiarch.tcp"
_NETWORK = "multiarch.network"
_SOCKETS = "multiarch.sockets"
_ENTITLEMENTS = "multiarch.entitlements"
_BUNDLES = "multiarch.bundles"
_REFERENCE = "multiarch.image"
_IMAGE = "multiarch.image-id"
_CONFIGURATION = "multiarch.buildkitd"
# Values of the label _NETWORK. Servers of earlier versions have "host", where a RUN has the host's network as well.
_DOCKERS, _HOSTS = "bridge", "host, RUN on a bridge"
# sun_path of unix(7) holds 108 bytes with the final zero.
_LONGEST_SOCKET = 107


class Server(Struct, frozen=True):
    """The requirements of a run on its server; an existing one may exceed them.

    :ivar name: of its container.
    :ivar host: the identity of its Docker host; empty where that says nothing.
    :ivar platforms: announced ones; BuildKit finds those that emulators add by itself.
    :ivar environment: its variables, which may hold passwords of proxies.
    :ivar nameservers: addresses; none for the Docker host's.
    :ivar bundles: files of its container whose certificates are trusted for all hosts.
    :ivar host_network: whether it has the host's network, to reach a registry or be reached over loopback.
    :ivar entitlements: what it may allow a build that asks for it.
    :ivar tcp: each ``host:port`` it also listens on, on the loopback interface.
    :ivar sockets: the directory on this machine that holds its socket, None when it cannot be shared.
    :ivar sockets_asked: whether it must be that directory; else the socket of another user's server will do.
    """

    name: str
    host: str
    image: str
    platforms: tuple[Platform, ...]
    configuration: Configuration
    environment: Mapping[str, str]
    nameservers: tuple[str, ...]
    bundles: tuple[str, ...]
    host_network: bool
    entitlements: tuple[str, ...]
    tcp: tuple[str, ...]
    sockets: Path | None
    sockets_asked: bool
    group: int

    @property
    def volume(self) -> str:
        """The name of the volume of its cache."""
        return f"{self.name}-state"

    def command(self) -> list[str]:
        """Return the arguments of buildkitd."""
        arguments = ["--addr", f"unix:///run/buildkit/{SOCKET}", "--group", str(self.group)]
        for address in self.tcp:
            arguments += ["--addr", f"tcp://{address}"]
        if self.host_network:
            # Measured, a pool of namespaces (--oci-cni-pool-size) makes no small build faster, and each start slower.
            arguments += ["--oci-worker-net", "bridge"]
        for entitlement in self.entitlements:
            arguments += ["--allow-insecure-entitlement", entitlement]
        for platform in self.platforms:
            arguments += ["--oci-worker-platform", str(platform)]
        return arguments

    def volumes(self) -> list[str]:
        """Return the mounts in the form of ``docker run -v``."""
        mounts = [f"{self.volume}:/var/lib/buildkit"]
        return mounts if self.sockets is None else [*mounts, f"{self.sockets}:/run/buildkit"]

    def toml(self) -> str:
        """Return its buildkitd.toml, empty when it needs none."""
        return self.configuration.toml(self._bridge())

    def labels(self, image_id: str) -> dict[str, str]:
        """Return the container's labels, which `serves` compares."""
        return {
            OWNER: self._fixed(),
            _REFERENCE: self.image,
            _IMAGE: image_id,
            _CONFIGURATION: self.configuration.label(),
            _PLATFORMS: ",".join(map(str, self.platforms)),
            _TCP: ",".join(self.tcp),
            _NETWORK: _HOSTS if self.host_network else _DOCKERS,
            _SOCKETS: str(self.sockets or ""),
            _ENTITLEMENTS: ",".join(self.entitlements),
            _BUNDLES: ",".join(self.bundles),
        }

    def serves(self, labels: Mapping[str, str], image_id: str | None) -> bool:
        """Whether a container with these labels meets all requirements.

        :param image_id: of *image*, None where its name is enough.
        """
        running = read_label(labels.get(_CONFIGURATION, ""))
        return (
            labels.get(OWNER) == self._fixed()
            and labels.get(_REFERENCE if image_id is None else _IMAGE) == (image_id or self.image)
            and running is not None
            and joined(running, self.configuration.tables) == running
            and set(self.entitlements) <= set(_list_of(labels, _ENTITLEMENTS))
            and set(self.tcp) <= set(_list_of(labels, _TCP))
            and set(self.bundles) <= set(_list_of(labels, _BUNDLES))
            and (not self.sockets_asked or labels.get(_SOCKETS) == str(self.sockets))
            and (labels.get(_NETWORK) == _HOSTS or not (self.host_network or _is_exposed(labels)))
        )

    def replacing(self, labels: Mapping[str, str]) -> Server:
        """Add what an idle server had for others, so that two projects do not keep recreating it.

        Where their values cannot be joined, these requirements hold alone.
        """
        tcp = tuple(dict.fromkeys((*self.tcp, *_list_of(labels, _TCP))))
        tables = joined(read_label(labels.get(_CONFIGURATION, "")) or {}, self.configuration.tables)
        known = {kind.value for kind in Entitlement}
        others = [name for name in _list_of(labels, _ENTITLEMENTS) if name in known]
        return replace(
            self,
            entitlements=tuple(dict.fromkeys((*self.entitlements, *others))),
            platforms=tuple(dict.fromkeys((*self.platforms, *_platforms_of(labels)))),
            configuration=self.configuration if tables is None else replace(self.configuration, tables=tables),
            bundles=tuple(dict.fromkeys((*self.bundles, *_list_of(labels, _BUNDLES)))),
            tcp=tcp,
            host_network=self.host_network or bool(tcp) or labels.get(_NETWORK, _DOCKERS) != _DOCKERS,
        )

    def apart(self) -> Server:
        """Return the same server under a name, with a cache and a socket of its own, beside one that is in use."""
        essence = json.dumps([self.image, self._fixed(), self.configuration.label(), *self.entitlements])
        name = f"{self.name}-{hashlib.sha256(essence.encode()).hexdigest()[:8]}"
        own = self.sockets if self.sockets_asked else self.sockets and _directory(name, self.host)
        return replace(self, name=name, sockets=own)

    def meets(self, labels: Mapping[str, str]) -> bool:
        """Whether a server with these labels is in the way: it has an address that these requirements name."""
        asked = self.sockets_asked and labels.get(_SOCKETS) == str(self.sockets)
        return asked or bool(set(self.tcp) & set(_list_of(labels, _TCP)))

    def _fixed(self) -> str:
        """Return the digest of what a container is created with, and cannot be joined; of passwords nothing is told."""
        fixed = json.dumps([sorted(self.environment.items()), self.nameservers])
        return hashlib.sha256(fixed.encode()).hexdigest()

    def _bridge(self) -> Tables | None:
        """Return the bridge of a server: two on one network, such as of two Docker hosts, must not share one.

        Each gives the same addresses away, and removes the bridge when it stops.
        """
        if not self.host_network:
            return None
        digest = hashlib.sha256(f"{self.host}/{self.name}".encode()).digest()
        # 10.64.0.0/10, in small parts, is beside BuildKit's own 10.10.0.0/16; the kernel's names have 15 characters.
        subnet = f"10.{64 + digest[0] % 64}.{digest[1]}.0/24"
        return {"bridgeName": f"buildkit{digest.hex()[:7]}", "bridgeSubnet": subnet}


def wanted(settings: Settings, info: HostInfo, *, local: bool) -> Server:
    """Return the server that *settings* need on a Docker host.

    :param local: whether the host shares this machine's file system, so that its socket can be used from here.
    :raises ConfigurationError: the user's buildkitd.toml, or Docker's own configuration, cannot be used.
    """
    publish, builder = settings.publish, settings.builder
    mirrors = [url for registry in info.registries for url in registry.mirrors]
    names = [image.registry for image in publish.images]
    names += [url.rpartition("://")[2].partition("/")[0] for url in mirrors]
    address = builder.address or ""
    tcp = (address.removeprefix("tcp://"),) if address.startswith("tcp://") else ()
    copies = copied_certificates()
    hosts = (image.registry for image in publish.images)
    registries = registry_tables(info, hosts, publish.insecure_registries, copies.directories)
    return Server(
        name=builder.container,
        host=info.identity,
        image=builder.image,
        platforms=_platforms(settings, info.machine),
        configuration=compose(builder.buildkitd, registries, copies.files),
        bundles=copies.bundles,
        environment={**docker_proxies().variables(), **builder.buildkitd.environment},
        nameservers=builder.buildkitd.nameservers,
        host_network=bool(tcp) or any(is_loopback(name) for name in names),
        entitlements=tuple(entitlement.value for entitlement in builder.entitlements),
        tcp=tcp,
        sockets=_socket_directory(settings, info) if local else None,
        sockets_asked=address.startswith("unix://"),
        group=0 if info.is_rootless else os.getgid(),
    )


def _is_exposed(labels: Mapping[str, str]) -> bool:
    """Whether a server of an earlier version is reached by others, or gives a RUN the host's loopback interface."""
    return labels.get(_NETWORK) != _DOCKERS or bool(labels.get(_TCP))


def _list_of(labels: Mapping[str, str], name: str) -> list[str]:
    return [value for value in labels.get(name, "").split(",") if value]


def _platforms_of(labels: Mapping[str, str]) -> list[Platform]:
    """Return the platforms of an earlier server; none of a name that is no platform's, such as a later version's."""
    platforms = []
    for name in labels.get(_PLATFORMS, "").split(","):
        with contextlib.suppress(ValueError):
            platforms.append(Platform.parse(name))
    return platforms


def _platforms(settings: Settings, machine: str) -> tuple[Platform, ...]:
    """Return the worker's platforms, the host's own first: that is ``$BUILDPLATFORM`` of a Dockerfile."""
    platforms = [entry.platform for entry in settings.matrix if entry.is_local]
    with contextlib.suppress(ValueError):
        platforms.insert(0, Platform.parse(machine))
    return tuple(dict.fromkeys(platforms))


def _socket_directory(settings: Settings, info: HostInfo) -> Path | None:
    """Return the directory of the socket: the one that is asked for, else one for each Docker host of this machine."""
    scheme, _, path = (settings.builder.address or "").partition("://")
    if scheme == "unix":
        return Path(path).parent
    return None if scheme == "docker-container" else _directory(settings.builder.container, info.identity)


def _directory(name: str, host: str) -> Path | None:
    """Return the directory of the socket of a server by its name and its Docker host; None where it cannot hold one."""
    directory = state_directory() / (f"{name}-{hashlib.sha256(host.encode()).hexdigest()[:12]}" if host else name)
    fits = len(os.fsencode(directory / SOCKET)) <= _LONGEST_SOCKET
    return directory if fits and ":" not in str(directory) else None  # Docker splits a mount's source there
