"""Credentials from the environment, as a CI provides them: for one run, in memory alone.

``DOCKER_USERNAME`` and ``DOCKER_PASSWORD`` (a password, or an access token) are for Docker Hub; the variables of other
registries are named after them: ``GHCR_IO_USERNAME`` and ``GHCR_IO_PASSWORD``. In a CI that publishes nothing to Docker
Hub, its variables serve for the first repository's registry too. They win over what ``docker login`` stored. Docker's
libraries and BuildKit's client read credentials from the directory ``DOCKER_CONFIG`` alone, so a run has a directory of
its own until it ends, in memory where the system has such a file system.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.ci import running_in
from multiarch.errors import ConfigurationError
from multiarch.image.reference import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_HUB_KEY = "https://index.docker.io/v1/"  # what Docker calls its Hub in the list of credentials
_MEMORY = "/dev/shm"  # noqa: S108 (a directory for this user alone is made in it)


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
    logins = _logins(registries, environ, needed=needed)
    if not logins:
        yield
        return
    former = os.environ.get("DOCKER_CONFIG")
    stored = Path(former or os.path.expanduser("~/.docker"))  # noqa: PTH111 (it passes where there is no home)
    directory = Path(tempfile.mkdtemp(prefix="multiarch-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None))
    try:
        _write(directory, stored, logins)
        os.environ["DOCKER_CONFIG"] = str(directory)
        yield
    finally:
        if former is None:
            os.environ.pop("DOCKER_CONFIG", None)
        else:
            os.environ["DOCKER_CONFIG"] = former
        shutil.rmtree(directory, ignore_errors=True)


def _logins(registries: Sequence[str], environ: Mapping[str, str], *, needed: bool) -> dict[str, tuple[str, str]]:
    """Return the user and password for each registry that *environ* has them for."""
    logins: dict[str, tuple[str, str]] = {}
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
                logins[registry] = user, password
    return logins


def _write(directory: Path, stored: Path, logins: Mapping[str, tuple[str, str]]) -> None:
    """Write the stored configuration of Docker into a directory, with these logins in place of the stored ones."""
    try:
        content = json.loads((stored / "config.json").read_text())
    except (OSError, ValueError):
        content = {}
    config = _mapping(content)
    # Contexts and plug-ins are beside the file.
    with suppress(OSError):
        for entry in stored.iterdir():
            if entry.name != "config.json":
                (directory / entry.name).symlink_to(entry.absolute())
    auths, helpers = _mapping(config.get("auths")), _mapping(config.get("credHelpers"))
    # A helper for all registries is asked before any login is read: it stays for those that it had logins of.
    if helper := config.pop("credsStore", None):
        helpers = {**dict.fromkeys(auths, helper), **helpers}
    for registry, login in logins.items():
        key = _HUB_KEY if registry == DOCKER_HUB else registry
        helpers.pop(key, None)
        auths[key] = {"auth": base64.b64encode(":".join(login).encode()).decode()}
    text = json.dumps({**config, "auths": auths, "credHelpers": helpers})
    (directory / "config.json").write_text(text)


def _mapping(value: Any) -> dict[str, Any]:
    """Return a mapping as it is, and an empty one for anything else, as Docker ignores that too."""
    return dict(value) if isinstance(value, dict) else {}
