"""Texts for people."""

from __future__ import annotations

import pytest

from multiarch.formatting import columns, duration, one_line, size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN <<EOF\n\tmake\nEOF", "RUN <<EOF make EOF"),
        ("\x1b[1;31mred\x1b[0m\x1b[2K\x1b[3A", "red"),
        ("\x1b]0;title\x07text\x1b]8;;http://a\x1b\\link\x1b(B", "text link"),
        ("a\x00b\x7f\x9bc", "a b c"),
        ("grün │ 漢字", "grün │ 漢字"),
    ],
)
def test_one_line_moves_no_cursor(text: str, expected: str) -> None:
    """Programs write for terminals; in a row of ours only their words may stay."""
    assert expected == one_line(text)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (5_000_000_000_000, "5000.0 GB")],
)
def test_size_has_the_largest_unit_that_fits(count: int, expected: str) -> None:
    """Units are powers of 1000, as registries show them."""
    assert expected == size(count)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(None, "done"), (0.04, "0.0s"), (99.94, "99.9s"), (100, "1m40s"), (3605.9, "60m05s")]
)
def test_duration_has_tenths_below_100_seconds(seconds: float | None, expected: str) -> None:
    """Above that nobody reads them."""
    assert expected == duration(seconds)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """No line ends in spaces, which would wrap on a narrow terminal."""
    assert ["A    B", "aaa  b", "a"] == columns([("A", "B"), ("aaa", "b"), ("a", "")])
