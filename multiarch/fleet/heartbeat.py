"""A heartbeat beside each solve on a builder elsewhere.

BuildKit's client has no keepalive: where a network is cut without a word, its solve hangs for over two hours.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from multiarch.errors import StoppedError
from multiarch.fleet.errors import BuilderFaultError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multiarch.buildkit.builder import Builder
    from multiarch.fleet.asking import Asking


class Limits(Struct, frozen=True):
    """Times of builders elsewhere, in seconds.

    :ivar answer: for what a builder is asked first; a machine that wakes up takes some.
    :ivar every: between two questions while it builds.
    :ivar patience: for an answer to these; a machine that builds may be slow.
    :ivar misses: how many answers in a row may fail to come until the builder is lost.
    :ivar left_out: for which a builder that was lost builds nothing; a restart takes some.
    """

    answer: float = 10.0
    every: float = 15.0
    patience: float = 10.0
    misses: int = 2
    left_out: float = 60.0


class Heartbeat(Struct, frozen=True):
    """How builders are watched while they build."""

    asking: Asking
    limits: Limits = Limits()

    @contextmanager
    def watch(self, builder: Builder) -> Iterator[threading.Event | None]:
        """Watch a builder elsewhere during the with block; yield what is set where it is lost, None for the local one.

        What asks ends with the block.
        """
        if not builder.name:
            yield None
            return
        lost, over = threading.Event(), threading.Event()
        thread = threading.Thread(target=self._beat, args=(builder, lost, over), daemon=True)
        thread.start()
        try:
            yield lost
        finally:
            over.set()
            thread.join()

    def _beat(self, builder: Builder, lost: threading.Event, over: threading.Event) -> None:
        """Ask a builder again and again until *over*; set *lost* when it has not answered several times in a row."""
        limits, missed = self.limits, 0
        asking, pause = replace(self.asking, seconds=limits.patience), limits.every
        while not over.wait(pause):
            began = time.monotonic()
            try:
                asking.ask(builder, ("info",), given_up=over.is_set)
                missed, pause = 0, limits.every
            except StoppedError:
                return
            except BuilderFaultError:
                missed += 1
                # One that refuses at once may be about to be back.
                pause = max(0.0, began + limits.patience - time.monotonic())
            if missed == limits.misses:
                lost.set()
                return
