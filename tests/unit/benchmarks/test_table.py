"""Tables of benchmarks: medians, ratios and goals."""

from __future__ import annotations

import pytest

from benchmarks.table import Goal, Table, Taken, Times, timed_table


def runs(*seconds: float) -> list[Taken]:
    """Return runs that took so long."""
    return [Taken(one) for one in seconds]


TIMES: Times = {
    ("small, cold", "multiarch"): runs(3.0, 1.2, 1.0),
    ("small, cold", "buildx"): runs(1.0, 1.0, 9.0),
    ("small, cold", "a bare solve"): runs(0.8, 0.8, 0.8),
}


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        (Goal(1.2, of="buildx"), "at most 1.20 of buildx: met"),
        (Goal(1.19, of="buildx"), "at most 1.19 of buildx: **not met**"),
        (Goal(0.5, beyond="a bare solve"), "at most 0.50 s beyond a bare solve: met"),
        (Goal(0.3, beyond="a bare solve"), "at most 0.30 s beyond a bare solve: **not met**"),
        (Goal(1.2), "at most 1.20 s: met"),
        (Goal(1.1), "at most 1.10 s: **not met**"),
        (Goal(1.0, of="crane"), "not measured: crane"),
        (Goal(1.0, beyond="crane"), "not measured: crane"),
    ],
)
def test_goal_is_judged_by_medians(goal: Goal, expected: str) -> None:
    """A goal is a ratio, seconds, or seconds beyond another's; what was not measured is not met."""
    assert expected == goal.judged("multiarch", {"multiarch": 1.2, "buildx": 1.0, "a bare solve": 0.75})


def test_timed_table_compares_medians() -> None:
    """One slow run is an outlier: it changes neither the median nor the ratio, and is shown."""
    goals = {("small, cold", "multiarch"): (Goal(1.4, of="buildx"), Goal(0.25, beyond="a bare solve"))}
    lines = timed_table("case", TIMES, "buildx", goals, "a bare solve").lines()
    judged = "at most 1.40 of buildx: met; at most 0.25 s beyond a bare solve: **not met**"
    assert [
        "| case | contestant | seconds | fastest | slowest | of buildx | of a bare solve | goal |",
        "|---|---|---:|---:|---:|---:|---:|---|",
        f"| small, cold | multiarch | 1.20 | 1.00 | 3.00 | 1.20 | 1.50 | {judged} |",
        "| small, cold | buildx | 1.00 | 1.00 | 9.00 | 1.00 | 1.25 |  |",
        "| small, cold | a bare solve | 0.80 | 0.80 | 0.80 | 0.80 | 1.00 |  |",
        "",
        "Medians of 3 runs.",
    ] == lines


def test_table_tells_what_buildkit_took() -> None:
    """The medians of both parts are each of its own; who has a BuildKit that was not asked has none."""
    times: Times = {
        ("small", "multiarch"): [Taken(1.5, 1.0), Taken(1.25, 0.5), Taken(1.0, 0.75)],
        ("small", "its own"): [Taken(2.0)],
    }
    assert [
        "| case | contestant | seconds | fastest | slowest | of its own | in BuildKit | all else |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
        "| small | multiarch | 1.25 | 1.00 | 1.50 | 0.62 | 0.75 | 0.50 |",
        "| small | its own | 2.00 | 2.00 | 2.00 | 1.00 |  |  |",
    ] == timed_table("case", times, "its own").lines()[:4]


def test_table_without_goals_says_nothing_of_them() -> None:
    """Cases may be there to be seen beside each other alone."""
    times = {("3 tags", "one image"): runs(1.0), ("3 tags", "two images"): runs(1.5)}
    assert [
        "| case | contestant | seconds | fastest | slowest | of one image |",
        "|---|---|---:|---:|---:|---:|",
        "| 3 tags | one image | 1.00 | 1.00 | 1.00 | 1.00 |",
        "| 3 tags | two images | 1.50 | 1.50 | 1.50 | 1.50 |",
        "",
        "Medians of 1 run.",
    ] == timed_table("case", times, "one image").lines()


def test_bar_has_the_strictest_goal() -> None:
    """One line is drawn across a bar: what is left of it meets all goals."""
    goals = {("small, cold", "multiarch"): (Goal(1.4, of="buildx"), Goal(0.25, beyond="a bare solve"))}
    (bars,) = timed_table("case", TIMES, "buildx", goals).bars.values()
    assert [("multiarch", 1.05), ("buildx", None), ("a bare solve", None)] == [(bar.label, bar.mark) for bar in bars]


def test_fewer_runs_are_told() -> None:
    """A median of what is slow may be of fewer runs than the others: in a case, or of a contestant."""
    slow = {("emulated", "multiarch"): runs(61.0), ("emulated", "buildx"): runs(60.0)}
    five = runs(5.0, 5.0, 5.0)
    limit = {("large", "multiarch"): five, ("large", "buildx"): five, ("large", "a bare solve"): runs(4.0)}
    table = timed_table("case", {**TIMES, **slow, **limit}, "buildx")
    assert ["Medians of 3 runs; of 1 run: emulated, a bare solve."] == list(table.notes)


def test_columns_of_numbers_are_set_to_the_right() -> None:
    """Also where a cell of theirs is empty; a number with its unit is text."""
    table = Table("n", ["", "seconds", "size"], [["1", "0.5", "3 MB"], ["2", "", "4 MB"]])
    assert ["| n | seconds | size |", "|---:|---:|---|", "| 1 | 0.5 | 3 MB |", "| 2 |  | 4 MB |"] == table.lines()
    nine, one = runs(9.0, 9.0, 9.0), runs(1.0)
    mixed = {("C", "multiarch"): nine, ("C", "buildx"): nine, ("C", "a bare solve"): runs(8.0)}
    table = timed_table("case", {("Go", "multiarch"): one * 5, ("Go", "a bare solve"): one, **mixed}, "buildx")
    assert ["Medians of 5 runs; of 3 runs: C; of 1 run: a bare solve."] == list(table.notes)
