"""The Docker host's answers (Engine API), validated: about itself and about its containers.

The SDK hands them on as they come, and its own properties read them without a look.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, TypeVar

from msgspec import Struct

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
OWNER = "multiarch.configuration"  # the label of each container that is ours
_OUR_LABELS = "multiarch."
_LONGEST_NAME = 1024  # characters of a host, an address or an option
_LONGEST_LABEL = 1 << 20  # characters; a label of ours holds the configuration of a server
_MOST_ITEMS = 10_000  # items of a list; a daemon's configuration has a handful


class DaemonRegistry(Struct, frozen=True):
    """A registry in the daemon's configuration.

    :ivar secure: whether it is verified; else the daemon tries https without verification, then http.
    :ivar mirrors: their addresses, in their order.
    """

    name: str
    secure: bool = True
    mirrors: tuple[str, ...] = ()


class HostInfo(Struct, frozen=True):
    """The answer to ``/info``, as far as it is read.

    :ivar machine: what the kernel calls its architecture (``uname -m``).
    :ivar cpus: 0 where the host does not say.
    :ivar memory: bytes; 0 where the host does not say.
    :ivar insecure_networks: the networks whose registries are not verified.
    :ivar identity: tells it from any other Docker host, and stays the same; empty where the host says nothing.
    :ivar version: of the daemon; empty where the host does not say.
    :ivar is_podman: whether the daemon is Podman, whose versions are its own.
    :ivar root: the directory of its images and volumes; empty where the host does not say.
    :ivar time: its clock when it answered (RFC 3339); empty where it does not say.
    """

    machine: str
    operating_system: str = ""
    cpus: int = 0
    memory: int = 0
    registries: tuple[DaemonRegistry, ...] = ()
    insecure_networks: tuple[Network, ...] = ()
    security_options: tuple[str, ...] = ()
    identity: str = ""
    version: str = ""
    is_podman: bool = False
    root: str = ""
    time: str = ""

    @property
    def remaps_users(self) -> bool:
        """Whether root of a container is another user of the host, unless a container asks for the host's users."""
        return "name=userns" in self.security_options

    @property
    def is_rootless(self) -> bool:
        """Whether the daemon runs as a user other than root."""
        return any("rootless" in option for option in self.security_options)

    def is_insecure(self, registry: str) -> bool:
        """Whether the daemon does not verify a registry: its own entry decides, else the networks of its addresses.

        The daemon looks a name up too, where it has such networks (moby, registry/config.go, isSecureIndex).
        """
        for known in self.registries:
            if known.name == registry:
                return not known.secure
        networks = self.insecure_networks
        if all(network.is_loopback for network in networks):
            return False
        return any(address in network for address in _addresses(registry) for network in networks)

    @property
    def is_in_a_vm(self) -> bool:
        """Whether it is Docker Desktop, whose daemon has a kernel and files of its own."""
        return "Docker Desktop" in self.operating_system


def read_info(answer: object) -> HostInfo:
    """Read the answer to ``/info``. :raises ValueError: it is none; the message names the field."""
    info = _mapping(answer, "the answer")
    registries = _mapping(info.get("RegistryConfig"), "RegistryConfig")
    indexes = _mapping(registries.get("IndexConfigs"), "IndexConfigs")
    networks = _texts(registries.get("InsecureRegistryCIDRs"), "InsecureRegistryCIDRs")
    machine = _text(info.get("Architecture"), "Architecture")
    if not machine:
        raise ValueError("Architecture is missing")
    return HostInfo(
        machine=machine,
        operating_system=_text(info.get("OperatingSystem"), "OperatingSystem"),
        cpus=_number(info.get("NCPU"), "NCPU"),
        memory=_number(info.get("MemTotal"), "MemTotal"),
        registries=tuple(_registry(name, index) for name, index in indexes.items()),
        insecure_networks=tuple(_network(text) for text in networks),
        security_options=_texts(info.get("SecurityOptions"), "SecurityOptions"),
        identity=_identity(info),
        version=_text(info.get("ServerVersion"), "ServerVersion"),
        is_podman="BuildahVersion" in info,
        root=_text(info.get("DockerRootDir"), "DockerRootDir"),
        time=_text(info.get("SystemTime"), "SystemTime"),
    )


