"""Connections to one registry: plain or over TLS, the certificates that they trust, and those begun ahead of need.

Plain HTTP is spoken on the loopback interface, and where a registry was declared insecure and has no TLS; else TLS,
with the system's certificates, those of ``REQUESTS_CA_BUNDLE`` and those that Docker trusts for the host (``certs.d``).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from multiarch.errors import ConfigurationError, MultiarchError, RegistryUnreachableError, StoppedError
from multiarch.image.reference import DOCKER_HUB, DOCKER_HUB_API, is_loopback
from multiarch.registry import limits
from multiarch.registry.answers import Answer, Body, check_plain, failure, read_whole
from multiarch.registry.destinations import Destinations
from multiarch.registry.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from multiarch.registry.sessions import Session
    from multiarch.registry.sockets import AddressInfo, LimitedSocket
    from multiarch.trace import Trace

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 60.0  # seconds between two bytes
_FRESH = 5.0  # seconds; servers close idle connections after 5 to 15
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class Connections:
    """Pooled connections to one registry, and whether they use TLS. Safe to use from several threads.

    :param host: ``host[:port]`` as it stands in image references.
    :param insecure: whether TLS may go unverified, or be missing.
    :param trace: shows the requests, where that is asked for.
    :ivar destinations: where requests may go.
    :ivar ahead: connections that are begun before they are needed.
    """

    def __init__(self, host: str, *, insecure: bool = False, trace: Trace | None = None) -> None:
        self._host = host
        self._insecure = insecure and not is_loopback(host)
        self._trace = trace
        self._server = DOCKER_HUB_API if host == DOCKER_HUB else host
        self._scheme = "http" if is_loopback(host) else "" if self._insecure else "https"
        self._deciding = threading.Lock()
        self._session: Session | None = None
        self._making = threading.Lock()
        self.destinations = Destinations(self._server, insecure=self._insecure)
        name, _, port = self._server.rpartition(":")
        standard_port = 80 if is_loopback(host) else 443
        address = (name, int(port)) if port.isdigit() and name else (self._server, standard_port)
        self.ahead = Ahead(*address, self.destinations.permitted)

    def base(self) -> str:
        """Return the address of the registry's API, ``https://…/v2/``; an insecure registry is asked for it once.

        :raises RegistryUnreachableError: an insecure registry does not answer.
        """
        with self._deciding:
            self._scheme = self._scheme or self._find_scheme()
        return f"{self._scheme}://{self._server}/v2/"

    @property
    def is_unverified(self) -> bool:
        """Whether the registry's certificate goes unverified, or is missing."""
        return self._insecure

    def send(
        self,
        name: str,
        verb: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        most: int = limits.ERROR_BYTES,
        stream: bool = False,
        is_blob: bool = False,
        seconds: float | None = None,
    ) -> Answer:
        """Send one request, to the registry or to an address that it gave; neither authorised, followed nor retried.

        :param name: names the request in errors.
        :param most: bytes that the body of the answer may have.
        :param stream: leave the body to the caller, unless it is that of a refusal.
        :param is_blob: whether a blob is sent or read, which may take as long as bytes pass.
        :param seconds: how long the answer may take; None for what is usual.
        :param data: the body; see `multiarch.registry.sessions.Session.request`.
        :raises RegistryUnreachableError: there is no answer. :raises InvalidAnswerError: it cannot be used.
        :raises StoppedError: the run was stopped.
        """
        began = time.monotonic()
        try:
            return self._exchange(name, verb, url, most, stream, is_blob, seconds, headers, data)
        except (ConfigurationError, StoppedError):
            raise
        except Exception as error:  # noqa: BLE001 (whatever an HTTP library raises at bytes from outside)
            if self._trace:
                self._trace.unanswered(verb, url, error, began)
            problem = error if isinstance(error, MultiarchError) else failure(name, error)
        # Raised here, it does not keep the library's errors, with what these hold of the request and of its connection.
        raise problem

    def _exchange(
        self,
        name: str,
        verb: str,
        url: str,
        most: int,
        stream: bool,
        is_blob: bool,
        seconds: float | None,
        headers: Mapping[str, str] | None,
        data: Any,
    ) -> Answer:
        whole = None if is_blob else seconds or limits.REQUEST_SECONDS
        # What is sent is a blob's, whose commit has limits of its own; of one that is read, bytes must come.
        patience = limits.COMMIT_SECONDS if seconds or (is_blob and not stream) else _ANSWER_SECONDS
        with Limits(seconds=whole, progresses=is_blob) as bounds:
            bounds.check()
            bounds.begin_head()
            began = time.monotonic()
            timeout = (_CONNECT_SECONDS, patience)
            response = self._made_session().request(verb, url, timeout=timeout, headers=headers, data=data)
            bounds.end_head()
        if self._trace:
            self._trace.answered(verb, url, response.status, began)
        answer = Answer(response.status, response.reason or "", response.headers, url)
        if stream and response.status < 400:
            check_plain(name, response)
            return replace(answer, stream=Body(name, response, bounds))
        return replace(answer, body=read_whole(name, response, bounds, most))

    def _find_scheme(self) -> str:
        """Return what an insecure registry speaks, asked over TLS first, as Docker does."""
        name = f"GET {self._host}/"
        try:
            self.send(name, "GET", f"https://{self._host}/v2/")
        except RegistryUnreachableError as error:
            # A server that speaks TLS answers plain requests with 400: then only this handshake has failed.
            if self.send(name, "GET", f"http://{self._host}/v2/").status == 400:
                raise error from None
            return "http"
        return "https"

    def _made_session(self) -> Session:
        """Return the one session of all threads."""
        with self._making:
            if self._session is None:
                from multiarch.registry.sessions import Session

                self._session = Session(
                    self._host, self._server, self.destinations, self.ahead, insecure=self._insecure
                )
            return self._session


class Ahead:
    """Connections to one address, each to be used once. Safe to use from several threads.

    :param host: name or IP address of the server.
    :param permitted: returns those of its addresses that may be connected to.
    """

    def __init__(
        self, host: str, port: int, permitted: Callable[[str, Sequence[AddressInfo]], Sequence[AddressInfo]]
    ) -> None:
        self.address = host.strip("[]"), port
        self._permitted = permitted
        self._begun: list[tuple[float, LimitedSocket]] = []
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

    def take(self, timeout: float | None) -> LimitedSocket | None:
        """Return a connection that is established by now, None when there is none."""
        from multiarch.registry.sockets import finish

        while True:
            with self._lock:
                if not self._begun:
                    return None
                began, connection = self._begun.pop(0)
            if time.monotonic() - began >= _FRESH:
                connection.close()
                continue
            with contextlib.suppress(OSError):
                return finish(connection, timeout)

    def _begin(self, count: int) -> None:
        from multiarch.registry.sockets import begin, resolve

        with contextlib.suppress(OSError, UnicodeError):
            info = self._permitted(self.address[0], resolve(*self.address))[0]
            for _ in range(count):
                connection = begin(info)
                with self._lock:
                    self._begun.append((time.monotonic(), connection))
