"""Where the time of a release of ours goes, by the lines of ``--verbose``: before its solves, in and behind them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.race import say
from benchmarks.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.arena import Arena
    from benchmarks.peers import Commands

NAME = "where the time of multiarch goes"
_RUNS = 3
_LONG = 60.0  # seconds of a run of which one is enough: what is ours of it is the same in all
_SOLVE_BEGINS = re.compile(r"\$ (?:\S+ )*\S*buildctl .* build ")
_SOLVE_ENDS = re.compile(r"\$ buildctl: status 0")
_REQUEST = re.compile(r"(?:GET|HEAD|PUT|POST|PATCH|DELETE) https?://\S+: \d{3}, ")


@dataclass(frozen=True)
class Profile:
    """One run, in seconds.

    :ivar before: until BuildKit's client starts; *solves*: until it has ended for the last time.
    :ivar requests: those that were answered behind the solves.
    :ivar processor: what its process took of the processor, with BuildKit's client.
    """

    total: float
    before: float
    solves: float
    requests: int
    processor: float

    @property
    def behind(self) -> float:
        """Seconds from the end of the last solve to the end of the process."""
        return self.total - self.before - self.solves

    def row(self, case: str) -> list[str]:
        """Return its row of the table."""
        seconds = [f"{value:.2f}" for value in (self.total, self.before, self.solves, self.behind)]
        return [case, *seconds, str(self.requests), f"{self.processor:.2f}"]


def profile(arena: Arena, commands: Commands, environment: Mapping[str, str] | None = None) -> Profile:
    """Run a release, and return where its time went. :raises SystemExit: it failed."""
    (words,) = commands
    env = {**arena.environment, **(environment or {})}
    began = time.perf_counter()
    with subprocess.Popen(
        [*words, "--verbose"], cwd=arena.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        lines = [(time.perf_counter() - began, line) for line in process.stdout]
        _, status, usage = os.wait4(process.pid, 0)
        total = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    begins = [seconds for seconds, line in lines if _SOLVE_BEGINS.search(line)]
    ends = [seconds for seconds, line in lines if _SOLVE_ENDS.search(line)]
    if process.returncode or not begins or not ends:
        raise SystemExit("".join(line for _, line in lines))
    requests = sum(seconds >= ends[-1] and _REQUEST.search(line) is not None for seconds, line in lines)
    return Profile(total, begins[0], ends[-1] - begins[0], requests, usage.ru_utime + usage.ru_stime)


def profile_table(cases: Mapping[str, Callable[[], Profile]]) -> Table:
    """Return a table of each case's run, the middle one of three by its time; what takes a minute runs once."""
    rows, alone = [], []
    for case, run in cases.items():
        runs = [run()]
        if runs[0].total >= _LONG:
            alone.append(case)
        else:
            runs += [run() for _ in range(_RUNS - 1)]
        middle = sorted(runs, key=lambda one: one.total)[len(runs) // 2]
        rows.append(middle.row(case))
        say(f"{NAME}: {' '.join(rows[-1])}")
    head = ["", "seconds", "until the first solve", "solves", "behind them", "requests there", "processor seconds"]
    but = f", but for {', '.join(alone)}, which ran once" if alone else ""
    note = (
        f"The middle one of {_RUNS} runs of each{but}. Python takes {_imports():.2f} s to start and to import Invoke."
    )
    return Table(NAME, head, rows, notes=[note])


def _imports() -> float:
    """Return the seconds that Python takes to start and to import Invoke, before any line of ours runs."""
    seconds = []
    for _ in range(_RUNS + 2):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import invoke"], check=True)
        seconds.append(time.perf_counter() - began)
    return median(seconds)
