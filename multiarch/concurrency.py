"""Jobs side by side, in a bounded number of threads."""

from __future__ import annotations

import contextlib
import queue
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from multiarch.errors import MultiarchError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from typing_extensions import Self

S = TypeVar("S")
T = TypeVar("T")
# Threads of one call. The platforms and tags of a release are fewer, and wait for a network most of the time.
_LIMIT = 32
# Seconds; a signal that comes while a thread is about to wait does not wake it.
_LONGEST_WAIT = 0.2
# In a thread of a crew, that crew.
_current = threading.local()


def _nothing() -> None:
    """Do nothing."""


def together(
    jobs: Sequence[Callable[[], T]],
    *,
    on_failure: Callable[[], object] = _nothing,
    keep_going: bool = False,
    limit: int = _LIMIT,
) -> list[T]:
    """Return the results of *jobs*, in their order.

    The first failure, or an interrupt at any moment, calls *on_failure*, lets no other job begin, and is raised when
    all that have begun have ended. This includes jobs that a job runs by this function in its turn. When several fail
    for the same cause, the first in order is raised.

    :param on_failure: makes the jobs that have begun end soon; called by any thread, and perhaps more than once.
    :param keep_going: whether a failure lets the other jobs go on; all failures are raised as one error then.
    :param limit: the number of threads.
    """
    crew = _Crew(jobs, on_failure, keep_going=keep_going)
    try:
        crew.start(limit)
        return crew.results()
    except BaseException:
        try:
            crew.stop()
            on_failure()
        finally:
            crew.join()
        raise


def each(
    function: Callable[[S], T],
    items: Iterable[S],
    *,
    on_failure: Callable[[], object] = _nothing,
    limit: int = _LIMIT,
) -> list[T]:
    """Return the result of *function* for each of *items*, in their order, as `together` does."""
    return together([partial(function, item) for item in items], on_failure=on_failure, limit=limit)