def read_container(answer: object) -> dict[str, Any]:
    """Return what ``/containers/{id}/json`` says of a container, with what we and the SDK read of it valid.

    :raises ValueError: it says something else; the message names the field.
    """
    container = _mapping(answer, "the answer")
    state = _mapping(container.get("State"), "State")
    config = _mapping(container.get("Config"), "Config")
    # Others are those of its image, and not ours to judge.
    labels = {k: v for k, v in _mapping(config.get("Labels"), "Labels").items() if str(k).startswith(_OUR_LABELS)}
    mounts = [_mapping(mount, "a mount") for mount in _list(container.get("Mounts"), "Mounts")]
    places = ("Source", "Destination")
    identity, status = _text(container.get("Id"), "Id"), _text(state.get("Status"), "State.Status")
    if not identity or not status:
        raise ValueError("Id or State.Status is missing")
    return {
        **container,
        "Id": identity,
        "Name": _text(container.get("Name"), "Name"),
        "RestartCount": _number(container.get("RestartCount"), "RestartCount"),
        "State": {
            "Status": status,
            "ExitCode": _number(state.get("ExitCode"), "State.ExitCode"),
            "StartedAt": _text(state.get("StartedAt"), "State.StartedAt"),
        },
        "Config": {"Labels": {n: _text(v, f"the label {n}", _LONGEST_LABEL) for n, v in labels.items()}},
        "ExecIDs": _texts(container.get("ExecIDs"), "ExecIDs"),
        "Mounts": [{place: _of(str, mount.get(place), place, "text") for place in places} for mount in mounts],
    }


def _identity(info: dict[Any, Any]) -> str:
    """Return what tells a Docker host from others.

    Two daemons of Docker before 24 on one machine have one ID, and Podman makes up another for each answer.
    """
    name, place = _text(info.get("Name"), "Name"), _text(info.get("DockerRootDir"), "DockerRootDir")
    identity = "" if "BuildahVersion" in info else _text(info.get("ID"), "ID")
    return f"{identity or name}:{place}" if place else identity


def _registry(name: object, index: object) -> DaemonRegistry:
    fields = _mapping(index, "a registry of IndexConfigs")
    secure = fields.get("Secure", True)
    if not isinstance(secure, bool):
        raise ValueError("Secure of a registry is neither true nor false")
    return DaemonRegistry(_text(name, "a registry's name"), secure, _texts(fields.get("Mirrors"), "Mirrors"))


def _addresses(registry: str) -> list[Address]:
    """Return the addresses of ``host[:port]``, none where it has none."""
    import socket

    has_port = registry.count(":") == 1 or "]" in registry
    host = (re.sub(r":\d+$", "", registry) if has_port else registry).strip("[]")
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    try:
        return [ipaddress.ip_address(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, ValueError):
        return []


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"InsecureRegistryCIDRs has {text!r}, which is no network") from None


def _mapping(value: object, field: str) -> dict[Any, Any]:
    return _of(dict, value, field, "mapping")


def _list(value: object, field: str) -> list[Any]:
    items = _of(list, value, field, "list")
    if len(items) > _MOST_ITEMS:
        raise ValueError(f"{field} has {len(items)} items")
    return items


def _texts(value: object, field: str) -> tuple[str, ...]:
    return tuple(_text(item, field) for item in _list(value, field))


def _text(value: object, field: str, longest: int = _LONGEST_NAME) -> str:
    text = _of(str, value, field, "text")
    if len(text) > longest or not text.isprintable():
        raise ValueError(f"{field} is too long, or holds control characters")
    return text


def _number(value: object, field: str) -> int:
    if isinstance(value, bool):
        raise ValueError(f"{field} is no number")
    return _of(int, value, field, "number")


def _of(kind: type[T], value: object, field: str, name: str) -> T:
    """Return a value of a kind, the empty one for null: the daemon, in Go, writes an empty slice or map like that."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise ValueError(f"{field} is no {name}")
    return value
