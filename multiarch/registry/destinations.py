"""Where requests for one registry may go, and where credentials go along.

One policy for every address that a registry names: realms of challenges, redirects, locations of uploads.

- Credentials go to the registry itself, and to the realm that its challenge names; nowhere else.
- Nothing leads from https to http, nor to an address with a user in it.
- A loopback or link-local address is for a registry that has one, a private address for a registry that is no public
  one. A name is resolved once, and the addresses that were checked are those that are connected to.
- A realm has TLS, unless it is on loopback with its registry, or on the host of a registry that was declared insecure.

A proxy resolves names itself: where one is used, addresses and the names of loopback alone can be checked.
"""

from __future__ import annotations

import enum
import ipaddress
import re
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from multiarch.errors import InvalidAnswerError, shown_address
from multiarch.image.reference import is_loopback
from multiarch.registry import limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.registry.sockets import AddressInfo

_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_ADDRESS = re.compile(r"[^\x00-\x20\x7f\\]+")  # what browsers and libraries read differently is no address here

Origin = tuple[str, str, int]


class Reach(enum.IntEnum):
    """From where an address can be reached."""

    LOOPBACK = 0
    LINK = 1
    PRIVATE = 2
    PUBLIC = 3


class ForbiddenAddressError(ConnectionError):
    """A name leads to an address that the registry may not name."""


class Destinations:
    """The policy of one registry. Safe to use from several threads.

    :param server: ``host[:port]`` of its API.
    :param insecure: whether the registry was declared insecure.
    """

    def __init__(self, server: str, *, insecure: bool) -> None:
        self._server = server
        self._insecure = insecure
        self._name = (urlsplit(f"//{server}").hostname or server).lower()
        # The most public address that the registry's name has had; it must not come nearer by another answer of DNS.
        literal = _literal(self._name)
        self._reach: Reach | None = Reach.LOOPBACK if is_loopback(server) else _own_reach(literal) if literal else None
        self._lock = threading.Lock()

    def follow(self, request: str, url: str, location: str) -> str:
        """Return the address that an answer names in its Location. :raises InvalidAnswerError: it may not."""
        target = self._checked(request, location, url)
        if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
            raise InvalidAnswerError(request, f"the registry leads to {shown_address(target)}, which has no TLS")
        return target

    def check_realm(self, request: str, url: str, realm: str) -> None:
        """Check the address of a token server that a challenge names.

        :param url: that of the request that was challenged.
        :raises InvalidAnswerError: it may not be asked.
        """
        target = self._checked(request, realm, None)
        scheme, host, _ = origin(target)
        is_near = is_loopback(self._server) and _is_local(host)
        is_declared = self._insecure and host == self._name and urlsplit(url).scheme == "http"
        if scheme != "https" and not is_near and not is_declared:
            place = shown_address(target)
            problem = f"credentials are not sent to {place}, which has no TLS; correct the registry's settings"
            raise InvalidAnswerError(request, problem)

    def permitted(self, host: str, addresses: Sequence[AddressInfo]) -> Sequence[AddressInfo]:
        """Return those of the addresses of a name that may be connected to.

        :raises ForbiddenAddressError: there is none.
        """
        if host.strip("[]").lower() == self._name:
            with self._lock:
                reach = max((_own_reach(info[4][0]) for info in addresses), default=Reach.PUBLIC)
                self._reach = max(reach, self._reach or Reach.LOOPBACK)
            return addresses
        allowed = [info for info in addresses if self._allows(reach_of(info[4][0]))]
        if not allowed:
            raise ForbiddenAddressError(f"{host} is an address of a network that this registry is not in")
        return allowed

    def _checked(self, request: str, address: str, base: str | None) -> str:
        """Return an address in full. :raises InvalidAnswerError: it is none, or one that nothing may be sent to."""
        if len(address) > limits.FIELD_CHARACTERS or not _ADDRESS.fullmatch(address):
            raise InvalidAnswerError(request, "the registry names an address that is none")
        try:
            target = urljoin(base, address) if base else address
            scheme, host, _ = origin(target)
            user = urlsplit(target).username
            # What is connected to: full-width digits, for one, become digits.
            host = host.encode("idna").decode()
        except ValueError:
            raise InvalidAnswerError(request, "the registry names an address that is none") from None
        if scheme not in _PORTS or not host or user is not None:
            raise InvalidAnswerError(request, f"the registry leads to {shown_address(target)}, where nothing is sent")
        literal = _literal(host)
        # Nor what is written in hexadecimal: urllib3 connects to 127.0.0.1 for 127.0.0.%31, or sends it to a proxy.
        if ("%" in host and ":" not in host) or (not literal and host.rpartition(".")[2].isdigit()):
            raise InvalidAnswerError(request, "the registry names an address that is none")
        reach = reach_of(literal) if literal else Reach.LOOPBACK if _is_local(host) else Reach.PUBLIC
        if host != self._name and not self._allows(reach):
            problem = (
                f"the registry leads to {shown_address(target)}, an address of a network that this registry is not in"
            )
            raise InvalidAnswerError(request, problem)
        return target

    def _allows(self, target: Reach) -> bool:
        own = Reach.PUBLIC if self._reach is None else self._reach
        return target is own or target is Reach.PUBLIC or (target is Reach.PRIVATE and own is not Reach.PUBLIC)


def origin(url: str) -> Origin:
    """Return scheme, host and port of an address. :raises ValueError: it has a port that is none."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower().rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)


def reach_of(address: str) -> Reach:
    """Return from where an IP address can be reached; what is no ordinary address counts as this machine's."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64 or (int(ip) >> 32 == 0 and int(ip) > 1):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    if ip.is_link_local:
        return Reach.LINK
    if ip.is_loopback or ip.is_unspecified or ip.is_multicast or int(ip) >> 24 == 0:
        return Reach.LOOPBACK
    return Reach.PUBLIC if ip.is_global else Reach.PRIVATE


def _own_reach(address: str) -> Reach:
    """Return the reach of a registry; one at 0.0.0.0 is taken for what its name says, which is not loopback."""
    is_unspecified = ipaddress.ip_address(address.partition("%")[0]).is_unspecified
    return Reach.PRIVATE if is_unspecified else reach_of(address)


def _literal(host: str) -> str:
    """Return the IP address that is written as a host, ``127.1`` and ``0x7f000001`` included; empty for a name."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) if host[:1].isdigit() else ""
    except (OSError, ValueError):
        return ""


def _is_local(name: str) -> bool:
    """Whether a name without a port is this machine's loopback interface, whatever a resolver says."""
    literal = _literal(name)
    if literal:
        return reach_of(literal) is Reach.LOOPBACK
    return name in ("localhost", "localhost.localdomain") or name.endswith(".localhost")
