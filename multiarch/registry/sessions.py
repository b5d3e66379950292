"""A session that follows nothing, keeps nothing, and connects where the policy allows it."""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.exceptions import ConnectTimeoutError, LocationValueError, NameResolutionError, NewConnectionError

from multiarch.image.reference import is_loopback
from multiarch.registry.destinations import origin
from multiarch.registry.sockets import connect, resolve
from multiarch.registry.trust import trusting, unverified
from multiarch.version import __version__

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from multiarch.registry.connections import Ahead
    from multiarch.registry.destinations import Destinations

_POOL = 32  # connections that are kept; urllib3's own 1 is fewer than a large matrix uses at the same time
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_NO_PROXY = "the proxy that is set for it (https_proxy, http_proxy, all_proxy) is no address of one"
_HEADERS = {"User-Agent": f"multiarch/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}


class Session:
    """Connections to one registry and to the hosts that it leads to. Safe to use from several threads.

    Neither cookies, nor redirects, nor ~/.netrc: no other host may add to a request, or learn from one.

    :param host: ``host[:port]`` as it stands in image references.
    :param server: ``host[:port]`` of its API.
    :param destinations: the policy that says which addresses may be connected to.
    :param ahead: connections to the server that were begun before they are needed.
    :param insecure: whether the registry's own certificate goes unverified.
    """

    def __init__(self, host: str, server: str, destinations: Destinations, ahead: Ahead, *, insecure: bool) -> None:
        self._host = host
        self._own = origin(f"https://{server}")
        self._insecure = insecure
        self._pools = _pools(destinations, ahead)
        self._made: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._making = threading.Lock()
        if insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def request(
        self,
        verb: str,
        url: str,
        *,
        timeout: tuple[float, float],
        headers: Mapping[str, str] | None = None,
        data: Any = None,
    ) -> urllib3.BaseHTTPResponse:
        """Return the answer to a request, of which the body is yet to be read.

        :param timeout: seconds that a connection may take, and that may pass between two bytes.
        :param data: the body; it has ``read`` and a length where it is not bytes.
        :raises Exception: whatever urllib3 raises at bytes from outside. :raises ConfigurationError: a file of
            certificates cannot be used.
        """
        sent = {**_HEADERS, **(headers or {})}
        if data is not None and not isinstance(data, bytes):
            sent["Content-Length"] = str(len(data))
        if any("\r" in value or "\n" in value for value in sent.values()):
            # http.client lets a value go on in a line of its own, which servers read differently (RFC 9112, 5.2).
            raise ValueError("a header of more than one line")
        seconds = urllib3.Timeout(connect=timeout[0], read=timeout[1])
        as_it_comes: dict[str, Any] = dict.fromkeys(("retries", "redirect", "preload_content", "decode_content"), False)
        return self._manager(url).request(verb, url, body=data, headers=sent, timeout=seconds, **as_it_comes)

    def _manager(self, url: str) -> urllib3.PoolManager:
        """Return the pools for an address, made when they are needed first: certificates take a while to read."""
        place = origin(url)
        kind = "plain" if place[0] != "https" else "own" if place == self._own else "elsewhere"
        proxy = _proxy(url)
        with self._making:
            if (kind, proxy) not in self._made:
                self._made[kind, proxy] = self._managing(proxy, self._context(kind))
            return self._made[kind, proxy]

    def _managing(self, proxy: str, context: ssl.SSLContext | None) -> urllib3.PoolManager:
        options: dict[str, Any] = {"ssl_context": context} if context else {}
        if proxy:
            # requests knows all that may stand in the address of a proxy, which few have.
            from requests.adapters import HTTPAdapter

            manager: urllib3.PoolManager = HTTPAdapter(pool_maxsize=_POOL).proxy_manager_for(proxy, **options)
        else:
            manager = urllib3.PoolManager(maxsize=_POOL, **options)
        # A proxy of SOCKS has connections of its own kind.
        if not proxy.startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager

    def _context(self, kind: str) -> ssl.SSLContext | None:
        if kind == "plain":
            return None
        if kind == "own" and self._insecure:
            return unverified(self._host)
        return trusting(self._host, identified=kind == "own")


def _proxy(url: str) -> str:
    """Return the proxy for an address, of the environment or the system; as with Docker, none for this machine itself.

    :raises InvalidProxyURL: what it names is no address that a proxy can have.
    """
    # Elsewhere than on Linux the system may have one that no variable names.
    is_none_named = sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ)
    if is_none_named or is_loopback(origin(url)[1]):
        return ""
    from requests.exceptions import InvalidProxyURL
    from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy

    found = select_proxy(url, get_environ_proxies(url, no_proxy=None))
    if not found:
        return ""
    try:
        proxy = str(prepend_scheme_if_needed(found, "http"))  # type: ignore[no-untyped-call]
        parsed = urllib3.util.parse_url(proxy)
    except LocationValueError:  # its text may hold a password
        raise InvalidProxyURL(_NO_PROXY) from None
    if not parsed.host or parsed.scheme not in _PROXY_SCHEMES:
        raise InvalidProxyURL(_NO_PROXY)
    return proxy


def _pools(destinations: Destinations, ahead: Ahead) -> dict[str, Any]:
    """Return the classes of pools whose connections are made by the policy, or were begun ahead."""

    def connecting(base: Any) -> Any:
        class Connection(base):  # type: ignore[misc]
            def _new_conn(self) -> socket.socket:
                host = self._dns_host.strip("[]")
                is_ahead = self.proxy is None and (host, self.port) == ahead.address
                if is_ahead and (taken := ahead.take(self.timeout)):
                    return taken
                return _connected(self, host, destinations if self.proxy is None else None)

        return Connection

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = connecting(urllib3.connection.HTTPConnection)

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = connecting(urllib3.connection.HTTPSConnection)

    return {"http": Pool, "https": TlsPool}


def _connected(connection: Any, host: str, destinations: Destinations | None) -> socket.socket:
    """Return a socket; errors are those that the HTTP library has for its own.

    :param destinations: checks the addresses that are connected to; None for those of a proxy, which the user chose.
    """
    timeout = connection.timeout
    try:
        addresses = resolve(host, connection.port)
    except (socket.gaierror, UnicodeError) as error:
        raise NameResolutionError(host, connection, _as_gaierror(error)) from error
    try:
        return connect(destinations.permitted(host, addresses) if destinations else addresses, timeout)
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"Connection to {host} timed out. (connect timeout={timeout})") from error
    except OSError as error:
        raise NewConnectionError(connection, f"Failed to establish a new connection: {error}") from error


def _as_gaierror(error: OSError | UnicodeError) -> socket.gaierror:
    return error if isinstance(error, socket.gaierror) else socket.gaierror(socket.EAI_NONAME, "no name of a host")
