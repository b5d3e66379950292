"""Emulators of this machine's kernel, which all tests share: some need them, and some take them away for a moment."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[1]
ENTRIES = Path("/proc/sys/fs/binfmt_misc")
_LOCK = Path(tempfile.gettempdir()) / "multiarch-tests-emulators.lock"


@contextlib.contextmanager
def kept(*platforms: str) -> Iterator[None]:
    """Keep the emulators as they are, with those of *platforms*, which may have to be registered."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if platforms:
            words = [f"--platform={platform}" for platform in platforms]
            subprocess.run([sys.executable, "-m", "invoke", "setup-binfmt", *words], cwd=_ROOT, check=True)
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def changed() -> Iterator[None]:
    """Change the emulators, while nobody else needs them."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
