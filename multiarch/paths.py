"""The places of this tool's own files (XDG base directory specification), and files that are written whole or not."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    import tempfile
    from collections.abc import Iterator

_PREFIX = "multiarch-run-"  # of temporary directories; a person's own is not called so
_ATTEMPTS = 10  # to lock a new directory, which others may sweep within microseconds


def cache_directory() -> Path:
    """Return the directory of files that can be made again."""
    return _base("XDG_CACHE_HOME", ".cache") / "multiarch"


def configuration_directory() -> Path:
    """Return the directory of files that this user keeps."""
    return _base("XDG_CONFIG_HOME", ".config") / "multiarch"


def state_directory() -> Path:
    """Return the directory of files that outlive a reboot but are of no use to anybody else."""
    return _base("XDG_STATE_HOME", ".local/state") / "multiarch"


def _base(variable: str, default: str) -> Path:
    """Return a base directory: the variable's; where it is not set, empty or relative, that below the user's home."""
    base = os.environ.get(variable, "")
    if Path(base).is_absolute():
        return Path(base)
    try:
        return Path.home() / default
    except RuntimeError:
        problem = f"it is not set, and this user has no home directory: set it, or {variable}"
        raise ConfigurationError("HOME", problem) from None


def open_file(path: Path, flags: int) -> int:
    """Open a file that is one: neither a link, nor a pipe that would wait for somebody; return its descriptor.

    One that is made is of this user alone.

    :raises OSError: it is something else, or cannot be opened.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise OSError(0, "it is no file", str(path))
    return descriptor


@contextlib.contextmanager
def replacing(path: Path, *, mode: int | None = None) -> Iterator[BinaryIO]:
    """Yield a file to write to, which takes the place of *path* at the end; when anything fails, *path* is as before.

    The file is in the directory of *path*, and nobody can know its name, or have put a link there, before.

    :param mode: its permissions, whatever the umask; None for those of any new file.
    """
    whole = path.with_name(f".{os.urandom(8).hex()}.tmp")
    try:
        descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode)
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            yield file
        whole.replace(path)
    except BaseException:
        whole.unlink(missing_ok=True)
        raise


def make_temporary_directory() -> tempfile.TemporaryDirectory[str]:
    """Make a directory of this user alone, by a name that nobody can know before.

    :raises ConfigurationError: none can be made.
    """
    try:
        return temporary_directory()
    except OSError as error:
        problem = f"no temporary directory can be made: {error.strerror or error}"
        raise ConfigurationError("TMPDIR", f"{problem}; name one that may be written to") from None


def temporary_directory() -> tempfile.TemporaryDirectory[str]:
    """Make a directory as `make_temporary_directory` does, and remove those of runs that were killed.

    This process holds a lock on it as long as the object lives: what is not locked was left by a SIGKILL.

    :raises OSError: none can be made.
    """
    import tempfile
    import weakref

    _sweep(Path(tempfile.gettempdir()))
    for _ in range(_ATTEMPTS):
        directory = _new_directory()
        descriptor = None
        # Another run may sweep it before it is locked.
        with contextlib.suppress(FileNotFoundError):
            descriptor = locked(Path(directory.name))
        if descriptor is not None:
            weakref.finalize(directory, os.close, descriptor).atexit = False
            if Path(directory.name).exists():
                return directory
        directory.cleanup()
    return _new_directory()  # on a file system that has no locks, where nothing is swept either


def _new_directory() -> tempfile.TemporaryDirectory[str]:
    import tempfile

    return tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)


@functools.cache
def _sweep(place: Path) -> None:
    """Remove the directories of killed runs, once in a process."""
    import shutil

    with contextlib.suppress(OSError):
        for path in place.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                if path.lstat().st_uid == os.geteuid() and (descriptor := locked(path)) is not None:
                    shutil.rmtree(path, ignore_errors=True)
                    os.close(descriptor)


def locked(path: Path) -> int | None:
    """Return a descriptor that locks a directory, None where another process has it. :raises OSError: it is none."""
    import fcntl

    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def directory_beside(path: Path) -> Iterator[Path]:
    """Yield a directory on the file system of a path, which has room for what will be there; remove it."""
    import tempfile

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        directory = tempfile.TemporaryDirectory(prefix=".multiarch-", dir=path.parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigurationError("--output", f"cannot write to {path}: {error.strerror}") from None
    with directory as name:
        yield Path(name)
