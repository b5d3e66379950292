"""Emulators of this machine's kernel, which all tests share: some need them, and some take them away for a moment."""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENTRIES = Path("/proc/sys/fs/binfmt_misc")
_LOCK = Path(tempfile.gettempdir()) / "multiarch-tests-emulators.lock"


@contextlib.contextmanager
def kept(register: Callable[[], object] | None = None) -> Iterator[None]:
    """Keep the emulators as they are. :param register: registers what may be missing."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if register:
            register()
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def changed() -> Iterator[None]:
    """Change the emulators, while nobody else needs them."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
