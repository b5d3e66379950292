"""Authorisation at a registry: Basic, or a bearer token, with the credentials that ``docker login`` stored.

RFC 9110, section 11; the distribution project's "Token Authentication Specification" and "Oauth2 Token Authentication".
Secrets stay in this module: neither errors nor log lines hold them.
"""

from __future__ import annotations

import math
import re
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit, urlunsplit

from multiarch.errors import MultiarchError, RegistryError, StoppedError
from multiarch.registry.challenge import parse_challenge
from multiarch.registry.docker_config import Login, stored_login

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multiarch.registry.answers import Answer

Scopes = tuple[str, ...]  # what a request needs: one or more of ``repository:NAME:pull,push``
_SLACK = 5.0  # seconds; a token that expires sooner is renewed, as it may expire on its way
_VALUE = re.compile(r"[\x21-\x7e]+")  # what a header can hold as a token (RFC 6750 allows less)
_SHORTEST_SECRET = 4  # characters; a shorter one is in many words that hide nothing


@dataclass(frozen=True)
class _Authorization:
    """An Authorization header, and when it is renewed (by ``time.monotonic``)."""

    header: str = field(repr=False)
    expires: float = float("inf")


class Authorizer:
    """Answers the challenges of one registry. Safe to use from several threads.

    :param host: ``host[:port]`` as it stands in image references.
    :param send: sends a token request, without retries or redirects: its name, verb, address, ``headers``, ``data``.
    :param refusal: makes the error of an answer.
    :param check_realm: checks the realm of a challenge, by the name of the request and the address that was challenged.
    """

    def __init__(
        self,
        host: str,
        send: Callable[..., Answer],
        refusal: Callable[[str, Answer], RegistryError],
        check_realm: Callable[[str, str, str], None],
    ) -> None:
        self.host = host
        self._send = send
        self._refusal = refusal
        self._check_realm = check_realm
        # The last challenge, and the scopes that it was for: with it, the next token is fetched before a refusal.
        self._challenge: tuple[Scopes, str] = ((), "")
        self._challenged = ""  # the address that it came from
        self._authorizations: dict[Scopes, _Authorization] = {}
        # When a token was last refused, by ``time.monotonic``, and the error.
        self._failures: dict[Scopes, tuple[float, MultiarchError]] = {}
        self._lock = threading.Lock()

    def header(self, scopes: Scopes) -> str | None:
        """Return the Authorization header for a request, None while the registry has not asked for one.

        :raises RegistryError: the token is refused.
        """
        current = self._authorizations.get(scopes)
        if self._challenge[1] and (current is None or current.expires < time.monotonic()):
            self._renew(scopes, current.header if current else None)
            current = self._authorizations.get(scopes)
        return current.header if current else None

    def hide(self, text: str) -> str:
        """Return a text without the secrets that were sent: a registry may repeat them in its words."""
        login = self.__dict__.get("_login") or Login()
        headers = [authorization.header for authorization in list(self._authorizations.values())]
        values = [header.partition(" ")[2] for header in headers]
        secrets = {login.password, login.identity_token, login.basic, *values}
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text

    def challenged(self, scopes: Scopes, answer: Answer, used: str | None) -> None:
        """Answer a refusal (status 401), so that `header` returns what the registry asks for.

        :param used: the header that was refused; where it is not the current one, another thread has renewed it.
        """
        self._challenge, self._challenged = (scopes, answer.header("WWW-Authenticate")), answer.url
        self._renew(scopes, used)

    def _renew(self, scopes: Scopes, used: str | None) -> None:
        """Get a new authorisation for *scopes*, unless another thread has replaced the one that was *used*."""
        began = time.monotonic()
        with self._lock:
            current = self._authorizations.get(scopes)
            if (current.header if current else None) != used:
                return
            failed_at, error = self._failures.get(scopes, (0.0, None))
            if error and failed_at > began:
                raise error  # another thread was refused while this one waited for the lock
            self._authorizations.pop(scopes, None)
            challenged_scopes, challenge = self._challenge
            schemes = parse_challenge(challenge)
            if challenged_scopes != scopes:
                schemes.get("bearer", {}).pop("scope", None)
            if "realm" in schemes.get("bearer", {}):
                try:
                    self._authorizations[scopes] = self._token(schemes["bearer"], scopes)
                except StoppedError:
                    raise  # it says nothing to a client that is not stopped
                except MultiarchError as refused:
                    refused.cause = str(refused)  # the line of a retry names the request, not the token's
                    self._failures[scopes] = time.monotonic(), refused
                    raise
            elif "basic" in schemes and self._login.user:
                self._authorizations[scopes] = _Authorization(f"Basic {self._login.basic}")

    def _token(self, challenge: Mapping[str, str], scopes: Scopes) -> _Authorization:
        """Fetch a token. Not retried here: the request that needs it is, as a whole."""
        name = f"token for {self.host}"
        login, realm = self._login, challenge["realm"]
        self._check_realm(name, self._challenged, realm)
        # The registry knows best what a request needs, but may name only one of two repositories.
        scope = [challenge["scope"]] if challenge.get("scope") and len(scopes) == 1 else list(scopes)
        service = challenge.get("service", "")
        if login.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": login.identity_token, "client_id": "multiarch"}
            form |= {"service": service, "scope": " ".join(scope)}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._send(name, "POST", realm, headers=headers, data=urlencode(form).encode())
        else:
            query = urlencode({"service": service, "scope": scope}, doseq=True)
            headers = {"Authorization": f"Basic {login.basic}"} if login.user else {}
            answer = self._send(name, "GET", _with_query(realm, query), headers=headers)
        if not 200 <= answer.status < 300:
            raise self._refusal(name, answer)
        token = answer.json.get("token") or answer.json.get("access_token")
        if not isinstance(token, str) or not _VALUE.fullmatch(token):
            raise RegistryError(name, answer.status, "without a token in it")
        lifetime = _lifetime(answer.json.get("expires_in"))
        return _Authorization(f"Bearer {token}", time.monotonic() + lifetime - min(_SLACK, lifetime / 2))

    @cached_property
    def _login(self) -> Login:
        """The credentials for the registry. :raises ConfigurationError: a credential helper fails."""
        return stored_login(self.host)


def _with_query(url: str, query: str) -> str:
    """Return an address with more in its query, and without a fragment, which no server gets."""
    split = urlsplit(url)
    return urlunsplit(split._replace(query="&".join(filter(None, (split.query, query))), fragment=""))


def _lifetime(value: object) -> float:
    """Return the seconds that a token is valid; for ever where the server does not say."""
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        return math.inf
    return seconds if seconds > 0 else math.inf
