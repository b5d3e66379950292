"""The BuildKit client, ``buildctl``: where it is found, and whether it runs here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.errors import BuildctlMissingError, BuildctlNotExecutableError
from multiarch.image.elf import Elf
from multiarch.image.platform import Platform
from multiarch.paths import cache_directory

if TYPE_CHECKING:
    from multiarch.config.settings import Settings
    from multiarch.trace import Trace


def find_buildctl(settings: Settings) -> Path:
    """Return the client to build with: in ``dest``, in the cache, else on PATH; none that cannot run here.

    :raises BuildctlMissingError: there is none.
    :raises BuildctlNotExecutableError: it lacks the permission, or cannot run here, and there is no other.
    """
    places = list(dict.fromkeys([default_path(settings), _cache_path(settings)]))
    problems: list[BuildctlNotExecutableError] = []
    for path in filter(Path.is_file, places):
        try:
            check_kind(path)
        except BuildctlNotExecutableError as error:
            problems.append(error)
            continue
        if not os.access(path, os.X_OK):
            raise BuildctlNotExecutableError(path, "it lacks the permission; chmod +x, or run copy-buildctl again")
        return path
    if on_path := buildctl_on_path():
        return on_path
    raise problems[0] if problems else BuildctlMissingError(places)


def buildctl_on_path() -> Path | None:
    """Return the client on PATH, None without one."""
    found = shutil.which("buildctl")
    return Path(found) if found else None


def check_kind(path: Path) -> None:
    """Check that a client can run here, without running it where its kind says so.

    One that was copied on another machine, or by an earlier version, would else be preferred to one that can.

    :raises BuildctlNotExecutableError: it cannot.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
        if os.statvfs(path).f_flag & os.ST_NOEXEC:
            raise BuildctlNotExecutableError(path, "its file system is mounted with noexec; name another with --dest")
    except OSError as error:
        raise BuildctlNotExecutableError(path, error.strerror or str(error)) from None
    elf = Elf.parse(head)
    is_native = elf is not None and sys.platform == "linux" and elf in _native()
    # What may run by another interpreter or emulator is tried.
    if not is_native and not head.startswith(b"#!") and os.access(path, os.X_OK):
        check_executable(path)


def _native() -> list[Elf]:
    """Return the marks of this machine's programs."""
    try:
        return [Platform.parse(os.uname().machine).elf]
    except ValueError:
        return []


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
    if not settings.builder.dest:
        return _cache_path(settings)
    directory = Path(settings.builder.dest)
    # A name without a directory would be looked for on PATH.
    return (directory if directory.parts else directory.absolute()) / "buildctl"


def _cache_path(settings: Settings) -> Path:
    """One place for each version: the tag or digest of the server's image."""
    version = re.sub(r"[^\w.-]", "-", settings.builder.image.rpartition("/")[2].partition(":")[2] or "latest")
    return cache_directory() / "buildctl" / version / "buildctl"
