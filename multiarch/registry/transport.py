"""Requests to one registry: authorised, retried as a whole, and their refusals as errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

from multiarch.errors import RegistryError
from multiarch.registry.auth import Authorizer, Scopes
from multiarch.registry.connections import Connections

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    from multiarch.retry import Policy
    from multiarch.trace import Trace

T = TypeVar("T")
# characters; the longest form of a date has 33, and Python refuses to read thousands of digits (`int` raises)
_LONGEST_RETRY_AFTER = 64


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
        self.connections = Connections(host, insecure=insecure, trace=trace)
        self._authorizer = Authorizer(host, self.connections.send, refusal, self.connections.is_safe)

    def ask(self, verb: str, path: str, scopes: Scopes, **options: Any) -> requests.Response:
        """Send a request until it is answered; *options* are those of `once`.

        :raises RegistryError: the registry refuses. :raises RegistryUnreachableError: it does not answer.
        """
        name = self.name(verb, path)
        return self.call(name, lambda: self.once(name, verb, path, scopes, **options))

    def call(self, name: str, attempt: Callable[[], T], transient: Callable[[BaseException], bool] | None = None) -> T:
        """Retry *attempt*, which is made of `once`, as one operation; *transient* as in `Policy.call`."""
        return self.policy.call(name, attempt, show=self.say, transient=transient)

    def name(self, verb: str, path: str) -> str:
        """Return the name of a request for errors and lines: without its query."""
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
        """Send a request, and once more with the authorisation that the registry asks for; not retried.

        :param where: a path below ``/v2/``, or the address that the registry gave.
        :param data: the body, or a function that makes it anew each time that it is sent.
        :param fine: statuses from 400 on that are answers.
        """
        base = self.connections.base()
        url = urljoin(base, where)
        is_own = _origin(url) == _origin(base)

        def send() -> tuple[str | None, requests.Response]:
            authorization = self._authorizer.header(scopes) if is_own else None
            sent = {**(headers or {}), **({"Authorization": authorization} if authorization else {})}
            body = data() if callable(data) else data
            return authorization, self.connections.send(name, verb, url, headers=sent, data=body, stream=stream)

        used, response = send()
        # Once: the token may have expired (RFC 9110, 15.5.2), and a second refusal is the answer. A host that the
        # registry redirected to gets no credentials.
        if response.status_code == 401 and is_own and _origin(response.url) == _origin(base):
            response.close()
            self._authorizer.challenged(scopes, response.headers.get("WWW-Authenticate", ""), used)
            response = send()[1]
        if response.status_code < 400 or response.status_code in fine:
            return response
        raise refusal(name, response)


def refusal(name: str, response: requests.Response) -> RegistryError:
    """Return the error of an answer, with the registry's own words (distribution-spec, "Error codes")."""
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


def _origin(url: str) -> tuple[str, str]:
    """Return the scheme and the host with its port."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


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
