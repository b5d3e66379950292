"""An interrupt at every line that the main thread goes through while jobs run side by side."""

from __future__ import annotations

import linecache
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from multiarch import concurrency
from multiarch.concurrency import together
from multiarch.errors import MultiarchError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

JOBS = 5


class Interrupt:
    """Raises a KeyboardInterrupt at a line of the main thread, counted from 0; *where* is None until then."""

    def __init__(self, line: int) -> None:
        self.left = line
        self.where: str | None = None

    def __enter__(self) -> Interrupt:
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def trace(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        """Count the lines of the module, and those that start a thread."""
        code = frame.f_code
        if code.co_filename != concurrency.__file__ and code != threading.Thread.start.__code__:
            return None
        source = linecache.getline(code.co_filename, frame.f_lineno).strip()
        # Python does not look for signals between taking a lock and noting that it is to be released.
        if event == "line" and not source.startswith("with "):
            self.left -= 1
            if self.left < 0:
                self.where = f"{code.co_filename}:{frame.f_lineno}: {source}"
                raise KeyboardInterrupt
        return self.trace


@pytest.mark.parametrize("fails", [None, 0, JOBS - 1])
def test_an_interrupt_at_every_line(fails: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever it comes, what has begun has ended when it is raised, and nothing else begins."""
    points = 0
    while True:
        begun: list[int] = []
        ended: list[int] = []
        stopped = threading.Event()

        def job(number: int, begun: list[int] = begun, ended: list[int] = ended) -> int:
            begun.append(number)
            time.sleep(0.001)
            ended.append(number)
            if number == fails:
                raise MultiarchError("no")
            return number

        raised: BaseException | None = None
        results: list[int] = []
        jobs = [lambda number=number: job(number) for number in range(JOBS)]
        with Interrupt(points) as interrupt:
            try:
                results = together(jobs, on_failure=stopped.set, limit=2)
            except (KeyboardInterrupt, MultiarchError) as error:
                raised = error
        assert sorted(begun) == sorted(ended), interrupt.where
        if interrupt.where is None:
            break
        assert isinstance(raised, KeyboardInterrupt), interrupt.where
        assert stopped.is_set() or len(ended) in (0, JOBS), interrupt.where
        seen = len(begun)
        time.sleep(0.003)
        assert seen == len(begun), interrupt.where
        points += 1
    assert (raised is None, results) == (fails is None, [*range(JOBS)] if fails is None else [])
    with capsys.disabled():
        print(f"\nan interrupt at {points} lines, {'no job' if fails is None else f'job {fails}'} fails", end=" ")
    assert points > 50
