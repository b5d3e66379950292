"""The way to one registry: one pooled session, whose requests are authorised, timed out, and retried as a whole.

Plain HTTP is spoken on the loopback interface, and where a registry was declared insecure and has no TLS; else TLS,
with the system's certificates, those of ``REQUESTS_CA_BUNDLE`` and those that Docker trusts for the host (``certs.d``).
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

from multiarch.errors import ConfigurationError, RegistryError, RegistryUnreachableError
from multiarch.image.reference import DOCKER_HUB, is_loopback
from multiarch.registry.auth import Authorizer, Scopes
from multiarch.registry.connections import Ahead, use
from multiarch.retry import Policy, describe, is_transient
from multiarch.version import __version__

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    import requests

    from multiarch.trace import Trace

T = TypeVar("T")
# Seconds to connect, and between two bytes of an answer.
_TIMEOUT = (10, 60)
# characters; the longest form of a date has 33, and Python refuses to read thousands of digits (`int` raises)
_LONGEST_RETRY_AFTER = 64
_CERTIFICATES = ("/etc/docker/certs.d", "~/.config/docker/certs.d")


class Transport:
    """Sends requests to one registry. Safe to use from several threads.

    :param host: ``host[:port]`` as it stands in image references.
    :param policy: how requests are retried.
    :param say: takes one line for each retry.
    :param insecure: whether TLS may go unverified, or be missing.
    :param trace: shows the requests, where that is asked for.
    """

    def __init__(
        self,
        host: str,
        policy: Policy,
        say: Callable[[str], None],
        *,
        insecure: bool = False,
        trace: Trace | None = None,
    ) -> None:
        self.host = host
        self.policy = policy
        self.say = say
        self.insecure = insecure and not is_loopback(host)
        self.trace = trace
        self._authorizer = Authorizer(host, self._send, refusal, self._is_safe)
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._made: requests.Session | None = None
        # Docker Hub's API has a host of its own.
        self._server = "registry-1.docker.io" if host == DOCKER_HUB else host
        tls_port = 80 if is_loopback(host) else 443
        name, _, port = self._server.rpartition(":")
        self.ahead = Ahead(name, int(port)) if port.isdigit() and name else Ahead(self._server, tls_port)
        self._scheme = "http" if is_loopback(host) else "" if self.insecure else "https"

    def ask(self, verb: str, path: str, scopes: Scopes, **more: Any) -> requests.Response:
        """Send a request until it is answered; *more* is what `once` takes.

        :raises RegistryError: the registry refuses. :raises RegistryUnreachableError: it does not answer.
        """
        name = self.name(verb, path)
        return self.call(name, lambda: self.once(name, verb, path, scopes, **more))

    def call(self, name: str, attempt: Callable[[], T], transient: Callable[[BaseException], bool] | None = None) -> T:
        """Retry *attempt*, which is made of `once`, as one operation; *transient* as in `Policy.call`."""
        return self.policy.call(name, attempt, show=self.say, transient=transient)

    def name(self, verb: str, path: str) -> str:
        """Return how a request is called in errors and lines: without its query."""
        return f"{verb} {self.host}/{path.partition('?')[0]}"

    def once(
        self,
        name: str,
        verb: str,
        where: str,
        scopes: Scopes,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | Callable[[], Any] | None = None,
        fine: tuple[int, ...] = (),
        stream: bool = False,
    ) -> requests.Response:
        """Send a request, and once more with what the registry asks for.

        :param where: a path below ``/v2/``, or the address that the registry gave.
        :param data: the body, or what makes it anew each time that it is sent.
        :param fine: statuses from 400 on that are answers.
        """
        base = f"{self._plain_or_tls()}://{self._server}/v2/"
        url = urljoin(base, where)
        own = urlsplit(url)[:2] == urlsplit(base)[:2]

        def send() -> tuple[str | None, requests.Response]:
            used = self._authorizer.header(scopes) if own else None
            sent = {**(headers or {}), **({"Authorization": used} if used else {})}
            body = data() if callable(data) else data
            return used, self._send(name, verb, url, headers=sent, data=body, stream=stream)

        used, response = send()
        # Once: a token may have expired. A second refusal is the answer. Whom we were sent on to gets no credentials.
        if response.status_code == 401 and own and urlsplit(response.url)[:2] == urlsplit(base)[:2]:
            response.close()
            self._authorizer.challenged(scopes, response.headers.get("WWW-Authenticate", ""), used)
            response = send()[1]
        if response.status_code < 400 or response.status_code in fine:
            return response
        raise refusal(name, response)

    def _send(self, name: str, verb: str, url: str, **more: Any) -> requests.Response:
        import requests

        more = {"verify": False, **more} if self.insecure and urlsplit(url).netloc == self.host else more
        began = time.monotonic()
        try:
            return self._session.request(verb, url, timeout=_TIMEOUT, **more)
        except requests.RequestException as error:
            if self.trace:
                asked = error.request.url if error.request is not None else None
                self.trace.unanswered(verb, asked or url, error, began)
            raise RegistryUnreachableError(name, describe(error), transient=is_transient(error)) from None

    def _is_safe(self, url: str) -> bool:
        """Credentials go over TLS, over loopback, or to where somebody said that they may go."""
        scheme, netloc = urlsplit(url)[:2]
        return scheme == "https" or is_loopback(netloc) or self.insecure

    def _plain_or_tls(self) -> str:
        """An insecure registry is asked over TLS first, as Docker does."""
        with self._lock:
            if not self._scheme:
                name = f"GET {self.host}/"
                try:
                    self._send(name, "GET", f"https://{self.host}/v2/").close()
                    self._scheme = "https"
                except RegistryUnreachableError as error:
                    # Who speaks TLS answers plain requests with 400: it has only stumbled.
                    if self._send(name, "GET", f"http://{self.host}/v2/").status_code == 400:
                        raise error from None
                    self._scheme = "http"
            return self._scheme

    @property
    def _session(self) -> requests.Session:
        """The one session of all threads."""
        with self._making:
            if self._made is None:
                self._made = self._make_session()
            return self._made

    def _make_session(self) -> requests.Session:
        import requests
        from requests.adapters import HTTPAdapter

        class Adapter(HTTPAdapter):
            """Has one context for all connections; requests would read the certificates again for each."""

            def send(self, *args: Any, **more: Any) -> Any:
                return super().send(*args, **{**more, "verify": bool(more.get("verify", True))})

            def cert_verify(self, conn: Any, *_: Any) -> None:
                conn.cert_reqs = "CERT_REQUIRED"

            def init_poolmanager(self, *args: Any, **more: Any) -> Any:
                return super().init_poolmanager(*args, ssl_context=context, **more)

            def proxy_manager_for(self, *args: Any, **more: Any) -> Any:
                return super().proxy_manager_for(*args, ssl_context=context, **more)

        if self.insecure:
            import urllib3

            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        context = None if self.insecure or self._scheme == "http" else _tls(self.host)
        session = requests.Session()
        session.headers["User-Agent"] = f"multiarch/{__version__}"
        # As Docker does, a registry on this machine is never asked for through a proxy.
        session.trust_env = not is_loopback(self.host)
        # requests would put a password of ~/.netrc over the token that the registry asked for.
        session.auth = lambda request: request
        adapter = Adapter(pool_maxsize=32) if context else HTTPAdapter(pool_maxsize=32)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        use(session, self.ahead)
        if self.trace:
            session.hooks["response"].append(self.trace.answered)
        return session


def refusal(name: str, response: requests.Response) -> RegistryError:
    """Turn an answer into an error with the registry's own words (distribution-spec, "Error codes")."""
    reason = response.reason or ""
    try:
        errors = response.json().get("errors") or []
        reason = "; ".join(f"{e.get('code', '')}: {e.get('message', '')}" for e in errors) or reason
    except (ValueError, TypeError, AttributeError, OSError):
        pass
    host = name.rpartition(" ")[2].partition("/")[0]
    hint = f"log in with: docker login {host}" if response.status_code in (401, 403) else ""
    retry_after = _retry_after(response.headers.get("Retry-After"))
    return RegistryError(name, response.status_code, reason, hint=hint, retry_after=retry_after)


def _tls(host: str) -> ssl.SSLContext:
    """Trust what the system trusts, and what Docker trusts for *host*; with its client certificate if there is one."""
    import ssl

    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    context = ssl.create_default_context()
    given = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    try:
        context.load_verify_locations(*((None, given) if Path(given).is_dir() else (given,)))
    except OSError as error:
        raise ConfigurationError("REQUESTS_CA_BUNDLE", f"{given} cannot be used: {describe(error)}") from None
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


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After asks for (RFC 9110, section 10.2.3); None without a valid one."""
    from urllib3.exceptions import InvalidHeader
    from urllib3.util.retry import Retry

    if not value or len(value) > _LONGEST_RETRY_AFTER:
        return None
    try:
        return float(Retry().parse_retry_after(value))
    except (InvalidHeader, ValueError, OverflowError):  # the last two of dates that no calendar has
        return None
