"""Credentials from the environment, as a CI has them: for one run, in memory, and nowhere else.

``DOCKER_USERNAME`` and ``DOCKER_PASSWORD`` (a password, or an access token) are for the registry of the first
repository; for that of another they are named after it: ``GHCR_IO_USERNAME`` and ``GHCR_IO_PASSWORD``. They win over
what ``docker login`` stored. Docker's libraries and BuildKit's client read credentials from the directory
``DOCKER_CONFIG`` alone: so a run has one of its own, on a file system in memory where there is one, until it ends.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.errors import ConfigurationError
from multiarch.references import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# What Docker calls its Hub in the list of credentials.
_HUB_KEY = "https://index.docker.io/v1/"
_MEMORY = "/dev/shm"  # noqa: S108 (a directory of this user's alone is made in it)


def variables(registries: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return for each registry, the first repository's first, the variables of its user and its password."""
    prefixes = {registry: re.sub(r"[^A-Z0-9]", "_", registry.upper()) for registry in registries[1:]}
    prefixes = {registries[0]: "DOCKER", **{r: p for r, p in prefixes.items() if r != registries[0]}}
    return {registry: (f"{prefix}_USERNAME", f"{prefix}_PASSWORD") for registry, prefix in prefixes.items()}


@contextmanager
def logged_in(registries: Sequence[str], environ: Mapping[str, str], *, needed: bool = True) -> Iterator[None]:
    """Let this process, and those that it starts, use the credentials in *environ*, if there are any.

    :param registries: hosts, that of the first repository first.
    :param needed: whether something is pushed; a pull request may have the user, and not the secret.
    :raises ConfigurationError: a password without its user, or the other way round.
    """
    found: dict[str, tuple[str, str]] = {}
    for registry, names in variables(registries).items():
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
    stored = Path(former) if former else Path.home() / ".docker"
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
        config: dict[str, Any] = json.loads((stored / "config.json").read_text())
    except (OSError, ValueError):
        config = {}
    # Contexts and plug-ins lie beside it.
    for entry in stored.iterdir() if stored.is_dir() else ():
        if entry.name != "config.json":
            (directory / entry.name).symlink_to(entry.resolve())
    auths, helpers = dict(config.get("auths") or {}), dict(config.get("credHelpers") or {})
    # A helper for all would be asked in place of what is written here; it stays for those that it knew.
    if helper := config.pop("credsStore", None):
        helpers = {**dict.fromkeys(auths, helper), **helpers}
    for registry, login in found.items():
        key = _HUB_KEY if registry == DOCKER_HUB else registry
        helpers.pop(key, None)
        auths[key] = {"auth": base64.b64encode(":".join(login).encode()).decode()}
    text = json.dumps({**config, "auths": auths, "credHelpers": helpers})
    (directory / "config.json").write_text(text)
