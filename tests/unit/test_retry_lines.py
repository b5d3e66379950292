"""Lines of retries: of many requests to one host that is down, those of one."""

from __future__ import annotations

import errno
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest

from multiarch.retry import Policy


def test_retries_at_one_place_are_told_once() -> None:
    """A registry that is down would give a page of lines: the first request tells, and how many wait with it."""
    policy = Policy(seconds=60.0, attempts=50, first=0.02, longest=0.02)
    shown: list[str] = []
    down = threading.Barrier(9)  # eight requests, and this test
    is_up = threading.Event()

    def ask(first: list[int]) -> str:
        if not first:
            first.append(1)
            down.wait(20)
        if not is_up.is_set():
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        return "answer"

    def request(number: int) -> str:
        return policy.call(f"GET {number}", partial(ask, []), show=shown.append, place="r.example.com")

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(request, number) for number in range(8)]
        down.wait(20)
        deadline = time.monotonic() + 20
        while not any("(7 more requests wait for it)" in line for line in shown) and time.monotonic() < deadline:
            time.sleep(0.01)
        is_up.set()
        assert ["answer"] * 8 == [answer.result() for answer in answers]
    names = {line.partition(":")[0] for line in shown}
    assert (1, True) == (len(names), any("(7 more requests wait for it)" in line for line in shown))
    # The next outage is told by whoever meets it.
    is_up.clear()
    pool = ThreadPoolExecutor(1)
    answer = pool.submit(policy.call, "GET later", partial(ask, [1]), show=shown.append, place="r.example.com")
    deadline = time.monotonic() + 20
    while not shown[-1].startswith("GET later: ") and time.monotonic() < deadline:
        time.sleep(0.01)
    is_up.set()
    assert ("answer", "GET later") == (answer.result(), shown[-1].partition(":")[0])
    pool.shutdown()


@pytest.mark.parametrize(
    ("place", "cause", "told"),
    [
        ("r.example.com", "refused", ["inner", "outer"]),
        ("other.example.com", "refused", ["inner", "outer", "inner"]),
        ("r.example.com", "reset", ["inner", "outer", "inner"]),
        ("", "refused", ["inner", "outer", "inner"]),
    ],
)
def test_what_fails_elsewhere_or_otherwise_is_told_too(place: str, cause: str, told: list[str]) -> None:
    """The line of one fault says nothing of another."""
    policy = Policy(attempts=2, first=0.0, longest=0.0)
    shown: list[str] = []

    def fail(cause: str, inner: bool) -> None:
        if inner:
            with suppress(ConnectionError):
                policy.call("inner", partial(fail, cause, False), show=shown.append, place=place)
            raise ConnectionError("refused")
        raise ConnectionError(cause)

    with pytest.raises(ConnectionError):
        policy.call("outer", partial(fail, cause, True), show=shown.append, place="r.example.com")
    assert told == [line.partition(":")[0] for line in shown]
