"""Jobs side by side: their results, how many run at a time, and what a failure or an interrupt does to the others."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from multiarch.concurrency import Aside, each, together
from multiarch.errors import MultiarchError, RegistryUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable


def fail(text: str) -> None:
    """Raise an error."""
    raise MultiarchError(text)


def interrupt() -> None:
    """Send this process what Ctrl-C sends; the kernel gives it to the main thread, whichever thread sends it."""
    os.kill(os.getpid(), signal.SIGINT)


def test_results_are_in_the_order_of_the_jobs() -> None:
    """Whichever ends first."""
    second = threading.Event()

    def first() -> str:
        assert second.wait(10)
        return "first"

    assert ["first", None] == together([first, second.set])
    assert [0, 1, 4, 9] == each(lambda number: number * number, range(4))


def test_no_jobs_have_no_results() -> None:
    """And nothing is waited for."""
    assert [] == together([])
    assert [] == each(str, iter([]))


@pytest.mark.parametrize("limit", [1, 7])
def test_no_more_run_at_a_time_than_the_limit(limit: int) -> None:
    """Of a thousand jobs, as many as the limit run at some time, never more, and each runs once."""
    lock, running, peak = threading.Lock(), 0, 0

    def job(number: int) -> int:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        time.sleep(0.0001)
        with lock:
            running -= 1
        return number

    assert [*range(1000)] == each(job, range(1000), limit=limit)
    assert limit == peak


def test_thousands_of_jobs_have_few_threads() -> None:
    """Without a limit of their own, too: an index may have thousands of entries."""
    before = threading.active_count()
    assert max(each(lambda _: threading.active_count(), range(5000))) <= before + 32


def test_a_failure_stops_the_others_and_is_raised_when_they_have_ended() -> None:
    """The first one in time is raised; *on_failure* ends those that have begun, and no other begins."""
    stopped, begun, ended = threading.Event(), threading.Event(), threading.Event()

    def long() -> None:
        begun.set()
        assert stopped.wait(10)
        time.sleep(0.05)
        ended.set()
        fail("stopped")

    def short() -> None:
        assert begun.wait(10)
        fail("what went wrong")

    jobs: list[Callable[[], None]] = [long, short, partial(fail, "begun too late")]
    with pytest.raises(MultiarchError, match=r"^what went wrong$"):
        together(jobs, on_failure=stopped.set, limit=2)
    assert ended.is_set()


def test_of_failures_with_one_cause_the_first_in_order_is_raised() -> None:
    """Where a host is down, the same job is named each time, whichever learns it first."""
    last = threading.Event()

    def unreachable(number: int) -> None:
        if number == 3:
            last.set()
        assert last.wait(10)
        time.sleep(0.01 * (3 - number))
        raise RegistryUnreachableError(f"request {number}", "Connection refused" if number else "timed out")

    with pytest.raises(RegistryUnreachableError, match=r"^request 1: ") as caught:
        each(unreachable, range(4))
    assert "Connection refused" == caught.value.cause


def test_with_keep_going_all_failures_are_raised() -> None:
    """In the order of the jobs, a line each, when all have ended; a single one as it is."""
    done: list[str] = []
    jobs: list[Callable[[], None]] = [partial(fail, "one"), partial(done.append, "ran"), partial(fail, "two")]
    with pytest.raises(MultiarchError, match=r"^one\ntwo$"):
        together(jobs, keep_going=True, limit=1)
    assert ["ran"] == done
    error = ValueError("alone")

    def alone() -> None:
        raise error

    jobs = [alone, partial(done.append, "again")]
    with pytest.raises(ValueError, match="alone") as caught:
        together(jobs, keep_going=True)
    assert error is caught.value
    assert ["ran", "again"] == done


def test_a_failure_ends_the_jobs_within_jobs() -> None:
    """Those that have not begun do not begin, and the failure is the one that is raised, not that of the others."""
    counted: list[int] = []
    begun = threading.Event()

    def count(number: int) -> None:
        counted.append(number)
        begun.set()
        time.sleep(0.001)

    def short() -> None:
        assert begun.wait(10)
        fail("what went wrong")

    jobs: list[Callable[[], object]] = [partial(each, count, range(100_000), limit=2), short]
    with pytest.raises(MultiarchError, match="what went wrong"):
        together(jobs)
    assert len(counted) < 10_000
    seen = len(counted)
    time.sleep(0.02)
    assert seen == len(counted)


def test_an_interrupt_ends_the_jobs_and_those_within_them() -> None:
    """It is raised once all have ended, whichever error they end in."""
    stopped, ended = threading.Event(), threading.Event()

    def inner(number: int) -> None:
        if number == 0:
            interrupt()
        assert stopped.wait(10)
        time.sleep(0.05)
        ended.set()
        fail("stopped")

    with pytest.raises(KeyboardInterrupt):
        together([partial(each, inner, range(50), limit=2)], on_failure=stopped.set)
    assert ended.is_set()


def test_an_interrupt_while_others_end_waits_as_well() -> None:
    """What has begun is never left behind: the interrupt is raised in the place of the failure."""
    release, ended = threading.Event(), threading.Event()
    count = 0

    def impatient() -> None:
        nonlocal count
        count += 1
        if count == 1:
            interrupt()
            threading.Timer(0.05, interrupt).start()
            threading.Timer(0.1, release.set).start()

    def long() -> None:
        assert release.wait(10)
        time.sleep(0.05)
        ended.set()

    jobs: list[Callable[[], None]] = [long, partial(fail, "no")]
    with pytest.raises(KeyboardInterrupt):
        together(jobs, on_failure=impatient)
        time.sleep(1)
    assert ended.is_set()


def test_what_is_aside_runs_beside_what_follows_and_is_waited_for() -> None:
    """Also what is begun while something else is aside; and all of it, when the context is left."""
    followed, done = threading.Event(), list[str]()

    def job(name: str) -> None:
        assert followed.wait(10)
        done.append(name)

    with Aside() as aside:
        aside.begin(partial(job, "first"))
        aside.begin(partial(job, "second"))
        assert [] == done
        followed.set()
        aside.wait()
        assert ["first", "second"] == sorted(done)
        aside.begin(partial(job, "third"))
    assert "third" == done[-1]


def test_failure_aside_is_raised_where_it_is_waited_for() -> None:
    """When all others have ended."""
    aside, ended = Aside(), threading.Event()

    def late() -> None:
        time.sleep(0.05)
        ended.set()

    aside.begin(partial(fail, "broken"))
    aside.begin(late)
    with pytest.raises(MultiarchError, match=r"^broken$"):
        aside.wait()
    assert ended.is_set()


@pytest.mark.parametrize("error", [MultiarchError("gate"), KeyboardInterrupt()])
def test_failure_aside_does_not_take_the_place_of_what_ends_the_context(error: BaseException) -> None:
    """The status of the run is that of the gate, or of the signal."""
    with pytest.raises(type(error)) as caught, Aside() as aside:
        aside.begin(partial(fail, "aside"))
        raise error
    assert caught.value is error


@pytest.mark.parametrize("is_within", [True, False])
def test_interrupt_ends_what_is_aside_and_waits_for_it(is_within: bool) -> None:
    """Whether it comes within the context, or while the end is waited for: nothing is left behind."""
    aside, ended = Aside(), threading.Event()

    def job() -> None:
        assert aside.stopped.wait(10)
        time.sleep(0.05)
        ended.set()

    def run() -> None:
        with aside:
            aside.begin(job)
            if is_within:
                interrupt()
                time.sleep(1)
            threading.Timer(0.05, interrupt).start()

    with pytest.raises(KeyboardInterrupt):
        run()
    assert ended.is_set()


def test_job_aside_that_has_no_thread_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine may let no further thread begin: that is told, and the run ends."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    aside = Aside()
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="can't start new thread"):
        patch.setattr(threading.Thread, "start", refuse)
        aside.begin(partial(fail, "never"))
    aside.begin(lambda: None)
    aside.wait()


def test_threads_that_begin_jobs_aside_each_wait_for_their_own() -> None:
    """Builds of several targets put their staging tags aside at the same time, and none is lost."""
    aside, done = Aside(), set[tuple[int, int]]()

    def work(thread: int) -> int:
        for number in range(20):
            aside.begin(partial(done.add, (thread, number)))
        aside.wait()
        return len([name for name, _ in done.copy() if name == thread])

    assert [20] * 8 == each(work, range(8))
