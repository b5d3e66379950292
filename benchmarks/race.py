"""Contestants that take turns: each round in another order, after one round that warms up."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.table import Taken, Times

LONG = 20.0  # seconds of a run of which what the warm-up warms up is so little that the warm-up counts as a round
# Seconds of a run of which there are two rounds at most: one more or less hardly moves the median of what is so long.
_LONGEST = 120.0
_ROUNDS_OF_LONGEST = 2


@dataclass(frozen=True)
class Case:
    """Something that all contestants do.

    :ivar runs: by contestant, what does it once, and returns what that took by what it is of ("cold", "warm"); what
        the case itself took is of "".
    """

    name: str
    runs: Mapping[str, Callable[[], Mapping[str, Taken]]]


def race(cases: Sequence[Case], rounds: int) -> Times:
    """Let all contestants do all cases, one case after the other; return what each run that counts took."""
    times: Times = {}
    for case in cases:
        warmup = _round(case, 0)
        slowest = max(taken.seconds for of in warmup.values() for taken in of.values())
        counted = [warmup] if slowest >= LONG else []
        wanted = min(rounds, _ROUNDS_OF_LONGEST) if slowest >= _LONGEST else rounds
        counted += [_round(case, number) for number in range(1, wanted + 1 - len(counted))]
        for kind in dict.fromkeys(kind for name in case.runs for kind in warmup[name]):
            named = ", ".join(filter(None, (case.name, kind)))
            for name in case.runs:
                if runs := [one[name][kind] for one in counted if kind in one[name]]:
                    times[named, name] = runs
    return times


def _round(case: Case, number: int) -> dict[str, Mapping[str, Taken]]:
    """Let each contestant do it once, beginning with another one in each round."""
    names = [*case.runs]
    shift = number % len(names)
    taken = {}
    for name in names[shift:] + names[:shift]:
        taken[name] = case.runs[name]()
        shown = ", ".join(f"{kind} {one}".strip() for kind, one in taken[name].items())
        say(f"{number} {case.name}: {name} {shown}")
    return taken


def say(text: str) -> None:
    """Tell how far the benchmark is."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
