"""What BuildKit's records say of its solves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.arena import covered, solves


def event(begin: float | None, end: float | None) -> str:
    """Return a line of ``buildctl debug histories``; a number that is 0 is left out in it."""
    record: dict[str, Any] = {"Ref": "x"}
    for name, seconds in (("CreatedAt", begin), ("CompletedAt", end)):
        if seconds is not None:
            parts = {"seconds": int(seconds), "nanos": int(seconds % 1 * 1e9)}
            record[name] = {part: value for part, value in parts.items() if value}
    return json.dumps({"type": 1, "record": record})


def test_solves_of_a_run_are_told_from_earlier_ones() -> None:
    """One that has not ended has no end yet."""
    lines = [event(99.5, 100.5), event(100.0, 101.25), event(102, None), event(None, None)]
    assert [(100.0, 101.25), (102.0, None)] == solves("\n".join(lines), 100.0)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], 0.0),
        ([(1.0, 3.0)], 2.0),
        ([(5.0, 6.0), (1.0, 3.0)], 3.0),
        ([(1.0, 3.0), (2.0, 4.0)], 3.0),
        ([(1.0, 9.0), (2.0, 4.0), (8.0, 10.0)], 9.0),
    ],
)
def test_time_of_solves_side_by_side_counts_once(spans: list[tuple[float, float]], expected: float) -> None:
    """Two platforms that are solved at the same time take no longer than the slower one."""
    assert expected == covered(spans)
