"""Lock of the lab: two commands that make the same part, or start the same daemon, would break each other."""

from __future__ import annotations

import contextlib
import fcntl
from typing import TYPE_CHECKING

from lab.paths import CACHE
from lab.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other command of the lab is at work, and keep others waiting meanwhile."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waits for another command of the lab")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
