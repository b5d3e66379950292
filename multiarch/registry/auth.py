"""Authorisation at a registry: Basic, or a bearer token, with the credentials that ``docker login`` stored.

RFC 9110, section 11; the distribution project's "Token Authentication Specification" and "Oauth2 Token Authentication".
Secrets stay in this module: neither errors nor log lines hold them.
"""

from __future__ import annotations

import base64
import re
import threading
import time
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError, MultiarchError, RegistryError
from multiarch.image.reference import DOCKER_HUB
from multiarch.retry import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

Scopes = tuple[str, ...]  # what a request needs: one or more of ``repository:NAME:pull,push``
_SLACK = 5.0  # seconds; a token that expires sooner is renewed, as it may expire on its way
_CHALLENGE = re.compile(r'(?:^|,\s*)(Basic|Bearer)((?:\s*,?\s*\w+=(?:"[^"]*"|[^\s,"]+))*)', re.IGNORECASE)


@dataclass(frozen=True)
class _Authorization:
    """An Authorization header, and when it is renewed (by ``time.monotonic``)."""

    header: str = field(repr=False)
    expires: float = float("inf")


@dataclass(frozen=True)
class _Credentials:
    """What ``docker login`` stored for a host: user and password, or an identity token, or nothing."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


class Authorizer:
    """Answers the challenges of one registry. Safe to use from several threads.

    :param host: ``host[:port]`` as it stands in image references.
    :param send: sends a token request, without retries: its name, verb, address, and what requests takes.
    :param refusal: makes the error of an answer.
    :param is_safe: whether credentials may be sent to an address.
    """

    def __init__(
        self,
        host: str,
        send: Callable[..., requests.Response],
        refusal: Callable[[str, requests.Response], RegistryError],
        is_safe: Callable[[str], bool],
    ) -> None:
        self.host = host
        self._send = send
        self._refusal = refusal
        self._is_safe = is_safe
        # The last challenge, and the scopes that it was for: with it, the next token is fetched before a refusal.
        self._challenge: tuple[Scopes, str] = ((), "")
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

    def challenged(self, scopes: Scopes, challenge: str, used: str | None) -> None:
        """Answer a refusal (status 401), so that `header` returns what the registry asks for.

        :param challenge: the WWW-Authenticate header.
        :param used: the header that was refused; where it is not the current one, another thread has renewed it.
        """
        self._challenge = scopes, challenge
        self._renew(scopes, used)

    def _renew(self, scopes: Scopes, used: str | None) -> None:
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
            schemes = _parse(challenge)
            if challenged_scopes != scopes:
                schemes.get("bearer", {}).pop("scope", None)
            if "realm" in schemes.get("bearer", {}):
                try:
                    self._authorizations[scopes] = self._token(schemes["bearer"], scopes)
                except MultiarchError as refused:
                    refused.cause = str(refused)  # the line of a retry names the request, not the token's
                    self._failures[scopes] = time.monotonic(), refused
                    raise
            elif "basic" in schemes and (stored := self._credentials).user:
                encoded = base64.b64encode(f"{stored.user}:{stored.password}".encode()).decode()
                self._authorizations[scopes] = _Authorization(f"Basic {encoded}")

    def _token(self, challenge: Mapping[str, str], scopes: Scopes) -> _Authorization:
        """Fetch a token. Not retried here: the request that needs it is, as a whole."""
        name = f"token for {self.host}"
        stored, realm = self._credentials, challenge["realm"]
        if (stored.user or stored.identity_token) and not self._is_safe(realm):
            place = realm.partition("?")[0]
            problem = f"credentials are not sent to {place}, which has no TLS; correct the registry's settings"
            raise ConfigurationError(name, problem)
        # The registry knows best what a request needs, but may name only one of two repositories.
        scope = [challenge["scope"]] if challenge.get("scope") and len(scopes) == 1 else list(scopes)
        service = challenge.get("service", "")
        if stored.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": stored.identity_token, "client_id": "multiarch"}
            form |= {"service": service, "scope": " ".join(scope)}
            answer = self._send(name, "POST", realm, data=form)
        else:
            query = {"service": service, "scope": scope}
            # As bytes: requests would write text as latin-1.
            basic = (stored.user.encode(), stored.password.encode()) if stored.user else None
            answer = self._send(name, "GET", realm, params=query, auth=basic)
        if answer.status_code >= 400:
            raise self._refusal(name, answer)
        try:
            body = answer.json()
            token = body.get("token") or body.get("access_token")
            lifetime = float(body.get("expires_in") or "inf")
        except (ValueError, TypeError, AttributeError):
            token = None
        if not token:
            raise RegistryError(name, answer.status_code, "without a token in it")
        return _Authorization(f"Bearer {token}", time.monotonic() + lifetime - min(_SLACK, lifetime / 2))

    @cached_property
    def _credentials(self) -> _Credentials:
        """The stored credentials. :raises ConfigurationError: a credential helper fails."""
        import docker.auth
        import docker.errors

        # The helpers know Docker Hub by the name that the SDK turns None into.
        host = None if self.host == DOCKER_HUB else self.host
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the error below says more
                entry = docker.auth.load_config().resolve_authconfig(host) or {}
        except (docker.errors.DockerException, ValueError) as error:
            problem = f"the credential helper for {self.host} failed ({describe(error)}); is it installed and on PATH?"
            raise ConfigurationError("~/.docker/config.json", problem) from None
        # Their case depends on where they come from: a helper or the file.
        fields = {key.lower(): value for key, value in entry.items()}
        if identity_token := fields.get("identitytoken"):
            return _Credentials(identity_token=str(identity_token))
        user, password = fields.get("username"), fields.get("password")
        return _Credentials(str(user), str(password)) if user and password else _Credentials()


def _parse(challenge: str) -> dict[str, dict[str, str]]:
    """Return the schemes of a WWW-Authenticate header, in lower case, with their parameters."""
    return {
        scheme.lower(): {
            name.lower(): quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,"]+))', rest)
        }
        for scheme, rest in _CHALLENGE.findall(challenge)
    }
