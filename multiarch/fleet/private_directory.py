"""A directory for keys: of this user alone, and never in what git keeps."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 10.0  # for git, in a repository on a slow disk


def check_private(where: str, directory: Path) -> None:
    """Check that keys may be kept in a directory, which may not be there yet.

    :param where: the flag or setting that names it.
    :raises ConfigurationError: others can enter it, it is another user's, no directory, or git keeps what is in it.
    """
    if is_kept_by_git(directory):
        problem = f"{directory} is in a git repository, whose every copy would hold the keys of the builders"
        raise ConfigurationError(where, f"{problem}: name another directory, or have git ignore it")
    try:
        state = directory.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(where, f"{directory}: {error.strerror}") from None
    if not stat.S_ISDIR(state.st_mode):
        raise ConfigurationError(where, f"{directory} is no directory; name another")
    if state.st_uid != os.geteuid() or state.st_mode & 0o077:
        problem = f"{directory} is not this user's alone, and is to hold keys"
        raise ConfigurationError(where, f"{problem}: chmod 700 it, or name another")


def is_kept_by_git(path: Path) -> bool:
    """Whether git tracks something at or below a path, or would do so with the next ``git add``."""
    above = next(parent for parent in (path, *path.parents) if parent.is_dir())
    if _git(above, "rev-parse", "--is-inside-work-tree") != b"true":
        return False
    # A directory is ignored by a pattern that ends in a slash only where its name does, or where it is there.
    ignored = _git(above, "check-ignore", "--no-index", "--quiet", "--", f"{path}/") is not None
    return not ignored or bool(_git(above, "ls-files", "--", str(path)))


def make_private(directory: Path) -> None:
    """Make a directory of this user alone, with those above it. :raises OSError: it cannot be made."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)


def _git(directory: Path, *words: str) -> bytes | None:
    """Return what git prints, without the end of its last line; None where it fails, or is not there."""
    # What a hook is told of its own repository does not hold for this one.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # Somebody else's repository is one too (git-config(1), safe.directory).
    command = ["git", "-c", "safe.directory=*", "-C", str(directory), *words]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, env=environ, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.rstrip(b"\n")
