"""Signals that end a program: an interrupt from the keyboard, SIGTERM, SIGHUP.

The first one stops what runs, and is raised in the main thread as a `KeyboardInterrupt`, once: what unwinds then is not
interrupted again. Further ones are ignored until the run has ended; SIGKILL is there for whoever cannot wait. What must
not be cut in two, such as the putting back of tags, puts the first one off too. One that comes when a run is settled,
because all tags have moved, interrupts nothing but what hangs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds that a settled run may go on when a signal comes: it only prints what it has done.
_LONGEST_END = 1.5


def nothing() -> None:
    """Do nothing."""


class Interruption(KeyboardInterrupt):
    """The interrupt of a signal.

    A class of its own: after a KeyboardInterrupt itself, raised in code that `exec` runs (`dataclass` does that),
    Python ends with SIGINT in the place of any exit status (pythonrun.c, run_eval_code_obj).
    """


class Interrupts:
    """The signals of one run.

    :ivar number: the signal that ended the run, 0 where none did.
    :ivar late: the first signal that came when the run was settled, 0 where none did.
    :ivar is_settled: whether what the run is for is done.
    :ivar stop: ends what runs in other threads; called in a thread.
    :ivar ignored: called once, in a thread, when another signal follows and is ignored.
    """

    def __init__(self) -> None:
        self.number = self.late = 0
        self.is_settled = False
        self.stop: Callable[[], object] = nothing
        self.ignored: Callable[[], object] = nothing
        self._tell: Callable[[], None] = nothing
        self._told = 0
        self._hangs = False
        self._over = threading.Event()

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Take the signals during the with block. Once one came, they are ignored for good: the process is to end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        with _acting(self._act) as self._tell:
            former = _handle(self.take)
            try:
                yield
            finally:
                self._over.set()
                _restore(dict.fromkeys(former, _ignore) if self.number or self.late else former)

    def take(self, number: int, _: FrameType | None = None) -> None:
        """Handle a signal. Nothing is locked or written here: the main thread may be in the midst of that."""
        if self.is_settled and not self._hangs:
            self.late = self.late or number
            self._tell()
            return
        is_first = not self.number
        self.number = self.number or number
        self._tell()
        if is_first:
            raise Interruption

    def settle(self) -> None:
        """Let signals end nothing any more: what the run is for is done, and only its results are to be printed."""
        self.is_settled = True

    def _act(self) -> None:
        if self.late and not self._hangs:
            if not self._over.wait(_LONGEST_END):
                self._hangs = True
                signal.pthread_kill(threading.main_thread().ident or 0, self.late)
            return
        self._told += 1
        if self._told == 1:
            self.stop()
        elif self._told == 2:
            self.ignored()


class Deferred:
    """The signals that came during a `deferred` block."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.tell: Callable[[], None] = nothing

    def note(self, number: int, _: FrameType | None = None) -> None:
        """Take note of a signal; fits ``signal.signal``."""
        if self.first is None:
            self.first = number
        self.tell()

    def check(self) -> None:
        """Check that no signal came. :raises KeyboardInterrupt: one did."""
        if self.first is not None:
            raise Interruption


@contextmanager
def deferred(on_signal: Callable[[], object] = nothing) -> Iterator[Deferred]:
    """Put SIGINT, SIGTERM and SIGHUP off until the with block has ended, however many come.

    Their former handlers are called once then, with the first signal; an error that the block ended in is not lost by
    that. Python handles signals in the main thread alone: elsewhere nothing is put off.

    :param on_signal: called for each signal, in a thread, to make the block end soon.
    """
    signals = Deferred()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    with _acting(on_signal) as signals.tell:
        former = _handle(signals.note)
        try:
            yield signals
        except Exception:
            _restore(former)
            with contextlib.suppress(KeyboardInterrupt):
                _raise(signals)
            raise
        except BaseException:
            _restore(former)
            _raise(signals)
            raise
        _restore(former)
        _raise(signals)


class DeferringStack(contextlib.ExitStack):
    """Contexts whose ends are not interrupted, such as the removal of a password."""

    def __exit__(self, *details: Any) -> bool | None:
        with deferred():
            return super().__exit__(*details)


def ignore() -> None:
    """Ignore what comes from now on, at the end of the interpreter, which takes our handlers away before it ends."""
    _handle(signal.SIG_IGN)


def _raise(signals: Deferred) -> None:
    if signals.first is not None:
        signal.raise_signal(signal.Signals(signals.first))


def _handle(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> dict[int, Any]:
    """Install a handler; return the former ones. What is ignored from the start stays so, as nohup has it."""
    former: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}
    former = {number: old for number, old in former.items() if old not in (signal.SIG_IGN, None)}
    for number in former:
        signal.signal(number, handler)
    return former


def _restore(former: dict[int, Any]) -> None:
    for number, handler in former.items():
        signal.signal(number, handler)


def _ignore(*_: object) -> None:
    """Ignore a signal; unlike SIG_IGN, programs that are started do not inherit it."""


@contextmanager
def _acting(act: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """Yield a function for handlers of signals; for each call of it, a thread calls *act*, which may lock and write."""
    reader, writer = os.pipe()
    threading.Thread(target=_listen, args=(reader, act), daemon=True).start()
    try:
        yield partial(_write, writer)
    finally:
        os.close(writer)


def _write(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.write(descriptor, b"!")


def _listen(reader: int, act: Callable[[], object]) -> None:
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while pipe.read(1):
            act()
