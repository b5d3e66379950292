"""The BuildKit server that a run needs: arguments, mounts, buildkitd.toml (BuildKit, docs/buildkitd.toml.md)."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.docker_host import OWNER
from multiarch.image.platform import Platform
from multiarch.image.reference import is_loopback
from multiarch.paths import state_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multiarch.config.settings import Settings

VOLUME = "buildkit-state"
SOCKET = "buildkitd.sock"
_PLATFORMS = "multiarch.platforms"
_TCP = "multiarch.tcp"
_NETWORK = "multiarch.network"
_SOCKETS = "multiarch.sockets"
# sun_path of unix(7) holds 108 bytes with the final zero.
_LONGEST_SOCKET = 107


@dataclass(frozen=True)
class Server:
    """The requirements of a run on its server; an existing one may exceed them.

    :ivar toml: its buildkitd.toml, empty when it needs none.
    :ivar tcp: ``host:port`` it also listens on, on the loopback interface.
    :ivar sockets: the directory on this machine that holds its socket, None when it cannot be shared.
    :ivar sockets_asked: whether it must be that directory; else the socket of another user's server will do.
    """

    image: str
    platforms: tuple[Platform, ...]
    toml: str
    host_network: bool
    tcp: str | None
    sockets: Path | None
    sockets_asked: bool
    group: int

    def command(self) -> list[str]:
        """Return the arguments of buildkitd."""
        arguments = ["--addr", f"unix:///run/buildkit/{SOCKET}", "--group", str(self.group)]
        if self.tcp:
            port = self.tcp.rpartition(":")[2]
            arguments += ["--addr", f"tcp://{self.tcp}" if self.host_network else f"tcp://0.0.0.0:{port}"]
        for platform in self.platforms:
            arguments += ["--oci-worker-platform", str(platform)]
        return arguments

    def ports(self) -> dict[str, tuple[str, int]]:
        """Return the ports that Docker publishes; none on the host's own network."""
        if not self.tcp or self.host_network:
            return {}
        host, _, port = self.tcp.rpartition(":")
        return {f"{port}/tcp": ("127.0.0.1" if host == "localhost" else host.strip("[]"), int(port))}

    def volumes(self) -> list[str]:
        """Return the mounts in the form of ``docker run -v``."""
        mounts = [f"{VOLUME}:/var/lib/buildkit"]
        return mounts if self.sockets is None else [*mounts, f"{self.sockets}:/run/buildkit"]

    def labels(self, image_id: str) -> dict[str, str]:
        """Return the container's labels, which `serves` compares."""
        essence = json.dumps([image_id, self.toml])
        return {
            OWNER: hashlib.sha256(essence.encode()).hexdigest(),
            _PLATFORMS: ",".join(map(str, self.platforms)),
            _TCP: self.tcp or "",
            _NETWORK: "host" if self.host_network else "bridge",
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
            and (not self.host_network or labels.get(_NETWORK) == "host")
        )

    def replacing(self, labels: Mapping[str, str]) -> Server:
        """Add the old server's platforms and address, so that two projects do not keep recreating it."""
        former = [Platform.parse(name) for name in labels.get(_PLATFORMS, "").split(",") if name]
        return replace(
            self,
            platforms=tuple(dict.fromkeys((*self.platforms, *former))),
            tcp=self.tcp or labels.get(_TCP) or None,
            host_network=self.host_network or labels.get(_NETWORK) == "host",
        )


def wanted(settings: Settings, info: Mapping[str, Any], *, local: bool) -> Server:
    """Return the server that *settings* need on a Docker host.

    :param info: the Engine API's ``/info``; Architecture, RegistryConfig and SecurityOptions are read.
    :param local: whether the host shares this machine's file system, so that its socket can be used from here.
    """
    publish, registries = settings.publish, info.get("RegistryConfig") or {}
    mirrors = [url for index in (registries.get("IndexConfigs") or {}).values() for url in index.get("Mirrors") or []]
    names = [image.registry for image in settings.publish.images]
    names += [url.rpartition("://")[2].partition("/")[0] for url in mirrors]
    rootless = any("rootless" in option for option in info.get("SecurityOptions") or [])
    address = settings.builder.address or ""
    return Server(
        image=settings.builder.image,
        platforms=_platforms(settings, str(info["Architecture"])),
        toml=mirrors_toml(registries, (i.registry for i in publish.images), publish.insecure_registries),
        host_network=any(is_loopback(name) for name in names),
        tcp=address.removeprefix("tcp://") if address.startswith("tcp://") else None,
        sockets=_socket_directory(settings) if local else None,
        sockets_asked=address.startswith("unix://"),
        group=0 if rootless else os.getgid(),
    )


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
    return directory if len(os.fsencode(directory / SOCKET)) <= _LONGEST_SOCKET else None


def mirrors_toml(registry_config: Mapping[str, Any], registries: Iterable[str], insecure: Iterable[str] = ()) -> str:
    """Return a buildkitd.toml with the Docker daemon's registries, which a BuildKit in a container does not know.

    :param registry_config: ``RegistryConfig`` of the Engine API's ``/info``.
    :param registries: the hosts that images are pushed to; the daemon may know only their networks.
    :param insecure: the hosts of ``insecure_registries``.
    """
    tables: dict[str, dict[str, Any]] = {name: {"insecure": True, "http": True} for name in insecure}
    networks = [ipaddress.ip_network(cidr) for cidr in registry_config.get("InsecureRegistryCIDRs") or ()]
    indexes = registry_config.get("IndexConfigs") or {}
    for name, index in indexes.items():
        if not index.get("Secure", True):
            # As the daemon does: https without verification, then http.
            tables.setdefault(name, {}).update(insecure=True, http=True)
        mirrors = index.get("Mirrors") or []
        for url in mirrors:
            scheme, _, rest = url.rpartition("://")
            place = rest.rstrip("/")
            tables.setdefault(name, {}).setdefault("mirrors", []).append(place)
            if scheme == "http":
                tables.setdefault(place.partition("/")[0], {})["http"] = True
    for registry in registries:
        if registry not in tables and not is_loopback(registry) and _is_in(registry, networks):
            tables[registry] = {"insecure": True, "http": True}
    lines: list[str] = []
    for name in sorted(tables):
        lines.append(f"[registry.{json.dumps(name)}]")
        lines += [f"  {key} = {json.dumps(value)}" for key, value in sorted(tables[name].items())]
    return "\n".join([*lines, ""]) if lines else ""


def _is_in(registry: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    host = re.sub(r":\d+$", "", registry) if registry.count(":") == 1 or "]" in registry else registry
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return any(address in network for network in networks)
