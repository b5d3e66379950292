"""Connections to one registry: plain or over TLS, the certificates that they trust, and those begun ahead of need.

Plain HTTP is spoken on the loopback interface, and where a registry was declared insecure and has no TLS; else TLS,
with the system's certificates, those of ``REQUESTS_CA_BUNDLE`` and those that Docker trusts for the host (``certs.d``).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from multiarch.errors import ConfigurationError, RegistryUnreachableError
from multiarch.image.reference import DOCKER_HUB, is_loopback
from multiarch.retry import describe, is_transient
from multiarch.version import __version__

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    import requests
    from requests.adapters import HTTPAdapter

    from multiarch.trace import Trace

_TIMEOUT = (10, 60)  # seconds, to connect and between two bytes: a registry may take long to store a large blob
_FRESH = 5.0  # seconds; servers close idle connections after 5 to 15
_POOL = 32  # connections that are kept; requests' own 10 are fewer than a large matrix uses at the same time
_HUB_SERVER = "registry-1.docker.io"  # the API of Docker Hub has a host of its own
_CERTIFICATES = ("/etc/docker/certs.d", "~/.config/docker/certs.d")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class Connections:
    """Pooled connections to one registry, and whether they use TLS. Safe to use from several threads.

    :param host: ``host[:port]`` as it stands in image references.
    :param insecure: whether TLS may go unverified, or be missing.
    :param trace: shows the requests, where that is asked for.
    :ivar ahead: connections that are begun before they are needed.
    """

    def __init__(self, host: str, *, insecure: bool = False, trace: Trace | None = None) -> None:
        self._host = host
        self._insecure = insecure and not is_loopback(host)
        self._trace = trace
        self._server = _HUB_SERVER if host == DOCKER_HUB else host
        self._scheme = "http" if is_loopback(host) else "" if self._insecure else "https"
        self._deciding = threading.Lock()
        self._session: requests.Session | None = None
        self._making = threading.Lock()
        name, _, port = self._server.rpartition(":")
        standard_port = 80 if is_loopback(host) else 443
        self.ahead = Ahead(name, int(port)) if port.isdigit() and name else Ahead(self._server, standard_port)

    def base(self) -> str:
        """Return the address of the registry's API, ``https://…/v2/``; an insecure registry is asked for it once.

        :raises RegistryUnreachableError: an insecure registry does not answer.
        """
        with self._deciding:
            self._scheme = self._scheme or self._find_scheme()
        return f"{self._scheme}://{self._server}/v2/"

    def send(self, name: str, verb: str, url: str, **options: Any) -> requests.Response:
        """Send one request, to the registry or to an address that it gave; neither authorised nor retried.

        :param name: names the request in errors.
        :param options: what ``requests.Session.request`` takes.
        :raises RegistryUnreachableError: there is no answer.
        """
        import requests

        if self._insecure and urlsplit(url).netloc == self._host:
            options = {"verify": False, **options}
        began = time.monotonic()
        try:
            return self._made_session().request(verb, url, timeout=_TIMEOUT, **options)
        except requests.RequestException as error:
            if self._trace:
                last_url = error.request.url if error.request is not None else None
                self._trace.unanswered(verb, last_url or url, error, began)
            raise RegistryUnreachableError(name, describe(error), transient=is_transient(error)) from None

    def is_safe(self, url: str) -> bool:
        """Whether credentials may be sent to an address: over TLS, over loopback, or where the user declared it."""
        scheme, netloc = urlsplit(url)[:2]
        return scheme == "https" or is_loopback(netloc) or self._insecure

    def _find_scheme(self) -> str:
        """Return what an insecure registry speaks, asked over TLS first, as Docker does."""
        name = f"GET {self._host}/"
        try:
            self.send(name, "GET", f"https://{self._host}/v2/").close()
        except RegistryUnreachableError as error:
            # A server that speaks TLS answers plain requests with 400: then only this handshake has failed.
            if self.send(name, "GET", f"http://{self._host}/v2/").status_code == 400:
                raise error from None
            return "http"
        return "https"

    def _made_session(self) -> requests.Session:
        """Return the one session of all threads."""
        with self._making:
            if self._session is None:
                self._session = self._make_session()
            return self._session

    def _make_session(self) -> requests.Session:
        import requests
        import urllib3

        if self._insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        session = requests.Session()
        session.headers["User-Agent"] = f"multiarch/{__version__}"
        # As Docker does, a registry on this machine is never asked for through a proxy.
        session.trust_env = not is_loopback(self._host)
        # requests would put a password of ~/.netrc over the token that the registry asked for.
        session.auth = lambda request: request
        verifies = not (self._insecure or is_loopback(self._host))
        adapter = _adapter(self.ahead, _trusted(self._host) if verifies else None)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        if self._trace:
            session.hooks["response"].append(self._trace.answered)
        return session


class Ahead:
    """Connections to one address, each to be used once. Safe to use from several threads.

    :param host: name or IP address of the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self.address = host.strip("[]"), port
        self._begun: list[tuple[float, socket.socket]] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def begun(self, count: int) -> Iterator[None]:
        """Begin connections without waiting for them, and close those that are left; none where a proxy is set."""
        if any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES):
            yield
            return
        # In a thread, because a name may have to be looked up first.
        beginning = threading.Thread(target=self._begin, args=(count,))
        beginning.start()
        try:
            yield
        finally:
            beginning.join()
            with self._lock:
                unused, self._begun = self._begun, []
            for _, connection in unused:
                connection.close()

    def take(self, timeout: float | None) -> socket.socket | None:
        """Return a connection that is established by now, None when there is none."""
        while True:
            with self._lock:
                if not self._begun:
                    return None
                began, connection = self._begun.pop(0)
            if time.monotonic() - began < _FRESH:
                ready = select.select([], [connection], [], timeout)[1]
                if ready and connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    connection.settimeout(timeout)
                    return connection
            connection.close()

    def _begin(self, count: int) -> None:
        with contextlib.suppress(OSError):
            family, kind, protocol, _, address = socket.getaddrinfo(*self.address, type=socket.SOCK_STREAM)[0]
            for _ in range(count):
                connection = socket.socket(family, kind, protocol)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setblocking(False)
                if connection.connect_ex(address) not in (0, errno.EINPROGRESS):
                    connection.close()
                    return
                with self._lock:
                    self._begun.append((time.monotonic(), connection))


