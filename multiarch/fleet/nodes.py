"""Machines of builders, by the names that stand in their certificates."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.ASCII)  # RFC 1123, section 2.1
_LONGEST = 253  # characters of a name (RFC 1035, section 2.3.4, without the length bytes)
_MOST = 100  # names of one certificate; a machine has a handful


class Node(Struct, frozen=True):
    """A machine of a builder.

    :ivar names: hosts in lower case, and addresses; the first is what the machine is called.
    """

    names: tuple[str | Address, ...]

    @property
    def host(self) -> str:
        """What the machine is called, as it stands in an address of ``tcp://``."""
        name = self.names[0]
        return f"[{name}]" if isinstance(name, ipaddress.IPv6Address) else str(name)

    @property
    def directory(self) -> str:
        """The name of a directory of its own: without colons, which are the host's to scp."""
        return str(self.names[0]).replace(":", "-")


def read_nodes(written: Iterable[str]) -> tuple[Node, ...]:
    """Return the machines that ``--for`` names.

    :param written: one text for each machine: its names, with commas between them.
    :raises ConfigurationError: no machine is named, one is named twice or has too many names, or a name is none that a
        certificate can hold.
    """
    nodes = tuple(Node(tuple(dict.fromkeys(_name(name.strip()) for name in one.split(",")))) for one in written)
    if not nodes:
        raise ConfigurationError("--for", "name the machines of the builders, as they stand in tcp://HOST:1234")
    if twice := [node.host for index, node in enumerate(nodes) if node.directory in _directories(nodes[:index])]:
        raise ConfigurationError("--for", f"{twice[0]} is given twice; other names of one machine: --for HOST,NAME")
    if any(len(node.names) > _MOST for node in nodes):
        raise ConfigurationError("--for", f"more than {_MOST} names of one machine")
    return nodes


def _directories(nodes: Iterable[Node]) -> set[str]:
    return {node.directory for node in nodes}


def _name(text: str) -> str | Address:
    try:
        return ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        name = text.lower().removesuffix(".")
    if len(name) > _LONGEST or not _HOST.fullmatch(name) or name.rpartition(".")[2].isdigit():
        raise ConfigurationError("--for", f"{text!r} is no host: a name or an address alone, such as arm-1.example")
    return name
