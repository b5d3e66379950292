"""The rows that have room on a terminal: all of them, or those of what runs and a line that counts the others."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from rich.text import Text

from multiarch.display.rows import Layout, RowState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multiarch.display.rows import Row


def draw_rows(rows: Sequence[Row], width: int, height: int | None) -> list[Text]:
    """Return the lines of *rows*, each target named by its first one, at most *width* columns wide.

    :param height: lines that there is room for, one at least; None for any number.
    """
    is_folded = height is not None and len(rows) > height
    kept = _most_telling(rows, max(height - 1, 0)) if is_folded and height is not None else rows
    layout = Layout.of(rows, width)
    lines = []
    for _, of_target in groupby(kept, key=lambda row: row.leg.target):
        lines += [row.draw(layout, names_target=not index) for index, row in enumerate(of_target)]
    if is_folded:
        shown = set(map(id, kept))
        counted = ", ".join(_counts([row for row in rows if id(row) not in shown]))
        line = Text(counted, "dim", no_wrap=True, end="\n")
        line.truncate(max(width, 1), overflow="ellipsis")
        lines.append(line)
    return lines


def _most_telling(rows: Sequence[Row], count: int) -> list[Row]:
    """Return at most *count* rows, in their order: those that run, and where there is room those that failed."""
    telling = [row for row in rows if row.state.is_running] + [row for row in rows if row.state is RowState.FAILED]
    kept = set(map(id, telling[:count]))
    return [row for row in rows if id(row) in kept]


def _counts(rows: Sequence[Row]) -> Iterator[str]:
    """Yield how many rows are in each state, what runs first."""
    counts = Counter(row.state for row in rows)
    order = sorted(RowState, key=lambda state: (not state.is_running, not state.is_final))
    yield from (f"{counts[state]} {state.value}" for state in order if counts[state])
