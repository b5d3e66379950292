"""Signals that end a program, put off while something must not be cut in two."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Deferred:
    """The signals that came during a `deferred` block."""

    def __init__(self, on_signal: Callable[[], object]) -> None:
        self._on_signal = on_signal
        self.first: int | None = None

    def note(self, number: int, _: FrameType | None = None) -> None:
        """Take note of a signal; fits ``signal.signal``."""
        if self.first is None:
            self.first = number
        self._on_signal()

    def check(self) -> None:
        """Check that no signal came. :raises KeyboardInterrupt: one did."""
        if self.first is not None:
            raise KeyboardInterrupt


@contextmanager
def deferred(on_signal: Callable[[], object]) -> Iterator[Deferred]:
    """Put SIGINT, SIGTERM and SIGHUP off until the with block has ended, however many come.

    Their former handlers are called once then, with the first signal. Python handles signals in the main thread alone:
    elsewhere nothing is put off.

    :param on_signal: called for each signal, to make the block end soon.
    """
    signals = Deferred(on_signal)
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    former = {number: signal.signal(number, signals.note) for number in _SIGNALS}
    try:
        yield signals
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        if signals.first is not None:
            signal.raise_signal(signals.first)