class Aside:
    """Jobs that run beside what follows, until they are waited for. Safe to use from several threads.

    As a context, it is left when all have ended, with the error that the context ends in, if any.

    :ivar stopped: makes the jobs end soon. An interrupt sets it that ends the context, or comes while the main thread
        waits for them; who handles signals sets it at once. No other failure does.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._begun: list[_Latch] = []
        self._failures: list[BaseException] = []

    def begin(self, job: Callable[[], object]) -> None:
        """Let a job run in a thread of its own."""
        latch = _Latch()
        thread = threading.Thread(target=self._do, args=(job, latch), daemon=True)
        self._begun.append(latch)
        try:
            thread.start()
        except BaseException:
            self._begun.remove(latch)
            raise

    def wait(self) -> None:
        """Wait until all jobs that have begun have ended; raise the first failure."""
        self._join()
        if self._failures:
            raise self._failures[0]

    def _join(self) -> None:
        """Wait until all have ended; raise an interrupt that comes meanwhile only then."""
        interrupt: BaseException | None = None
        is_over = False
        while not is_over:
            try:
                for latch in list(self._begun):
                    while not latch.is_open:
                        latch.wait()
                is_over = True
            except BaseException as error:  # noqa: BLE001 (raised below)
                self.stopped.set()
                interrupt = error
        if interrupt:
            raise interrupt

    def _do(self, job: Callable[[], object], latch: _Latch) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 (raised where it is waited for)
            self._failures.append(error)
        finally:
            latch.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.wait()
            return
        # What has ended the context is raised, and no failure in its place: it says how the run ends.
        if not issubclass(kind, Exception):
            self.stopped.set()
        self._join()


class _Latch:
    """What one thread opens, and others wait for. An interrupt while they wait changes nothing.

    Python takes a thread for ended where the wait for its end was interrupted (threading, `_wait_for_tstate_lock`).
    """

    def __init__(self) -> None:
        self.is_open = False
        self._closed = threading.Lock()
        self._closed.acquire()

    def open(self) -> None:
        """End all waits."""
        self.is_open = True
        self._closed.release()

    def wait(self) -> None:
        """Wait until it is open, but not for ever: see `_LONGEST_WAIT`."""
        if self._closed.acquire(timeout=_LONGEST_WAIT):
            self._closed.release()


class _StoppedError(Exception):
    """Jobs have not begun because the job that runs them was stopped. The failure that stopped it is raised instead."""


class _Crew(Generic[T]):
    """Threads that share the jobs of one call: each takes the next one as soon as it is free.

    An interrupt is raised in the main thread, between any two of its instructions, so also between the start of a
    thread and the note of it. Therefore the threads note which jobs begin and end; the main thread only reads that.
    """

    def __init__(self, jobs: Sequence[Callable[[], T]], on_failure: Callable[[], object], *, keep_going: bool) -> None:
        self._jobs = jobs
        self._on_failure = on_failure
        self._keep_going = keep_going
        self._outer: _Crew[Any] | None = getattr(_current, "crew", None)
        self._stopped = False
        # Below: guarded by the lock.
        self._lock = threading.Lock()
        self._begun = self._running = 0
        self._results: dict[int, T] = {}
        self._failures: dict[int, BaseException] = {}  # in the order of time
        # An item whenever a job or a thread has ended: a wake-up and no more, as an interrupt may lose one.
        self._changes: queue.SimpleQueue[None] = queue.SimpleQueue()

    def start(self, limit: int) -> None:
        """Start the threads."""
        for _ in range(min(limit, len(self._jobs))):
            threading.Thread(target=self._work, daemon=True).start()

    def results(self) -> list[T]:
        """Wait until all is over; return the results, or raise the first failure, with *keep_going* all of them."""
        self._wait()
        if self._keep_going and len(self._failures) > 1:
            raise MultiarchError("\n".join(str(self._failures[number]) for number in sorted(self._failures)))
        if self._failures:
            raise self._first_failure()
        if len(self._results) < len(self._jobs):
            raise _StoppedError
        return [self._results[number] for number in range(len(self._jobs))]

    def _first_failure(self) -> BaseException:
        """Return the failure to raise: of all that have the cause of the earliest, that of the first job in order.

        Where a host is down, all jobs fail at once, in any order; the error should name the same one each time. A
        request that was stopped counts last: another failure, which may arrive later, made it stop.
        """
        first, *_ = sorted(self._failures.values(), key=lambda failure: isinstance(failure, StoppedError))
        cause = getattr(first, "cause", None)
        alike = [number for number, failure in self._failures.items() if getattr(failure, "cause", None) == cause]
        return self._failures[min(alike)] if cause else first

    def stop(self) -> None:
        """Let no other job begin."""
        self._stopped = True

    def join(self) -> None:
        """Wait until all is over; raise an interrupt that comes meanwhile only then."""
        interrupt: BaseException | None = None
        while True:
            try:
                self._wait()
                break
            except BaseException as error:  # noqa: BLE001 (raised below)
                interrupt = error
        if interrupt:
            raise interrupt

    def _wait(self) -> None:
        while not self._is_over():
            with contextlib.suppress(queue.Empty):
                self._changes.get(timeout=_LONGEST_WAIT)

    def _is_over(self) -> bool:
        """Whether no job is running, and no other will begin."""
        with self._lock:
            return self._running == 0 and (self._begun == len(self._jobs) or self._is_stopped())

    def _is_stopped(self) -> bool:
        """Whether this crew is stopped, or one around it."""
        return self._stopped or (self._outer is not None and self._outer._is_stopped())

    def _work(self) -> None:
        """Do jobs until none is left."""
        _current.crew = self
        try:
            while (number := self._begin()) is not None:
                try:
                    self._do(number)
                finally:
                    self._end()
        finally:
            self._changes.put(None)

    def _do(self, number: int) -> None:
        try:
            result = self._jobs[number]()
        except BaseException as error:  # noqa: BLE001 (raised with the results)
            with self._lock:
                is_first = not self._failures
                self._failures[number] = error
            if is_first and not self._keep_going:
                self.stop()
                self._on_failure()
        else:
            with self._lock:
                self._results[number] = result

    def _begin(self) -> int | None:
        """Return the number of the next job, None when none is left or none may begin."""
        with self._lock:
            if self._begun == len(self._jobs) or self._is_stopped():
                return None
            self._begun += 1
            self._running += 1
            return self._begun - 1

    def _end(self) -> None:
        with self._lock:
            self._running -= 1
        self._changes.put(None)
