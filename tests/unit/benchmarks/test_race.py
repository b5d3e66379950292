"""Races: whose turn it is, and which runs count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count

import pytest

from benchmarks.race import Case, race
from benchmarks.table import Taken

Run = Callable[[], Mapping[str, Taken]]


def contestant(name: str, turns: list[str], seconds: Iterator[float]) -> Run:
    """Return what notes its turns, and says that it took so long."""

    def run() -> Mapping[str, Taken]:
        turns.append(name)
        return {"": Taken(next(seconds))}

    return run


def test_contestants_take_turns() -> None:
    """Each round begins with another one, so that none always comes after the same; the first round only warms up."""
    turns: list[str] = []
    runs = {name: contestant(name, turns, (float(number) for number in count())) for name in "abc"}
    times = race([Case("case", runs)], 3)
    assert "abc bca cab abc" == " ".join("".join(turns[at : at + 3]) for at in range(0, len(turns), 3))
    assert {("case", name): [Taken(1.0), Taken(2.0), Taken(3.0)] for name in "abc"} == times


@pytest.mark.parametrize(
    ("slowest", "rounds", "expected"),
    [(19.9, 5, 5), (20.0, 5, 5), (119.9, 5, 5), (120.0, 5, 2), (120.0, 2, 2), (120.0, 1, 1)],
)
def test_slow_runs_are_few(slowest: float, rounds: int, expected: int) -> None:
    """As many count as are asked for, but no more than two of two minutes."""
    turns: list[str] = []
    runs = {"fast": contestant("fast", turns, count(1.0)), "slow": contestant("slow", turns, count(slowest))}
    times = race([Case("case", runs)], rounds)
    assert [expected, expected] == [len(times["case", name]) for name in runs]
    # What warmed up counts where it was slow.
    assert (slowest < 20) == (len(turns) == 2 * (expected + 1))
    assert Taken(1.0 if slowest >= 20 else 2.0) == times["case", "fast"][0]


def test_parts_of_a_run_are_cases() -> None:
    """A run that releases twice is a cold and a warm one; who has no cold one is in the warm case alone."""
    cold, warm, other = Taken(2.0, 1.5), Taken(1.0, 0.5), Taken(0.5)
    runs: dict[str, Run] = {"both": lambda: {"cold": cold, "warm": warm}, "warm": lambda: {"warm": other}}
    times = race([Case("small", runs)], 1)
    expected = [
        (("small, cold", "both"), [cold]),
        (("small, warm", "both"), [warm]),
        (("small, warm", "warm"), [other]),
    ]
    assert expected == [*times.items()]
