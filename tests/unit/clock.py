"""A clock for retries, whose waits take no time."""

from __future__ import annotations

import threading


class Clock(threading.Event):
    """A stand-in for `Policy.stopped` that returns from each wait at once.

    :ivar waits: the seconds of each wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Append the seconds to *waits*, and return whether the event is set."""
        self.waits.append(timeout or 0.0)
        return self.is_set()
