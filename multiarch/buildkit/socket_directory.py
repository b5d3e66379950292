"""The directory of this machine that holds the server's socket, mounted into its privileged container."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

_PRIVATE = 0o700
_OTHERS_WRITE = 0o022


def make_private(directory: Path, setting: str) -> None:
    """Make a directory that only this user can enter, or check that it is one.

    An existing one is changed only while it is empty, and never where it may be in use by another user or program.

    :param setting: the setting that names another, for the error.
    :raises ConfigurationError: it cannot be made, or must not be used.
    """
    try:
        directory.mkdir(mode=_PRIVATE, parents=True)
        return
    except FileExistsError:
        pass
    except (OSError, ValueError) as error:
        raise _refusal(setting, f"cannot make {directory}: {getattr(error, 'strerror', None) or error}") from None
    try:
        # The checks and the change are of one and the same directory: a link put in its place is not followed.
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        raise _refusal(setting, f"{directory} is a symbolic link, or no directory that this user can read") from None
    try:
        _check(descriptor, directory, setting)
    finally:
        os.close(descriptor)


def _check(descriptor: int, directory: Path, setting: str) -> None:
    """Check an open directory; make it private while it is empty."""
    found = os.fstat(descriptor)
    mode = stat.S_IMODE(found.st_mode)
    if os.path.samestat(found, os.stat("/")):  # noqa: PTH116 (samestat takes what os.stat returns)
        raise _refusal(setting, "/ cannot be shared with the server")
    if found.st_uid != os.geteuid():
        raise _refusal(setting, f"{directory} belongs to another user")
    if mode & _OTHERS_WRITE:
        raise _refusal(setting, f"others can write to {directory} (mode {mode:04o})")
    for parent in directory.absolute().parents:
        above = parent.stat().st_mode
        if above & stat.S_IWOTH and not above & stat.S_ISVTX:
            raise _refusal(setting, f"others can replace {directory}: they can write to {parent}")
    if mode != _PRIVATE:
        if os.listdir(descriptor):
            raise _refusal(setting, f"{directory} is in use: it is not empty, and its mode is {mode:04o}, not 0700")
        os.fchmod(descriptor, _PRIVATE)


def _refusal(setting: str, problem: str) -> ConfigurationError:
    remedy = "name a directory of your own that does not exist yet: --address unix:///DIR/buildkitd.sock"
    return ConfigurationError(setting, f"{problem}; {remedy}")
