"""The BuildKit client, ``buildctl``: where it is found, and whether it runs here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.errors import BuildctlMissingError, BuildctlNotExecutableError
from multiarch.paths import cache_directory

if TYPE_CHECKING:
    from multiarch.config.settings import Settings
    from multiarch.trace import Trace


def find_buildctl(settings: Settings) -> Path:
    """Return the client to build with: in ``dest``, in the cache, else on PATH.

    :raises BuildctlMissingError: there is none.
    :raises BuildctlNotExecutableError: it lacks the permission.
    """
    places = list(dict.fromkeys([default_path(settings), _cache_path(settings)]))
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        on_path = shutil.which("buildctl")
        if on_path is None:
            raise BuildctlMissingError(places)
        return Path(on_path)
    if not os.access(found, os.X_OK):
        raise BuildctlNotExecutableError(found, "it lacks the permission; chmod +x, or run copy-buildctl again")
    return found


def check_executable(path: Path, trace: Trace | None = None) -> None:
    """Run ``buildctl --version``.

    :raises BuildctlNotExecutableError: it cannot be started, fails, or does not end within a minute.
    """
    command = [str(path), "--version"]
    ended = trace.command(command) if trace else None
    try:
        done = subprocess.run(command, check=True, capture_output=True, timeout=60)
        if ended:
            ended(done.returncode)
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BuildctlNotExecutableError(path, f"{os.uname().sysname} on {os.uname().machine}: {reason}") from None


def default_path(settings: Settings) -> Path:
    """Return where this step puts the client."""
    return Path(settings.builder.dest) / "buildctl" if settings.builder.dest else _cache_path(settings)


def _cache_path(settings: Settings) -> Path:
    """One place for each version: the tag or digest of the server's image."""
    version = re.sub(r"[^\w.-]", "-", settings.builder.image.rpartition("/")[2].partition(":")[2] or "latest")
    return cache_directory() / "buildctl" / version / "buildctl"
