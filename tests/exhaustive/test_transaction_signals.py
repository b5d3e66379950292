"""Signals while tags move, at every request: all tags are new, or all as before."""

from __future__ import annotations

import gc
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from multiarch.errors import StoppedError
from multiarch.interrupts import Interrupts, nothing
from multiarch.publish.errors import TagsNotMovedError
from tests.exhaustive.test_transaction import watch
from tests.exhaustive.world import BROKEN, TAGS, World, released_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.registry_server import Reply, Request

# An interrupt may come between the making of a connection and the note of it, or while Python finalises an object: it
# tells of that, and the process is to end.
interrupted = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def collected() -> Iterator[None]:
    """Have what was left by an interrupt collected here, where it is expected."""
    yield
    gc.collect()


@pytest.mark.parametrize(
    ("number", "times", "stderr"),
    [
        *((number, times, "read") for number in (signal.SIGINT, signal.SIGTERM) for times in (1, 2, 3)),
        *((signal.SIGINT, times, kind) for times in (1, 2, 3) for kind in BROKEN),
    ],
)
@interrupted
@pytest.mark.usefixtures("collected")
def test_signals_at_every_request_leave_all_tags_new_or_all_as_before(
    world: World, number: signal.Signals, times: int, stderr: str
) -> None:
    """A run that is interrupted has moved none; where all had moved, it is not interrupted any more."""
    world.platforms, world.stderr = ("amd64",), stderr
    for point in range(1000):
        world.forget()
        world.stage("new")
        released_before(world, ("latest", "1.4"))
        before = world.tags
        sender = _signal_at(world, point, number, times)
        status = _status_of(world, sender)
        changed = {tag for tag, content in world.tags.items() if content != before[tag]}
        expected = (0, set(before)) if status == 0 else (128 + number, set())
        assert expected == (status, changed), f"at request {point}"
        if not sender.sent:
            break
        assert 128 + number == status, f"at request {point}"
    assert point > 20


@pytest.mark.parametrize("times", [1, 2, 3])
def test_signals_after_the_tags_have_moved_do_not_interrupt(world: World, times: int) -> None:
    """The run goes on to print its results, and says so."""
    before = world.tags
    sender = Sender(signal.SIGINT)
    assert 0 == _status_of(world, sender, lambda: sender.send(times))
    assert set() == {tag for tag, content in world.tags.items() if content == before[tag]}


class Sender:
    """Sends signals to this process, from a server's threads, as long as the run that they are for goes on.

    :ivar sent: how many were sent.
    """

    def __init__(self, number: signal.Signals) -> None:
        self.sent = 0
        self._number, self._is_over, self._lock = number, False, threading.Lock()

    def send(self, times: int) -> None:
        """Send the signal, as often."""
        with self._lock:
            for _ in range(0 if self._is_over else times):
                self.sent += 1
                signal.raise_signal(self._number)

    def end(self) -> None:
        """Send no more, whatever those do that were sent."""
        while not self._is_over:
            try:
                with self._lock:
                    self._is_over = True
            except KeyboardInterrupt:
                continue


def _status_of(world: World, sender: Sender, then: Callable[[], object] = nothing) -> int:
    """Publish with the signals of a run; return its exit status. *then* is called when all tags have moved."""
    signals, stopped = Interrupts(), threading.Event()
    signals.stop = stopped.set

    def on_moved() -> None:
        signals.settle()
        then()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.getsignal(number) for number in numbers}
    try:
        with signals.handled():
            try:
                world.publish(on_moved, stopped)
                then()
            finally:
                sender.end()
    except KeyboardInterrupt:
        return 128 + signals.number
    except (StoppedError, TagsNotMovedError):  # a request noticed the stop before the main thread had the signal
        assert signals.number
        return 128 + signals.number
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    return 0


def _signal_at(world: World, point: int, number: signal.Signals, times: int) -> Sender:
    """Send a signal, as often, with the request of that number."""
    lock, left, sender = threading.Lock(), [point], Sender(number)

    def react(_key: str, _: Request) -> Reply | None:
        with lock:
            left[0] -= 1
            due = left[0] == -1
        sender.send(times if due else 0)
        return None

    watch(world, react)
    return sender


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_tags_move_and_are_put_back_wait(world: World, number: signal.Signals, times: int) -> None:
    """They come with every request from a move on, and with those that put the tags back: all are as before."""
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for point in range(2 * len(TAGS)):
            world.forget()
            world.stage("new")
            released_before(world, ("latest", "1.4"))
            tags = world.tags
            sender = _signal_from(world, point, number, times)
            with pytest.raises(KeyboardInterrupt):
                try:
                    world.publish()
                finally:
                    sender.end()
            assert tags == world.tags, f"at move {point}"
    finally:
        signal.signal(signal.SIGTERM, former)


def _signal_from(world: World, point: int, number: signal.Signals, times: int) -> Sender:
    """Send a signal, as often, with the move of that number and with each request after it."""
    lock, moves = threading.Lock(), [0]

    def react(key: str, _: Request) -> Reply | None:
        with lock:
            moves[0] += key.endswith(TAGS) and " PUT " in key
            due = moves[0] > point
        sender.send(times if due else 0)
        return None

    sender = Sender(number)
    watch(world, react)
    return sender
