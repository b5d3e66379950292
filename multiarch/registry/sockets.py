"""Sockets that obey the limits of the thread that uses them, and how they are connected."""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from urllib3.util.wait import wait_for_write

from multiarch.registry import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# As `socket.getaddrinfo` returns it: family, kind, protocol, canonical name, address.
AddressInfo = tuple[Any, Any, int, str, Any]


# In the reasons of OpenSSL's errors, where the other side refuses who we are (RFC 8446, section 6.2).
_REFUSALS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")


class GarbledError(ConnectionError):
    """A connection that was established was cut off, or carries something else than TLS: the next one may not."""


class _Limited:
    """What is common to both sockets: they wait in slices, and look at the limits between them.

    A time-out of the socket is kept for each operation. Python's TLS sockets may repeat one that timed out.
    """

    _patience: float | None = None

    def settimeout(self, value: float | None) -> None:
        self._patience = value
        slice_seconds = limits.SLICE_SECONDS if value is None else min(value, limits.SLICE_SECONDS)
        super().settimeout(slice_seconds)  # type: ignore[misc]

    def gettimeout(self) -> float | None:
        return self._patience

    def recv(self, *args: Any) -> bytes:
        return self._limited(super().recv, *args, received=len)  # type: ignore[misc, no-any-return]

    def recv_into(self, *args: Any) -> int:
        return self._limited(super().recv_into, *args, received=int)  # type: ignore[misc, no-any-return]

    def send(self, *args: Any) -> int:
        return self._limited(super().send, *args, sent=int)  # type: ignore[misc, no-any-return]

    def sendall(self, data: Any, *args: Any) -> None:
        with memoryview(data) as view, view.cast("B") as rest:
            sent = 0
            while sent < len(rest):
                sent += self.send(rest[sent:], *args)

    def do_handshake(self, *args: Any) -> None:
        self._limited(super().do_handshake, *args)  # type: ignore[misc]

    def _limited(
        self,
        operation: Callable[..., Any],
        *args: Any,
        received: Callable[[Any], int] = lambda _: 0,
        sent: Callable[[Any], int] = lambda _: 0,
    ) -> Any:
        """Return the result of an operation, which is called again after each slice until the socket's time-out.

        :param received: returns the bytes that a result says were received; *sent*: that were sent.
        :raises OSError: the operation failed, took too long, or the limits of the request end it.
        """
        current = limits.current()
        began = now = time.monotonic()
        while True:
            current.check()
            before = now
            try:
                result = operation(*args)
            except TimeoutError as error:
                now = time.monotonic()
                if error.errno is not None or (self._patience is not None and now - began >= self._patience):
                    raise
                current.count(0, 0, now - before)
            else:
                current.count(received(result), sent(result), time.monotonic() - before)
                return result


class LimitedSocket(_Limited, socket.socket):
    """A socket without TLS."""


class LimitedTlsSocket(_Limited, ssl.SSLSocket):
    """A socket with TLS, made by a context that has it as its ``sslsocket_class``."""

    _is_established = False

    def do_handshake(self, *args: Any) -> None:
        """Shake hands, and note that it is done."""
        super().do_handshake(*args)
        self._is_established = True

    def _limited(self, operation: Callable[..., Any], *args: Any, **counts: Any) -> Any:
        try:
            return super()._limited(operation, *args, **counts)
        except ssl.SSLError as error:
            # Behind the handshake of TLS 1.3, too, a server may refuse our certificate, or that we have none.
            if not self._is_established or any(word in (error.reason or "") for word in _REFUSALS):
                raise
            garbled = GarbledError(str(error))
        raise garbled


def resolve(host: str, port: int) -> Sequence[AddressInfo]:
    """Return the addresses of a name. :raises OSError: it has none. :raises UnicodeError: it is none.

    A resolver knows no stop flag, so it is asked in a thread that nothing waits for in the end.
    """
    with contextlib.suppress(OSError):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    answers: queue.SimpleQueue[Sequence[AddressInfo] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001 (raised below, in the thread that asked)
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    current = limits.current()
    while True:
        current.check()
        with contextlib.suppress(queue.Empty):
            answer = answers.get(timeout=limits.SLICE_SECONDS)
            if isinstance(answer, Exception):
                raise answer
            return answer


def begin(info: AddressInfo) -> LimitedSocket:
    """Return a socket that is being connected. :raises OSError: it cannot be."""
    family, kind, protocol, _, address = info
    connection = LimitedSocket(family, kind, protocol)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        _check(connection.connect_ex(address))
    except BaseException:
        connection.close()
        raise
    return connection


def finish(connection: LimitedSocket, timeout: float | None) -> LimitedSocket:
    """Wait until a socket is connected, and return it. :raises OSError: it is not; it is closed then."""
    current = limits.current()
    end = None if timeout is None else time.monotonic() + timeout
    try:
        while not wait_for_write(connection, limits.SLICE_SECONDS if timeout is None or timeout > 0 else 0.0):
            current.check()
            if end is not None and time.monotonic() >= end:
                raise TimeoutError("timed out")
        _check(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        connection.settimeout(timeout)
    except BaseException:
        connection.close()
        raise
    return connection


def connect(addresses: Sequence[AddressInfo], timeout: float | None) -> LimitedSocket:
    """Return a socket that is connected to the first of the addresses that answers. :raises OSError: none does."""
    failure: OSError = OSError("no address")
    for info in addresses:
        try:
            return finish(begin(info), timeout)
        except limits.RequestStopped:
            raise
        except OSError as error:
            failure = error
    raise failure


def _check(code: int) -> None:
    if code not in (0, errno.EINPROGRESS):
        raise OSError(code, os.strerror(code))
