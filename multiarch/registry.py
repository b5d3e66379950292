"""A client of the OCI distribution specification, version 1.1: what composing and checking an index needs of it.

One `Registry` is one host with one pooled session. Requests are authorised as the registry asks (anonymous, Basic, or a
token of its own), from the credentials that ``docker login`` stored; bytes are checked against their digest; transient
faults are retried. Secrets never reach a log or an error.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from multiarch.errors import (
    ConfigurationError,
    DigestMismatchError,
    MultiarchError,
    RegistryError,
    RegistryUnreachableError,
)
from multiarch.references import DOCKER_HUB, is_loopback
from multiarch.retry import Policy, describe, is_transient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = (OCI_INDEX, DOCKER_LIST)
_ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))
# Seconds to connect, and between two bytes of an answer.
_TIMEOUT = (10, 60)


@dataclass(frozen=True)
class Manifest:
    """A manifest or index as it was read or is to be written: the very bytes, so that the digest stays theirs."""

    media_type: str
    body: bytes

    @property
    def digest(self) -> str:
        """``sha256:`` and the hash of the bytes."""
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"

    @cached_property
    def json(self) -> dict[str, Any]:
        """The parsed body."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests instead of being one."""
        return self.media_type in INDEXES


class Registry:
    """A connection to one registry. Safe to use from several threads.

    :param host: ``host[:port]`` as it stands in image references.
    :param policy: how requests are retried.
    :param say: takes one line for each retry.
    """

    def __init__(self, host: str, policy: Policy, say: Callable[[str], None]) -> None:
        self.host = host
        self.policy = policy
        self.say = say
        api = "registry-1.docker.io" if host == DOCKER_HUB else host
        self._base = f"{'http' if is_loopback(host) else 'https'}://{api}/v2/"
        # The last challenge, and what it was about; with it, the next token is asked for without being refused first.
        self._challenge = ("", "")
        self._authorization: dict[str, str] = {}
        self._refused: dict[str, tuple[float, MultiarchError]] = {}
        self._lock = threading.Lock()

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """Read the manifest or index under a tag or digest; None when there is none ("Pulling manifests").

        :raises DigestMismatchError: the bytes are not those of the digest asked for.
        """
        path = f"{repository}/manifests/{reference}"
        response = self._request("GET", path, repository, headers={"Accept": _ACCEPT}, missing_is_fine=True)
        if response.status_code == 404:
            return None
        found = Manifest(response.headers.get("Content-Type", "").partition(";")[0], response.content)
        promised = reference if reference.startswith("sha256:") else response.headers.get("Docker-Content-Digest")
        if promised and promised != found.digest:
            raise DigestMismatchError(f"GET {self.host}/{path}", promised, found.digest)
        return found

    def put_manifest(self, repository: str, reference: str, manifest: Manifest) -> str:
        """Write a manifest or index under a tag or its digest; return the digest ("Pushing manifests").

        :raises DigestMismatchError: the registry stored something else.
        """
        path = f"{repository}/manifests/{reference}"
        headers = {"Content-Type": manifest.media_type}
        response = self._request("PUT", path, repository, headers=headers, data=manifest.body)
        stored = response.headers.get("Docker-Content-Digest", manifest.digest)
        if stored != manifest.digest:
            raise DigestMismatchError(f"PUT {self.host}/{path}", manifest.digest, stored)
        return stored

    def blob(self, repository: str, digest: str) -> bytes:
        """Read a small blob, such as an image's config, into memory ("Pulling blobs")."""
        path = f"{repository}/blobs/{digest}"
        content = self._request("GET", path, repository).content
        actual = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if actual != digest:
            raise DigestMismatchError(f"GET {self.host}/{path}", digest, actual)
        return content

    @cached_property
    def _session(self) -> requests.Session:
        import requests
        from requests.adapters import HTTPAdapter

        session = requests.Session()
        # As Docker does, a registry on this machine is never asked for through a proxy.
        session.trust_env = not is_loopback(self.host)
        # requests would put a password of ~/.netrc over the token that the registry asked for.
        session.auth = lambda request: request
        session.mount(self._base, HTTPAdapter(pool_maxsize=32))
        return session

    def _request(
        self,
        verb: str,
        path: str,
        repository: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        missing_is_fine: bool = False,
    ) -> requests.Response:
        name = f"{verb} {self.host}/{path}"
        scope = f"repository:{repository}:{'pull' if verb in ('GET', 'HEAD') else 'pull,push'}"

        def attempt() -> requests.Response:
            if self._challenge[1]:
                self._authorize(scope, None)
            used = self._authorization.get(scope)
            response = self._send(name, verb, path, scope, headers, data)
            if response.status_code == 401:
                # Once: a token may have expired. A second refusal is the answer.
                self._challenge = scope, response.headers.get("WWW-Authenticate", "")
                self._authorize(scope, used)
                response = self._send(name, verb, path, scope, headers, data)
            if response.status_code < 400 or (missing_is_fine and response.status_code == 404):
                return response
            raise self._refusal(name, response)

        return self.policy.call(name, attempt, show=self.say)

    def _send(
        self, name: str, verb: str, path: str, scope: str, headers: Mapping[str, str] | None, data: bytes | None
    ) -> requests.Response:
        import requests

        sent = dict(headers or {})
        if authorization := self._authorization.get(scope):
            sent["Authorization"] = authorization
        try:
            return self._session.request(verb, urljoin(self._base, path), headers=sent, data=data, timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise RegistryUnreachableError(name, describe(error), transient=is_transient(error)) from None

    def _authorize(self, scope: str, used: str | None) -> None:
        """Answer the last challenge (RFC 9110, section 11; distribution's "Token Authentication Specification").

        :param used: what was refused; when something else is there by now, another thread has just done it.
        """
        began = time.monotonic()
        with self._lock:
            if self._authorization.get(scope) != used:
                return
            failed, error = self._refused.get(scope, (0.0, None))
            if error and failed > began:
                raise error  # what those learnt who asked while we waited for them
            self._authorization.pop(scope, None)
            about, challenge = self._challenge
            scheme, _, rest = challenge.partition(" ")
            fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
            if about != scope:
                fields.pop("scope", None)
            if scheme.lower() == "basic" and (login := self._credentials[0]):
                encoded = base64.b64encode(":".join(login).encode()).decode()
                self._authorization[scope] = f"Basic {encoded}"
            elif scheme.lower() == "bearer" and "realm" in fields:
                try:
                    self._authorization[scope] = f"Bearer {self._token(fields, scope)}"
                except MultiarchError as refused:
                    refused.cause = str(refused)  # the line of a retry names the request, not the token's
                    self._refused[scope] = time.monotonic(), refused
                    raise

    def _token(self, fields: Mapping[str, str], scope: str) -> str:
        import requests

        login, identity = self._credentials
        query = {"service": fields.get("service", ""), "scope": fields.get("scope") or scope}
        name = f"token for {self.host}"

        # Not retried here: the request that needs the token is, as a whole.
        try:
            if identity:
                form = {**query, "grant_type": "refresh_token", "refresh_token": identity, "client_id": "multiarch"}
                answer = self._session.post(fields["realm"], data=form, timeout=_TIMEOUT)
            else:
                answer = self._session.get(fields["realm"], params=query, auth=login, timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise RegistryUnreachableError(name, describe(error), transient=is_transient(error)) from None
        if answer.status_code >= 400:
            raise self._refusal(name, answer)
        try:
            body = answer.json()
            token = body.get("token") or body.get("access_token")
        except (ValueError, AttributeError):
            token = None
        if not token:
            raise RegistryError(name, answer.status_code, "without a token in it")
        return str(token)

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
        except docker.errors.DockerException as error:
            problem = f"the credential helper for {self.host} failed ({describe(error)}); is it installed and on PATH?"
            raise ConfigurationError("~/.docker/config.json", problem) from None
        fields = {key.lower(): value for key, value in found.items()}
        if identity := fields.get("identitytoken"):
            return None, str(identity)
        user, password = fields.get("username"), fields.get("password")
        return ((str(user), str(password)) if user and password else None), ""

    def _refusal(self, name: str, response: requests.Response) -> RegistryError:
        """Turn an answer into an error with the registry's own words ("Error codes")."""
        reason = response.reason or ""
        try:
            errors = response.json().get("errors") or []
            reason = "; ".join(f"{e.get('code', '')}: {e.get('message', '')}" for e in errors) or reason
        except (ValueError, AttributeError):
            pass
        hint = f"log in with: docker login {self.host}" if response.status_code in (401, 403) else ""
        return RegistryError(
            name, response.status_code, reason, hint=hint, retry_after=_retry_after(response.headers.get("Retry-After"))
        )


def _retry_after(value: str | None) -> float | None:
    """Read Retry-After in both its forms (RFC 9110, section 10.2.3): seconds, or a date."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    import datetime
    import email.utils

    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=datetime.timezone.utc)
    return max(0.0, (when - datetime.datetime.now(datetime.timezone.utc)).total_seconds())
