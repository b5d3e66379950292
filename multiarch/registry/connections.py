"""TCP connections that are begun before anybody needs them, so that their handshakes cost no time of their own."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

# Servers close what is idle; what was begun longer ago than this (seconds) is not used any more.
_FRESH = 5.0
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class Ahead:
    """Connections to one address, each to be used once. Safe to use from several threads.

    :param host: name or address of the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = host.strip("[]"), port
        self._begun: list[tuple[float, socket.socket]] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def begun(self, count: int) -> Iterator[None]:
        """Begin connections without waiting for them; through a proxy there is no way of doing so."""
        if any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES):
            yield
            return
        # A name may have to be looked up first.
        beginning = threading.Thread(target=self._begin, args=(count,))
        beginning.start()
        try:
            yield
        finally:
            beginning.join()
            with self._lock:
                left, self._begun = self._begun, []
            for _, connection in left:
                connection.close()

    def take(self, timeout: float | None) -> socket.socket | None:
        """Return a connection that is established by now, None when there is none."""
        while True:
            with self._lock:
                if not self._begun:
                    return None
                begun, connection = self._begun.pop(0)
            if time.monotonic() - begun < _FRESH:
                ready = select.select([], [connection], [], timeout)[1]
                if ready and connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    connection.settimeout(timeout)
                    return connection
            connection.close()

    def _begin(self, count: int) -> None:
        with contextlib.suppress(OSError):
            family, kind, protocol, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM)[0]
            for _ in range(count):
                connection = socket.socket(family, kind, protocol)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setblocking(False)
                if connection.connect_ex(address) not in (0, errno.EINPROGRESS):
                    connection.close()
                    return
                with self._lock:
                    self._begun.append((time.monotonic(), connection))


def use(session: requests.Session, ahead: Ahead) -> None:
    """Let a session take its connections to that address from those that were begun."""
    import urllib3
    from requests.adapters import HTTPAdapter

    def connecting(plain: Any) -> Any:
        class Connection(plain):  # type: ignore[misc]
            def _new_conn(self) -> socket.socket:
                own = (self.host.strip("[]"), self.port) == ahead._address
                taken = ahead.take(self.timeout) if own else None
                return taken or super()._new_conn()

        return Connection

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = connecting(urllib3.connection.HTTPConnection)

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = connecting(urllib3.connection.HTTPSConnection)

    for adapter in session.adapters.values():
        if isinstance(adapter, HTTPAdapter):
            adapter.poolmanager.pool_classes_by_scheme = {"http": Pool, "https": TlsPool}
