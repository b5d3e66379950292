"""Digests of the directories that BuildKit's client sends: names, kinds, permissions and contents of the files.

What the ignore file leaves out is not sent (Docker, "Build context"; BuildKit, frontend/dockerui/config.go).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit.ignore_file import IgnoreFile

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

_CHUNK = 1 << 20
_LARGEST_IGNORE_FILE = 1 << 20  # bytes
_SETTLED = 1_000_000_000  # nanoseconds; file systems keep times to 2 s at worst, Linux's own to 10 ms
_TOO_MUCH = "more is sent than is read where nobody asks for it"


class UnreadableFileError(Exception):
    """A file that is sent, or may be, cannot be read. ``str(error)`` names it and says why."""


def ignore_file(directory: Path, dockerfile: Path | None) -> Path | None:
    """Return the ignore file of a context: that of the Dockerfile goes before the context's; None without one."""
    own = [dockerfile.with_name(f"{dockerfile.name}.dockerignore")] if dockerfile else []
    return next((path for path in (*own, directory / ".dockerignore") if path.is_file()), None)


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex digits. :raises UnreadableFileError: it cannot be read."""
    found = hashlib.sha256()
    try:
        # Not a pipe in the place of a file, which nobody may ever write to.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableFileError(f"{path} is no file")
            while chunk := file.read(_CHUNK):
                found.update(chunk)
    except OSError as error:
        raise UnreadableFileError(f"{path}: {error.strerror}") from None
    return found.hexdigest()


def digest_of_directory(
    directory: Path,
    ignored: Path | None = None,
    read: Callable[[Path], str] = digest_of_file,
    most: int | None = None,
) -> tuple[str, bool]:
    """Return the SHA-256 of what is sent of a directory, in hex digits, and whether a ``.git`` of it is sent too.

    The content of that ``.git`` does not count: it differs from clone to clone.

    :param ignored: the ignore file.
    :param read: returns the digest of a file's content.
    :param most: names that are looked at; None for any number.
    :raises UnreadableFileError: something in it cannot be read, or there is more.
    """
    found, has_git = hashlib.sha256(), False
    for name, path in _files(directory, _read_ignore_file(ignored), most):
        if name == ".git":
            has_git = True
            continue
        _add(found, name, path, read)
    return found.hexdigest(), has_git


class SentFiles:
    """Digests of the files and directories that are sent, each of which is read once.

    :param earlier: what was read before, with its bounds: a file whose status has not changed since is not read again.
    :param most_names: that are looked at in a directory; None for any number.
    :param most_bytes: of files that are read; None for any number.
    :param stopped: ends all reading.
    """

    def __init__(
        self,
        earlier: SentFiles | None = None,
        *,
        most_names: int | None = None,
        most_bytes: int | None = None,
        stopped: threading.Event | None = None,
    ) -> None:
        self._files: dict[tuple[str, tuple[int, ...]], str] = earlier._files if earlier else {}
        self._stopped: threading.Event | None = earlier._stopped if earlier else stopped
        self._directories: dict[tuple[Path, Path | None], tuple[str, bool]] = {}
        self._most_names: int | None = earlier._most_names if earlier else most_names
        self._most_bytes: int | None = earlier._most_bytes if earlier else most_bytes
        self._bytes = 0

    def directory(self, directory: Path, ignored: Path | None) -> tuple[str, bool]:
        """Return what `digest_of_directory` does. :raises UnreadableFileError: there is too much, or not readable."""
        key = (directory, ignored)
        if key not in self._directories:
            self._directories[key] = digest_of_directory(directory, ignored, self.file, self._most_names)
        return self._directories[key]

    def file(self, path: Path) -> str:
        """Return what `digest_of_file` does. :raises UnreadableFileError: there is too much, or not readable."""
        if self._stopped and self._stopped.is_set():
            raise UnreadableFileError("stopped")
        try:
            status = path.stat()
        except OSError as error:
            raise UnreadableFileError(f"{path}: {error.strerror}") from None
        self._bytes += status.st_size
        if self._most_bytes is not None and self._bytes > self._most_bytes:
            raise UnreadableFileError(_TOO_MUCH)
        key = (str(path), (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        # A file that was written to just now may be so again within the resolution of its times.
        is_settled = time.time_ns() - status.st_ctime_ns > _SETTLED
        digest = (is_settled and self._files.get(key)) or digest_of_file(path)
        if is_settled:
            self._files[key] = digest
        return digest


def _add(found: hashlib._Hash, name: str, path: Path, read: Callable[[Path], str]) -> None:
    """Add a file to the digest as it would be sent: name, mode, content or target, extended attributes.

    :param read: returns the digest of the content of a file.
    :raises UnreadableFileError: it cannot be read, or is a device or a pipe.
    """
    try:
        status = path.lstat()
        target = str(path.readlink()) if stat.S_ISLNK(status.st_mode) else ""
        attributes = _extended_attributes(path)
    except OSError as error:
        raise UnreadableFileError(f"{path}: {error.strerror}") from None
    if stat.S_ISREG(status.st_mode):
        content = read(path)
    elif stat.S_ISLNK(status.st_mode) or stat.S_ISDIR(status.st_mode):
        content = target
    elif stat.S_ISSOCK(status.st_mode):  # not sent (fsutil)
        return
    else:
        raise UnreadableFileError(f"{path} is a device or a pipe")
    # No name, and no target of a link, has a zero in it.
    fields = (name, f"{status.st_mode:o}", content, *(text for pair in attributes for text in pair), "")
    found.update(b"".join(os.fsencode(field) + b"\0" for field in fields))


def _files(directory: Path, ignored: IgnoreFile, most: int | None) -> Iterator[tuple[str, Path]]:
    """Yield everything below a directory by its name, in one order everywhere; a ``.git`` without what is in it.

    :param most: names that are looked at; None for any number.
    """
    pending, count = [("", directory)], 0
    while pending:
        prefix, folder = pending.pop()
        try:
            with os.scandir(folder) as found:
                wanted = None if most is None else most - count + 1
                entries = sorted(islice(found, wanted), key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            raise UnreadableFileError(f"{folder}: {error.strerror}") from None
        count += len(entries)
        if most is not None and count > most:
            raise UnreadableFileError(_TOO_MUCH)
        below = []
        for entry in entries:
            name = prefix + entry.name
            is_left_out = ignored.leaves_out(name)
            if not is_left_out:
                yield name, Path(entry.path)
            is_directory = entry.is_dir(follow_symlinks=False) and name != ".git"
            if is_directory and (not is_left_out or ignored.has_exceptions):
                below.append((f"{name}/", Path(entry.path)))
        pending += reversed(below)


def _read_ignore_file(ignored: Path | None) -> IgnoreFile:
    """Return what an ignore file leaves out. :raises UnreadableFileError: it cannot be read."""
    if ignored is None:
        return IgnoreFile()
    try:
        with ignored.open("rb") as file:
            return IgnoreFile.parse(file.read(_LARGEST_IGNORE_FILE + 1))
    except OSError as error:
        raise UnreadableFileError(f"{ignored}: {error.strerror}") from None
    except ValueError as error:
        raise UnreadableFileError(f"{ignored} {error}") from None


def _extended_attributes(path: Path) -> list[tuple[str, str]]:
    """Return the extended attributes of a file, which are sent; none where the system, or its file system, has none."""
    if not hasattr(os, "listxattr"):
        return []
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return []  # as fsutil takes it (stat_unix.go)
    return [(name, os.getxattr(path, name, follow_symlinks=False).hex()) for name in names]
