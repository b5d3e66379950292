"""Inputs of a build on this machine: contexts, Dockerfile, secrets and keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.config.settings import SecretKind
from multiarch.errors import ConfigurationError, MissingPathError

if TYPE_CHECKING:
    from multiarch.config.settings import MatrixEntry, Settings

# In the order in which they are looked for; docker build knows the first two, podman build the last ones.
_DOCKERFILES = ("Dockerfile", "dockerfile", "Containerfile", "containerfile")


def dockerfile_path(entry: MatrixEntry) -> Path:
    """Return the Dockerfile of a platform: its own, or the context's; in a remote context the path within it."""
    if entry.dockerfile:
        return Path(entry.dockerfile)
    if not entry.context.is_local:
        return Path(_DOCKERFILES[0])
    paths = [Path(entry.context.place) / name for name in _DOCKERFILES]
    return next((path for path in paths if path.is_file()), paths[0])


def has_local_dockerfile(entry: MatrixEntry) -> bool:
    """Whether the Dockerfile is on this machine: beside a remote context only with an absolute path, as for buildx."""
    return entry.context.is_local or dockerfile_path(entry).is_absolute()


def check_inputs(settings: Settings, entry: MatrixEntry) -> Path | None:
    """Return the Dockerfile; None where it is in a remote context.

    :raises MissingPathError: a context or the Dockerfile is not there.
    :raises ConfigurationError: a secret, or what ``ssh`` names, is not there.
    :raises MultiarchError: a variable that a build argument or a label is taken from is not set.
    """
    if entry.context.is_local and not Path(entry.context.place).is_dir():
        raise MissingPathError("build context", entry.context.place, "context")
    for name, context in entry.contexts.items():
        if context.is_local and not Path(context.place).is_dir():
            raise MissingPathError(f"build context {name!r}", context.place, "build-context", "contexts")
    dockerfile = dockerfile_path(entry) if has_local_dockerfile(entry) else None
    if dockerfile and not dockerfile.is_file():
        raise MissingPathError(f"Dockerfile for {entry.platform}", dockerfile, "dockerfile")
    settings.build.check()
    _check_secrets(settings)
    return dockerfile


def _check_secrets(settings: Settings) -> None:
    """Check that buildctl can read the secrets and the keys."""
    for name, secret in settings.build.secrets.items():
        if secret.kind is SecretKind.VARIABLE and secret.place not in os.environ:
            raise ConfigurationError(f"multiarch.secrets.{name}", f"the variable {secret.place} is not set")
        if secret.kind is SecretKind.FILE and not Path(secret.place).is_file():
            raise ConfigurationError(f"multiarch.secrets.{name}", f"there is no file {secret.place}")
    for name, path in settings.build.ssh.items():
        if not path and not os.environ.get("SSH_AUTH_SOCK"):
            problem = f"SSH_AUTH_SOCK is not set: start an agent (eval $(ssh-agent)), or name a key: {name}=PATH"
            raise ConfigurationError("multiarch.ssh", problem)
        if not Path(path or os.environ["SSH_AUTH_SOCK"]).exists():
            raise ConfigurationError(
                "multiarch.ssh", f"there is no socket or key {path or os.environ['SSH_AUTH_SOCK']}"
            )
