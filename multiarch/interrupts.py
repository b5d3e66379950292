"""Signals that end a run: an interrupt from the keyboard, SIGTERM, SIGHUP.

The first one stops what runs, and is raised in the main thread as a `KeyboardInterrupt`, once. So what unwinds then, or
puts tags back, is not interrupted again: further ones are ignored until the run has ended. SIGKILL is for the rest.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FIRST, _FURTHER = b"1", b"+"  # bytes in the pipe to the thread


class Interrupts:
    """The signals of one run.

    :ivar number: the signal that ended the run, 0 where none did.
    :ivar stop: ends what runs in other threads.
    :ivar ignored: called once, when another signal follows and is ignored.
    """

    def __init__(self) -> None:
        self.number = 0
        self.stop: Callable[[], object] = _nothing
        self.ignored: Callable[[], object] = _nothing
        self._waiting = 0
        self._shields = 0
        self._pipe = -1

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Take the signals during the with block; in another thread than the main one, Python gives us none.

        After a signal they are ignored for good: the process is about to end.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        reader, self._pipe = os.pipe()
        threading.Thread(target=self._listen, args=(reader,), daemon=True).start()
        # What is ignored from the start stays so, as nohup has it.
        former = {number: signal.getsignal(number) for number in _ENDS}
        former = {number: handler for number, handler in former.items() if handler is not signal.SIG_IGN}
        for number in former:
            signal.signal(number, self._take)
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, _ignore if self.number else handler)
            pipe, self._pipe = self._pipe, -1
            os.close(pipe)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Let signals wait during the with block; the first that came is raised at its end."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
            waiting = 0 if self._shields else self._waiting
            if waiting:
                self._waiting = 0
                signal.raise_signal(signal.Signals(waiting))

    def _take(self, number: int, _: object) -> None:
        """Handle a signal. No lock is taken here, nor anything written: the main thread may be in the midst of that."""
        if self.number:
            self._tell(_FURTHER)
        elif self._shields:
            self._waiting = number
        else:
            self.number = number
            self._tell(_FIRST)
            raise KeyboardInterrupt

    def _tell(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._pipe, word)

    def _listen(self, reader: int) -> None:
        """Act on the signals in a thread, where locks may be taken."""
        is_told = False
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            while word := pipe.read(1):
                if word == _FIRST:
                    self.stop()
                elif not is_told:
                    is_told = True
                    self.ignored()


# Of this process: signals are the process's, and what must not be interrupted knows no run.
current = Interrupts()


@contextmanager
def shielded() -> Iterator[None]:
    """Let signals wait during the with block, as for the putting back of tags; the first is raised at its end."""
    with current.shielded():
        yield


class ShieldedStack(contextlib.ExitStack):
    """Contexts whose ends are not interrupted, such as the removal of a password."""

    def __exit__(self, *details: Any) -> bool:
        with current.shielded():
            return super().__exit__(*details)


def _nothing() -> None:
    """Do nothing."""


def _ignore(*_: object) -> None:
    """Ignore a signal; unlike SIG_IGN, programs that are started do not inherit it."""
