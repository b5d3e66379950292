"""Credentials for registries: those that ``docker login`` stored, and those of the environment, as a CI provides them.

``DOCKER_USERNAME`` and ``DOCKER_PASSWORD`` (a password, or an access token) are for Docker Hub; the variables of other
registries are named after them: ``GHCR_IO_USERNAME`` and ``GHCR_IO_PASSWORD``. In a CI that publishes nothing to Docker
Hub, its variables serve for the first repository's registry too. They win over what ``docker login`` stored.

For one run they are in ``DOCKER_AUTH_CONFIG``, which Docker's command and BuildKit's client read. A variable is as
private as a file for this user alone: the same user and root may read it, in /proc; and the variables that a CI set
are there anyway. Unlike a file, it ends with its processes, however they end.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from multiarch.ci import running_in
from multiarch.errors import ConfigurationError
from multiarch.image.reference import DOCKER_HUB, ImageReference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VARIABLE = "DOCKER_AUTH_CONFIG"  # docker/cli 28.3 and later, BuildKit 0.24 and later
_HUB_KEY = "https://index.docker.io/v1/"  # what Docker calls its Hub in the list of credentials
_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")  # what it is called there by others


@dataclass(frozen=True)
class Login:
    """User and password for a registry, or an identity token, or nothing."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """User and password as Basic authorisation and Docker's configuration have them; empty without a user."""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode() if self.user else ""


def variables(registries: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return for each registry the names of the variables with its user and its password, as for the files of a CI.

    :param registries: hosts, that of the first repository first.
    """
    prefixes = {registry: _prefix(registry) for registry in registries}
    if DOCKER_HUB not in prefixes:
        prefixes[registries[0]] = _prefix(DOCKER_HUB)
    return {registry: _names(prefix) for registry, prefix in prefixes.items()}


def _prefix(registry: str) -> str:
    if registry == DOCKER_HUB:
        return "DOCKER"
    name = re.sub(r"[^A-Z0-9]", "_", registry.upper())
    # The name of a variable cannot begin with a digit, nor that of a secret of GitHub Actions with GITHUB_.
    return f"REGISTRY_{name}" if name[0].isdigit() or name.startswith("GITHUB_") else name


def _names(prefix: str) -> tuple[str, str]:
    return f"{prefix}_USERNAME", f"{prefix}_PASSWORD"


@contextmanager
def logged_in(registries: Sequence[str], environ: Mapping[str, str], *, needed: bool = True) -> Iterator[None]:
    """Let this process, and those that it starts, use the credentials in *environ*, if there are any.

    :param registries: hosts, that of the first repository first.
    :param needed: whether something is pushed; a pull request may have the user, and not the secret.
    :raises ConfigurationError: a password without its user, or the other way round.
    """
    from multiarch.registry import login_files

    logins = _logins(registries, environ, needed=needed)
    login_files.sweep()
    if not logins:
        yield
        return
    former = os.environ.get(VARIABLE)
    entries = {key(registry): login.basic for registry, login in logins.items()}
    auths = {**_entries(former or ""), **entries}
    os.environ[VARIABLE] = json.dumps({"auths": {name: {"auth": basic} for name, basic in auths.items()}})
    try:
        with login_files.removing():
            yield
    finally:
        if former is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = former


def stored_login(registry: str) -> Login:
    """Return the credentials for a registry: of this run, else those that ``docker login`` stored.

    :raises ConfigurationError: a credential helper fails, or the configuration cannot be read.
    """
    import docker.auth
    import docker.errors

    from multiarch.retry import describe

    if basic := _entries(os.environ.get(VARIABLE, "")).get(key(registry)):
        return _decoded(basic)
    # The helpers know Docker Hub by the name that the SDK turns None into.
    host = None if registry == DOCKER_HUB else registry
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error below says more
            entry = docker.auth.load_config().resolve_authconfig(host) or {}
        # Their case depends on where they come from: a helper or the file.
        fields = {name.lower(): value for name, value in entry.items()}
    except (docker.errors.DockerException, OSError, ValueError, RecursionError) as error:
        problem = f"the credential helper for {registry} failed ({describe(error)}); is it installed and on PATH?"
        raise ConfigurationError("~/.docker/config.json", problem) from None
    except (AttributeError, TypeError, KeyError):
        raise ConfigurationError("~/.docker/config.json", "it is not as docker login writes it; correct it") from None
    if identity_token := fields.get("identitytoken"):
        return Login(identity_token=str(identity_token))
    user, password = fields.get("username"), fields.get("password")
    return Login(str(user), str(password)) if user and password else Login()


def docker_login(image: str) -> dict[str, str] | None:
    """Return this run's credentials for the registry of an image, as Docker's SDK takes them; None without any.

    The SDK reads what ``docker login`` stored by itself, and no variable.
    """
    registry = ImageReference.parse(image).registry
    basic = _entries(os.environ.get(VARIABLE, "")).get(key(registry))
    return {"username": _decoded(basic).user, "password": _decoded(basic).password} if basic else None


def key(registry: str) -> str:
    """Return what a registry is called in Docker's list of credentials."""
    return _HUB_KEY if registry == DOCKER_HUB else registry


def is_key_of(name: str, wanted: str) -> bool:
    """Whether an entry of Docker's list is about the registry whose own entry is called *wanted*.

    Older versions wrote addresses, and Docker Hub has several names.
    """
    return _bare_name(name) == _bare_name(wanted)


def _bare_name(name: str) -> str:
    host = re.sub(r"^https?://", "", name).partition("/")[0]
    return DOCKER_HUB if host in _HUB_NAMES else host


def _entries(text: str) -> dict[str, str]:
    """Return the entries of ``DOCKER_AUTH_CONFIG``; none where Docker would ignore all of it."""
    try:
        auths = json.loads(text or "{}")
        if not isinstance(auths, dict) or auths.keys() - {"auths"}:
            return {}
        entries = auths.get("auths", {})
        is_valid = all(entry.keys() == {"auth"} and _decoded(entry["auth"]).user for entry in entries.values())
        return {name: entry["auth"] for name, entry in entries.items()} if is_valid else {}
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return {}


def _decoded(basic: str) -> Login:
    """Return the user and password of an entry. :raises ValueError: it is none."""
    try:
        user, _, password = base64.b64decode(basic, validate=True).decode().partition(":")
    except binascii.Error:
        raise ValueError(basic) from None
    return Login(user, password)


def _logins(registries: Sequence[str], environ: Mapping[str, str], *, needed: bool) -> dict[str, Login]:
    """Return the login for each registry that *environ* has one for."""
    logins: dict[str, Login] = {}
    in_ci = running_in(environ) is not None
    for registry, shared in variables(registries).items():
        # Outside a CI, the variables of Docker Hub may hold a password that is not meant for this registry.
        for names in dict.fromkeys([_names(_prefix(registry)), *([shared] if in_ci else [])]):
            if registry in logins:
                continue
            user, password = (environ.get(name, "") for name in names)
            if needed and bool(user) != bool(password):
                given, missing = names if user else reversed(names)
                raise ConfigurationError(given, f"{missing} is not set: set both, or neither")
            if user and password:
                logins[registry] = Login(user, password)
    return logins
