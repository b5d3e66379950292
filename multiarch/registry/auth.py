"""How a registry wants to be asked: Basic, or a token of its own, from the credentials that ``docker login`` stored.

RFC 9110, section 11; the distribution project's "Token Authentication Specification" and "Oauth2 Token Authentication".
Secrets stay in here: neither errors nor log lines hold them.
"""

from __future__ import annotations

import base64
import re
import threading
import time
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError, MultiarchError, RegistryError
from multiarch.image.reference import DOCKER_HUB
from multiarch.retry import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

# What a request needs: one or more of ``repository:NAME:pull,push``.
Scopes = tuple[str, ...]
# A token that ends this soon is not worth sending (seconds).
_SLACK = 5.0
_CHALLENGE = re.compile(r'(?:^|,\s*)(Basic|Bearer)((?:\s*,?\s*\w+=(?:"[^"]*"|[^\s,"]+))*)', re.IGNORECASE)


@dataclass(frozen=True)
class Pass:
    """An Authorization header, and until when it is worth sending (``time.monotonic``)."""

    header: str
    until: float = float("inf")


class Authorizer:
    """Answers the challenges of one registry. Safe to use from several threads.

    :param host: ``host[:port]`` as it stands in image references.
    :param send: sends one request of the token's, without retries: verb, address, and what requests takes.
    :param refusal: makes the error of an answer.
    :param is_safe: tells whether credentials may be sent to an address.
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
        # The last challenge, and what it was about; with it, the next token is asked for without being refused first.
        self._challenge: tuple[Scopes, str] = ((), "")
        self._passes: dict[Scopes, Pass] = {}
        self._refused: dict[Scopes, tuple[float, MultiarchError]] = {}
        self._lock = threading.Lock()

    def header(self, scopes: Scopes) -> str | None:
        """Return the Authorization header for a request, None while the registry has not asked for one.

        :raises RegistryError: the token is refused.
        """
        held = self._passes.get(scopes)
        if self._challenge[1] and (held is None or held.until < time.monotonic()):
            self._renew(scopes, held.header if held else None)
            held = self._passes.get(scopes)
        return held.header if held else None

    def challenged(self, scopes: Scopes, challenge: str, used: str | None) -> None:
        """Take note of a refusal (status 401), and answer it.

        :param challenge: the WWW-Authenticate header.
        :param used: the header that was refused; when something else is there by now, another thread has just done it.
        """
        self._challenge = scopes, challenge
        self._renew(scopes, used)

    def _renew(self, scopes: Scopes, used: str | None) -> None:
        began = time.monotonic()
        with self._lock:
            held = self._passes.get(scopes)
            if (held.header if held else None) != used:
                return
            failed, error = self._refused.get(scopes, (0.0, None))
            if error and failed > began:
                raise error  # what those learnt who asked while we waited for them
            self._passes.pop(scopes, None)
            about, challenge = self._challenge
            asked = _parse(challenge)
            if about != scopes:
                asked.get("bearer", {}).pop("scope", None)
            if "realm" in asked.get("bearer", {}):
                try:
                    self._passes[scopes] = self._token(asked["bearer"], scopes)
                except MultiarchError as refused:
                    refused.cause = str(refused)  # the line of a retry names the request, not the token's
                    self._refused[scopes] = time.monotonic(), refused
                    raise
            elif "basic" in asked and (login := self._credentials[0]):
                encoded = base64.b64encode(":".join(login).encode()).decode()
                self._passes[scopes] = Pass(f"Basic {encoded}")

    def _token(self, asked: Mapping[str, str], scopes: Scopes) -> Pass:
        """Fetch a token. Not retried here: the request that needs it is, as a whole."""
        name = f"token for {self.host}"
        login, identity = self._credentials
        if (login or identity) and not self._is_safe(asked["realm"]):
            place = asked["realm"].partition("?")[0]
            problem = f"credentials are not sent to {place}, which has no TLS; correct the registry's settings"
            raise ConfigurationError(name, problem)
        # The registry knows best what a request needs, but may name only one of two repositories.
        wanted = [asked["scope"]] if asked.get("scope") and len(scopes) == 1 else list(scopes)
        service = asked.get("service", "")
        if identity:
            form = {"grant_type": "refresh_token", "refresh_token": identity, "client_id": "multiarch"}
            form |= {"service": service, "scope": " ".join(wanted)}
            answer = self._send(name, "POST", asked["realm"], data=form)
        else:
            query = {"service": service, "scope": wanted}
            # As bytes: requests would write text as latin-1.
            basic = tuple(part.encode() for part in login) if login else None
            answer = self._send(name, "GET", asked["realm"], params=query, auth=basic)
        if answer.status_code >= 400:
            raise self._refusal(name, answer)
        try:
            body = answer.json()
            token = body.get("token") or body.get("access_token")
            lasts = float(body.get("expires_in") or "inf")
        except (ValueError, TypeError, AttributeError):
            token = None
        if not token:
            raise RegistryError(name, answer.status_code, "without a token in it")
        return Pass(f"Bearer {token}", time.monotonic() + lasts - min(_SLACK, lasts / 2))

    @cached_property
    def _credentials(self) -> tuple[tuple[str, str] | None, str]:
        """Return what ``docker login`` stored for this host: user and password, or an identity token."""
        import docker.auth
        import docker.errors

        # The helpers know Docker Hub by the name that the SDK turns None into.
        host = None if self.host == DOCKER_HUB else self.host
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the error below says more
                found = docker.auth.load_config().resolve_authconfig(host) or {}
        except (docker.errors.DockerException, ValueError) as error:
            problem = f"the credential helper for {self.host} failed ({describe(error)}); is it installed and on PATH?"
            raise ConfigurationError("~/.docker/config.json", problem) from None
        fields = {key.lower(): value for key, value in found.items()}
        if identity := fields.get("identitytoken"):
            return None, str(identity)
        user, password = fields.get("username"), fields.get("password")
        return ((str(user), str(password)) if user and password else None), ""


def _parse(challenge: str) -> dict[str, dict[str, str]]:
    """Read a WWW-Authenticate header: its schemes, in lower case, with their parameters."""
    return {
        scheme.lower(): {
            name.lower(): quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,"]+))', rest)
        }
        for scheme, rest in _CHALLENGE.findall(challenge)
    }
