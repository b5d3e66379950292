"""What a person sees while it runs: lines on standard error, results on standard output."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from multiarch.platforms import Platform


@dataclass(frozen=True)
class Progress:
    """Writes whole lines, also when several platforms write at once.

    :ivar stream: where to; standard error, because standard output carries the results alone.
    :ivar prefix: names whose lines they are.
    """

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    prefix: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def say(self, text: str) -> None:
        """Write *text*, each of its lines behind the prefix."""
        with self.lock:
            for line in text.splitlines() or [""]:
                self.stream.write(f"{self.prefix}{line}\n")
            self.stream.flush()

    def of(self, platform: Platform, width: int = 0) -> Progress:
        """Return the same output with a prefix for *platform*, padded to *width* columns."""
        return Progress(self.stream, f"{platform!s:<{width}} │ ", self.lock)
