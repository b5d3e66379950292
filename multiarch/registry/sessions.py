"""A session of requests that follows nothing, keeps nothing, and connects where the policy allows it."""

from __future__ import annotations

import functools
import socket
import threading
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from multiarch.image.reference import is_loopback
from multiarch.registry.destinations import origin
from multiarch.registry.sockets import connect, resolve
from multiarch.registry.trust import trusting, unverified
from multiarch.version import __version__

if TYPE_CHECKING:
    import ssl

    from requests.adapters import BaseAdapter

    from multiarch.registry.connections import Ahead
    from multiarch.registry.destinations import Destinations

_POOL = 32  # connections that are kept; requests' own 10 are fewer than a large matrix uses at the same time


class Session(requests.Session):
    """Connections to one registry and to the hosts that it leads to. Safe to use from several threads.

    Neither cookies, nor redirects, nor ~/.netrc: no other host may add to a request, or learn from one.

    :param host: ``host[:port]`` as it stands in image references.
    :param server: ``host[:port]`` of its API.
    :param destinations: the policy that says which addresses may be connected to.
    :param ahead: connections to the server that were begun before they are needed.
    :param insecure: whether the registry's own certificate goes unverified.
    """

    def __init__(self, host: str, server: str, destinations: Destinations, ahead: Ahead, *, insecure: bool) -> None:
        super().__init__()
        self._host = host
        self._own = origin(f"https://{server}")
        self._insecure = insecure
        self._adapter = functools.partial(_Adapter, destinations, ahead)
        self._made: dict[str, BaseAdapter] = {}
        self._making = threading.Lock()
        self.headers.update({"User-Agent": f"multiarch/{__version__}", "Accept-Encoding": "identity"})
        self.trust_env = False
        self.max_redirects = 0
        if insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return no address: redirects are followed by the transport, which knows where they may lead."""

    def get_adapter(self, url: str | bytes) -> BaseAdapter:
        """Return the adapter for an address, made when it is needed first: certificates take a while to read."""
        place = origin(str(url))
        kind = "plain" if place[0] != "https" else "own" if place == self._own else "elsewhere"
        with self._making:
            if kind not in self._made:
                self._made[kind] = self._adapter(self._context(kind))
            return self._made[kind]

    def merge_environment_settings(self, url: Any, *_: Any) -> Any:
        """Return the proxies of the environment; as with Docker, none for this machine itself."""
        found = {} if is_loopback(origin(url)[1]) else get_environ_proxies(url, no_proxy=None)
        return {"proxies": found, "stream": True, "verify": True, "cert": None}

    def request(self, *args: Any, **options: Any) -> requests.Response:
        """Send a request; what it sets as cookies is forgotten."""
        try:
            return super().request(*args, **options)
        finally:
            self.cookies.clear()

    def _context(self, kind: str) -> ssl.SSLContext | None:
        if kind == "plain":
            return None
        if kind == "own" and self._insecure:
            return unverified(self._host)
        return trusting(self._host, identified=kind == "own")


class _Adapter(HTTPAdapter):
    """Adapter that connects by the policy, with one TLS context; urllib3 would read the certificates for each."""

    def __init__(self, destinations: Destinations, ahead: Ahead, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._pools = _pools(destinations, ahead)
        super().__init__(pool_maxsize=_POOL)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **self._with_context(options))
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Return the manager of a proxy, which connects by the policy too (overrides that of `HTTPAdapter`)."""
        manager = super().proxy_manager_for(*args, **self._with_context(options))
        # A proxy of SOCKS has connections of its own kind.
        if isinstance(manager, urllib3.ProxyManager) and not args[0].startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager

    def send(self, *args: Any, **options: Any) -> requests.Response:
        return super().send(*args, **{**options, "verify": self._verifies})

    def cert_verify(self, conn: Any, *_: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED" if self._verifies else "CERT_NONE"

    @property
    def _verifies(self) -> bool:
        return self._context is None or self._context.check_hostname

    def _with_context(self, options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "ssl_context": self._context} if self._context else options


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