def _adapter(ahead: Ahead, context: ssl.SSLContext | None) -> HTTPAdapter:
    """Return an adapter that takes its connections to one address from those that were begun ahead.

    :param context: used for all TLS connections; requests would read the certificates again for each. None: as usual.
    """
    import urllib3
    from requests.adapters import HTTPAdapter

    def connecting(base: Any) -> Any:
        class Connection(base):  # type: ignore[misc]
            def _new_conn(self) -> socket.socket:
                is_own = (self.host.strip("[]"), self.port) == ahead.address
                taken = ahead.take(self.timeout) if is_own else None
                return taken or super()._new_conn()

        return Connection

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = connecting(urllib3.connection.HTTPConnection)

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = connecting(urllib3.connection.HTTPSConnection)

    class TrustingAdapter(HTTPAdapter):
        def send(self, *args: Any, **options: Any) -> Any:
            return super().send(*args, **{**options, "verify": bool(options.get("verify", True))})

        def cert_verify(self, conn: Any, *_: Any) -> None:
            conn.cert_reqs = "CERT_REQUIRED"

        def init_poolmanager(self, *args: Any, **options: Any) -> Any:
            return super().init_poolmanager(*args, ssl_context=context, **options)

        def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
            return super().proxy_manager_for(*args, ssl_context=context, **options)

    adapter = TrustingAdapter(pool_maxsize=_POOL) if context else HTTPAdapter(pool_maxsize=_POOL)
    adapter.poolmanager.pool_classes_by_scheme = {"http": Pool, "https": TlsPool}
    return adapter


def _trusted(host: str) -> ssl.SSLContext:
    """Return a context that trusts what the system and Docker trust for *host*, with its client certificate if any.

    :raises ConfigurationError: a file of certificates cannot be used.
    """
    import ssl

    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    context = ssl.create_default_context()
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    try:
        context.load_verify_locations(*((None, bundle) if Path(bundle).is_dir() else (bundle,)))
    except OSError as error:
        raise ConfigurationError("REQUESTS_CA_BUNDLE", f"{bundle} cannot be used: {describe(error)}") from None
    for directory in _CERTIFICATES:
        for path in sorted((Path(directory).expanduser() / host).glob("*")):
            try:
                if path.suffix == ".crt":
                    context.load_verify_locations(path)
                elif path.suffix == ".cert":
                    context.load_cert_chain(path, path.with_suffix(".key"))
            except OSError as error:
                raise ConfigurationError(str(path), f"cannot be used for TLS with {host}: {describe(error)}") from None
    return context
