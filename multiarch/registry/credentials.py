"""Credentials from the environment, as a CI has them: for one run, in memory, and nowhere else.

``DOCKER_USERNAME`` and ``DOCKER_PASSWORD`` (a password, or an access token) are Docker Hub's; those of other registries
are named after them: ``GHCR_IO_USERNAME`` and ``GHCR_IO_PASSWORD``. In a CI that publishes nothing to Docker Hub, the
first repository's registry may have the former. They win over what ``docker login`` stored. Docker's libraries and
BuildKit's client read credentials from the directory ``DOCKER_CONFIG`` alone: so a run has one of its own, on a file
system in memory where there is one, until it ends.
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

# What Docker calls its Hub in the list of credentials.
_HUB_KEY = "https://index.docker.io/v1/"
_MEMORY = "/dev/shm"  # noqa: S108 (a directory of this user's alone is made in it)


def variables(registries: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return for each registry the variables of its user and its password, as a CI is told to have them.

    :param registries: hosts, that of the first repository first.
    """
    prefixes = {registry: _prefix(registry) for registry in registries}
    if DOCKER_HUB not in prefixes:
        prefixes[registries[0]] = _prefix(DOCKER_HUB)
    return {registry: _named(prefix) for registry, prefix in prefixes.items()}


def _prefix(registry: str) -> str:
    if registry == DOCKER_HUB:
        return "DOCKER"
    name = re.sub(r"[^A-Z0-9]", "_", registry.upper())
    # No variable begins with a digit, and no secret of GitHub's with its name.
    return f"REGISTRY_{name}" if name[0].isdigit() or name.startswith("GITHUB_") else name


def _named(prefix: str) -> tuple[str, str]:
    return f"{prefix}_USERNAME", f"{prefix}_PASSWORD"


@contextmanager
def logged_in(registries: Sequence[str], environ: Mapping[str, str], *, needed: bool = True) -> Iterator[None]:
    """Let this process, and those that it starts, use the credentials in *environ*, if there are any.

    :param registries: hosts, that of the first repository first.
    :param needed: whether something is pushed; a pull request may have the user, and not the secret.
    :raises ConfigurationError: a password without its user, or the other way round.
    """
    found: dict[str, tuple[str, str]] = {}
    in_ci = running_in(environ) is not None
    for registry, shared in variables(registries).items():
        # Elsewhere somebody's password for Docker Hub may be in a variable that is not meant for this registry.
        for names in dict.fromkeys([_named(_prefix(registry)), *([shared] if in_ci else [])]):
            if registry in found:
                continue
            user, password = (environ.get(name, "") for name in names)
            if needed and bool(user) != bool(password):
                given, missing = names if user else reversed(names)
                raise ConfigurationError(given, f"{missing} is not set: set both, or neither")
            if user and password:
                found[registry] = user, password
    if not found:
        yield
        return
    former = os.environ.get("DOCKER_CONFIG")
    stored = Path(former or os.path.expanduser("~/.docker"))  # noqa: PTH111 (it passes where there is no home)
    directory = Path(tempfile.mkdtemp(prefix="multiarch-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None))
    try:
        _write(directory, stored, found)
        os.environ["DOCKER_CONFIG"] = str(directory)
        yield
    finally:
        if former is None:
            os.environ.pop("DOCKER_CONFIG", None)
        else:
            os.environ["DOCKER_CONFIG"] = former
        shutil.rmtree(directory, ignore_errors=True)


def _write(directory: Path, stored: Path, found: Mapping[str, tuple[str, str]]) -> None:
    """Lay out a configuration that is the stored one, but for the credentials that were found."""
    try:
        read = json.loads((stored / "config.json").read_text())
    except (OSError, ValueError):
        read = {}
    config = _mapping(read)
    # Contexts and plug-ins lie beside it.
    with suppress(OSError):
        for entry in stored.iterdir():
            if entry.name != "config.json":
                (directory / entry.name).symlink_to(entry.absolute())
    auths, helpers = _mapping(config.get("auths")), _mapping(config.get("credHelpers"))
    # A helper for all would be asked in place of what is written here; it stays for those that it knew.
    if helper := config.pop("credsStore", None):
        helpers = {**dict.fromkeys(auths, helper), **helpers}
    for registry, login in found.items():
        key = _HUB_KEY if registry == DOCKER_HUB else registry
        helpers.pop(key, None)
        auths[key] = {"auth": base64.b64encode(":".join(login).encode()).decode()}
    text = json.dumps({**config, "auths": auths, "credHelpers": helpers})
    (directory / "config.json").write_text(text)


def _mapping(value: Any) -> dict[str, Any]:
    """Docker passes over what is none, too."""
    return dict(value) if isinstance(value, dict) else {}
