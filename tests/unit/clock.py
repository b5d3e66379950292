"""A clock for retries: it notes the waits, and takes no time."""

from __future__ import annotations

import threading


class Clock(threading.Event):
    """In the place of `Policy.stopped`: notes in *waits* what it is asked to wait for, and returns at once."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Note the wait."""
        self.waits.append(timeout or 0.0)
        return self.is_set()
