"""Jobs that wait for each other and otherwise run side by side."""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.commands import resume, stop_all
from lab.progress import duration, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEARTBEAT = 30.0  # seconds; a long job must not look like one that hangs


@dataclass(frozen=True)
class Job:
    """Work with a name, done after the jobs that it needs.

    :ivar due: whether it has to be done.
    :ivar work: does it, and returns a few words on the result.
    """

    name: str
    due: Callable[[], bool]
    work: Callable[[], str]
    needs: tuple[str, ...] = ()


@dataclass
class _Clock:
    """The jobs at work, and when each began."""

    started: dict[str, float] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def start(self, name: str) -> None:
        with self.guard:
            self.started[name] = time.monotonic()

    def stop(self, name: str) -> float:
        with self.guard:
            return time.monotonic() - self.started.pop(name)

    def at_work(self) -> str:
        now = time.monotonic()
        with self.guard:
            return ", ".join(f"{name} ({duration(now - since)})" for name, since in self.started.items())


def run_jobs(jobs: Sequence[Job]) -> int:
    """Run all jobs that are due, each named after those it needs in the list, and return how many there were.

    The first failure ends the others, and is raised.
    """
    clock = _Clock()
    failed = threading.Event()
    futures: dict[str, Future[bool]] = {}
    # A thread for each job: a waiting one must never keep a needed one from starting.
    pool = ThreadPoolExecutor(max_workers=len(jobs))
    try:
        for job in jobs:
            needed = [futures[name] for name in job.needs]
            futures[job.name] = pool.submit(_run_job, job, needed, clock, failed)
        _watch(list(futures.values()), clock)
    except BaseException:
        failed.set()
        stop_all()
        raise
    finally:
        pool.shutdown()
        resume()
    return sum(future.result() for future in futures.values())


def _run_job(job: Job, needed: list[Future[bool]], clock: _Clock, failed: threading.Event) -> bool:
    for future in needed:
        future.result()
    if failed.is_set() or not job.due():
        return False
    say(f"{job.name} …")
    clock.start(job.name)
    try:
        result = job.work()
    finally:
        seconds = clock.stop(job.name)
    say(f"{job.name}: {result} ({duration(seconds)})")
    return True


def _watch(futures: list[Future[bool]], clock: _Clock) -> None:
    """Wait for the end or the first failure, and show what is at work meanwhile."""
    while True:
        done, pending = wait(futures, timeout=HEARTBEAT, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        if not pending:
            return
        say(f"still at work: {clock.at_work()}")
