"""Results of a benchmark: what each run took, what it should take, and the tables made of them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Taken:
    """What a run took.

    :ivar seconds: from its start to its end.
    :ivar solving: seconds of these in which BuildKit had a solve to do, by its own record; None where none was asked.
    """

    seconds: float
    solving: float | None = None

    def __str__(self) -> str:
        return f"{self.seconds:.2f}" + ("" if self.solving is None else f" ({self.solving:.2f} in BuildKit)")


# By case and contestant: what each run took, in the order of the rounds.
Times = dict[tuple[str, str], list[Taken]]


def middle(runs: Sequence[Taken]) -> float:
    """Return the median of the seconds of runs."""
    return median(taken.seconds for taken in runs)


@dataclass(frozen=True)
class Goal:
    """The most that a contestant should take in a case; a ratio to another contestant, or seconds.

    :ivar most: the ratio, or seconds.
    :ivar of: the contestant that it is a ratio to; empty for seconds.
    :ivar beyond: the contestant whose seconds do not count; empty where all do.
    """

    most: float
    of: str = ""
    beyond: str = ""

    def judged(self, name: str, medians: Mapping[str, float]) -> str:
        """Return what a table says of it: the goal, and whether contestant *name* met it.

        :param medians: seconds by contestant, all of one case.
        """
        if missing := [other for other in (self.of, self.beyond) if other and other not in medians]:
            return f"not measured: {', '.join(missing)}"
        if self.of:
            actual, text = medians[name] / medians[self.of], f"{self.most:.2f} of {self.of}"
        else:
            actual = medians[name] - medians.get(self.beyond, 0.0)
            text = f"{self.most:.2f} s" + (f" beyond {self.beyond}" if self.beyond else "")
        return f"at most {text}: {'met' if actual <= self.most else '**not met**'}"


@dataclass(frozen=True)
class Bar:
    """A bar of a chart.

    :ivar text: what stands behind it.
    :ivar mark: where on its axis a goal is; None where there is none.
    """

    label: str
    value: float
    text: str
    mark: float | None = None


@dataclass(frozen=True)
class Table:
    """A table of one group of cases.

    :ivar name: what it is of; the first column's head.
    :ivar bars: what is drawn of it: by case, the bars that share an axis.
    :ivar notes: plain sentences below it.
    """

    name: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    bars: Mapping[str, Sequence[Bar]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def lines(self) -> list[str]:
        """Return it as Markdown; columns of numbers are set to the right."""
        numbers = [all(_is_number(row[column]) for row in self.rows) for column in range(len(self.header))]
        rule = "|".join("---:" if is_number else "---" for is_number in numbers)
        rows = [f"| {' | '.join(row)} |" for row in self.rows]
        notes = [line for note in self.notes for line in ("", note)]
        return [f"| {' | '.join([self.name, *self.header[1:]])} |", f"|{rule}|", *rows, *notes]


def timed_table(
    name: str,
    times: Times,
    peer: str,
    goals: Mapping[tuple[str, str], Sequence[Goal]] | None = None,
    limit: str = "",
    notes: Sequence[str] = (),
) -> Table:
    """Return the table of a race: medians, extremes, ratios to the peer and to the limit, and the goals.

    Where BuildKit was asked of its solves, it also has the medians of what it took for them, and of all else.

    :param goals: by case and contestant.
    :param limit: the contestant that does no more than what all must do; empty where there is none.
    """
    others = [other for other in (peer, limit) if other]
    solved = any(taken.solving is not None for runs in times.values() for taken in runs)
    header = [name, "contestant", "seconds", "fastest", "slowest", *(f"of {other}" for other in others)]
    header += ["in BuildKit", "all else"] if solved else []
    header += ["goal"] if goals else []
    rows, bars = [], {}
    for case in dict.fromkeys(case for case, _ in times):
        medians = {one: middle(runs) for (of, one), runs in times.items() if of == case}
        bars[case] = [_bar(one, medians, (goals or {}).get((case, one), ())) for one in medians]
        for one, seconds in medians.items():
            runs = [taken.seconds for taken in times[case, one]]
            ratios = [f"{seconds / medians[other]:.2f}" if other in medians else "" for other in others]
            parts = _parts(times[case, one]) if solved else []
            judged = "; ".join(goal.judged(one, medians) for goal in (goals or {}).get((case, one), ()))
            numbers = [f"{number:.2f}" for number in (seconds, min(runs), max(runs))]
            rows.append([case, one, *numbers, *ratios, *parts, *([judged] if goals else [])])
    return Table(name, header, rows, bars, [*notes, *_rounds(times)])


def _parts(runs: Sequence[Taken]) -> list[str]:
    """Return the medians of the seconds in BuildKit, and of all else, as a table shows them."""
    solving = [(taken.solving, taken.seconds - taken.solving) for taken in runs if taken.solving is not None]
    return [f"{median(part):.2f}" for part in zip(*solving, strict=True)] or ["", ""]


def _bar(name: str, medians: Mapping[str, float], goals: Sequence[Goal]) -> Bar:
    marks = [goal.most * medians[goal.of] for goal in goals if goal.of in medians]
    marks += [goal.most + medians.get(goal.beyond, 0.0) for goal in goals if not goal.of]
    return Bar(name, medians[name], f"{medians[name]:.2f} s", min(marks, default=None))


def _rounds(times: Times) -> list[str]:
    """Return a sentence about how many runs the medians are of; of others, their cases or contestants."""
    counts: dict[str, dict[str, int]] = {}
    for (case, one), runs in times.items():
        counts.setdefault(case, {})[one] = len(runs)
    usual = {case: _commonest(of_case.values()) for case, of_case in counts.items()}
    most = _commonest(usual.values())
    others: dict[int, dict[str, None]] = {}
    for case, of_case in counts.items():
        unlike = {case: usual[case]} if usual[case] != most else {}
        unlike |= {one: count for one, count in of_case.items() if count != usual[case]}
        for name, count in unlike.items():
            others.setdefault(count, {})[name] = None
    told = [f"; of {runs_of(count)}: {', '.join(names)}" for count, names in sorted(others.items(), reverse=True)]
    return [f"Medians of {runs_of(most)}{''.join(told)}."]


def _commonest(counts: Iterable[int]) -> int:
    """Return the commonest of numbers; the largest of several."""
    found = Counter(counts)
    return max(found, key=lambda count: (found[count], count))


def runs_of(count: int) -> str:
    """Return a number of runs in words."""
    return f"{count} run" if count == 1 else f"{count} runs"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?[0-9.]*", text) is not None
