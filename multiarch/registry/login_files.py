"""The directory of credentials for a BuildKit client that reads no other: removed on signals, and swept after kills.

Clients before BuildKit 0.24 do not know ``DOCKER_AUTH_CONFIG``. Theirs is in memory where the system has such a file
system, and for this user alone. The process that made it holds a lock on it: what is not locked is stale.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import signal
import tempfile
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.paths import locked
from multiarch.registry import docker_config
from multiarch.registry.docker_config import VARIABLE, entries_of_variable, key, mapping, stored_login

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import FrameType

_MEMORY = "/dev/shm"  # noqa: S108 (a directory for this user alone is made in it)
_PREFIX = "multiarch-login-"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_directories: list[tuple[Path, int]] = []  # with the descriptor that holds the lock


def sweep() -> None:
    """Remove the directories of runs that have ended without removing theirs, such as by a SIGKILL."""
    for path in (path for place in _places() for path in place.glob(f"{_PREFIX}*")):
        with suppress(OSError):
            if path.lstat().st_uid == os.geteuid() and (descriptor := locked(path)) is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(descriptor)


def provide(client: Path) -> None:
    """Put this run's credentials into a directory, for a client that does not read them from the environment."""
    entries = entries_of_variable()
    if not entries or any((path / "config.json").exists() for path, _ in _directories) or _knows_variable(client):
        return
    stored = docker_config.directory()
    directory = make()
    _write(directory, stored, {name: {"auth": basic} for name, basic in entries.items()})
    os.environ["DOCKER_CONFIG"] = str(directory)


@contextmanager
def configuration(registries: Iterable[str]) -> Iterator[Path]:
    """Yield a directory of Docker's configuration with the logins for some registries, and nothing else.

    It is for a program that reads neither the variable nor asks the helpers as we do; others learn nothing from it.

    :param registries: hosts as they stand in image references.
    :raises ConfigurationError: a credential helper fails, or Docker's configuration cannot be read.
    """
    auths = {key(registry): entry for registry in registries if (entry := stored_login(registry).entry)}
    base = make()
    # Below it: `provide` knows by a file in it that the other client has its own.
    directory = base / "docker"
    try:
        directory.mkdir(mode=0o700)
        _write_file(directory, {"auths": auths})
        yield directory
    finally:
        _remove_one(base)


def _remove_one(path: Path) -> None:
    """Remove one directory, unless a signal has already done so."""
    for entry in [entry for entry in _directories if entry[0] == path]:
        with suppress(ValueError):
            _directories.remove(entry)
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            os.close(entry[1])


def remove() -> None:
    """Remove the directory, if there is one."""
    while _directories:
        path, descriptor = _directories.pop()
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            os.close(descriptor)


@contextmanager
def removing() -> Iterator[None]:
    """Remove the directory at the end, and on a signal before anything else is done about it."""
    former_config = os.environ.get("DOCKER_CONFIG")
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                _remove_first(number, stack)
        try:
            yield
        finally:
            remove()
            if former_config is None:
                os.environ.pop("DOCKER_CONFIG", None)
            else:
                os.environ["DOCKER_CONFIG"] = former_config


def _remove_first(number: int, stack: ExitStack) -> None:
    """Have a signal remove the files of logins before it does what it did; *stack* undoes that."""
    former = signal.getsignal(number)
    if former is signal.SIG_IGN:
        return

    def handle(number: int, frame: FrameType | None) -> Any:
        remove()
        if callable(former):
            return former(number, frame)
        signal.signal(number, signal.SIG_DFL)
        return signal.raise_signal(number)

    signal.signal(number, handle)
    stack.callback(signal.signal, number, former or signal.SIG_DFL)


def make(*, runnable: bool = False) -> Path:
    """Return a new directory for secrets of this run, which this process has locked.

    `remove` removes it, and `removing` does so at its end and on signals.

    :param runnable: whether it is for a program, which a file system in memory need not run; never for a secret.
    """
    place = None if runnable or not _has_memory() else _MEMORY
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        descriptor = None
        # Another run may have swept it before it was locked.
        with suppress(FileNotFoundError):
            descriptor = locked(path)
        if descriptor is not None and path.exists():
            _directories.append((path, descriptor))
            return path


def _has_memory() -> bool:
    return os.access(_MEMORY, os.W_OK)


def _places() -> list[Path]:
    """Return where directories are: in memory, where that can be, and on a disk; no file is written to find it."""
    disk = Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 (looked at, not written to)
    return [*([Path(_MEMORY)] if _has_memory() else []), disk]


def _knows_variable(client: Path) -> bool:
    """Whether a program reads the variable: its name is in it. One that cannot be read is taken for an older one."""
    try:
        with client.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(VARIABLE.encode()) >= 0
    except (OSError, ValueError):
        return False


def _write(directory: Path, stored: Path, auths: dict[str, Any]) -> None:
    """Write the stored configuration of Docker into a directory, with these logins in place of the stored ones."""
    config = docker_config.read()
    # Contexts and plug-ins are beside the file.
    with suppress(OSError):
        for entry in stored.iterdir():
            if entry.name != "config.json":
                (directory / entry.name).symlink_to(entry.absolute())
    # A helper is asked before any login is read, but where it has no name. It stays for all other registries.
    helpers = {**mapping(config.get("credHelpers")), **dict.fromkeys(auths, "")}
    auths = {**mapping(config.get("auths")), **auths}
    _write_file(directory, {**config, "auths": auths, "credHelpers": helpers})


def _write_file(directory: Path, config: Mapping[str, Any]) -> None:
    with (directory / "config.json").open("x") as file:
        os.chmod(file.fileno(), 0o600)  # noqa: PTH101 (before anything is in it)
        file.write(json.dumps(config))
