"""Credentials for registries: those that ``docker login`` stored, and those of the environment, as a CI provides them.

``DOCKER_USERNAME`` and ``DOCKER_PASSWORD`` (a password, or an access token) are for Docker Hub; the variables of other
registries are named after them: ``GHCR_IO_USERNAME`` and ``GHCR_IO_PASSWORD``. In a CI that publishes nothing to Docker
Hub, its variables serve for the first repository's registry too. They win over what ``docker login`` stored.

For one run they are in ``DOCKER_AUTH_CONFIG``, which Docker's command and BuildKit's client read. A variable is as
private as a file for this user alone: the same user and root may read it, in /proc; and the variables that a CI set
are there anyway. Unlike a file, it ends with its processes, however they end.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from multiarch.ci import running_in
from multiarch.errors import ConfigurationError
from multiarch.image.reference import DOCKER_HUB, ImageReference
from multiarch.registry.docker_config import VARIABLE, Login, entries_of_variable, key, stored_login

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


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
    if not logins and not entries_of_variable():
        yield
        return
    former = os.environ.get(VARIABLE)
    auths = {**entries_of_variable(), **{key(registry): login.basic for registry, login in logins.items()}}
    os.environ[VARIABLE] = json.dumps({"auths": {name: {"auth": basic} for name, basic in auths.items()}})
    try:
        with login_files.removing():
            yield
    finally:
        if former is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = former


def check_variables(registries: Sequence[str], environ: Mapping[str, str]) -> None:
    """Check that no user is without its password. :raises ConfigurationError: one is, or the other way round."""
    _logins(registries, environ, needed=True)


def docker_login(image: str) -> dict[str, str]:
    """Return the credentials for the registry of an image, as Docker's SDK takes them; empty without any.

    The SDK would look for them in an order of its own, and in no variable.
    """
    login = stored_login(ImageReference.parse(image).registry)
    if login.identity_token:
        return {"identitytoken": login.identity_token}
    return {"username": login.user, "password": login.password} if login.user else {}


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
