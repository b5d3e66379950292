"""Lines of BuildKit's: a state that is as it should be, or words."""

from __future__ import annotations

import pytest

from multiarch.buildkit.rawjson import count, read_state, seconds

WORDS = [
    b"",
    b"\xff\xfe",
    b"error: no",
    b"null",
    b"7",
    b'"x"',
    b"[]",
    b"{",
    b"NaN",
    b'{"vertexes": 5}',
    b'{"vertexes": [5]}',
    b'{"vertexes": [null]}',
    b'{"vertexes": {"digest": "a"}}',
    b'{"vertexes": [{"digest": 5}]}',
    b'{"vertexes": [{"digest": null}]}',
    b'{"vertexes": [{"digest": "a", "name": ["b"]}]}',
    b'{"vertexes": [{"digest": "a", "started": 5}]}',
    b'{"vertexes": [{"digest": "a", "error": {}}]}',
    b'{"vertexes": [{"digest": "a", "cached": "no"}]}',
    b'{"vertexes": [{"digest": "a", "name": "\\ud800"}]}',
    b'{"statuses": [{"vertex": "a", "current": "1"}]}',
    b'{"statuses": [{"vertex": "a", "current": 1e999}]}',
    b'{"statuses": [{"vertex": "a", "current": ' + b"9" * 10_000 + b"}]}",
    b'{"statuses": [{"vertex": "a", "id": 5}]}',
    b'{"logs": [{"vertex": "a", "data": 5}]}',
    b'{"logs": [{"vertex": "a", "data": "%%%"}]}',
    b'{"logs": ["x"]}',
    b'{"warnings": [{"short": "%"}]}',
    b'{"warnings": "x"}',
    b'{"x": ' + b"[" * 100_000,
    b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"vertexes": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
]


@pytest.mark.parametrize("line", WORDS, ids=lambda line: repr(line[:50]))
def test_what_is_no_state_is_words(line: bytes) -> None:
    """No line ends a build in a traceback."""
    assert read_state(line) is None


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"vertexes": null, "logs": null, "statuses": [], "warnings": null}',
        b'{"later": {"than": ["this"]}, "vertexes": [{"digest": "a", "progressGroup": {"id": "x"}}]}',
        b'{"vertexes": [{"name": "x"}], "logs": [{}], "statuses": [{}], "warnings": [{"short": null}]}',
    ],
)
def test_what_go_leaves_out_is_empty(line: bytes) -> None:
    """Empty fields are left out or null, and later versions have more of them."""
    assert read_state(line) is not None


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T01:00:01+01:00", 1.0),
        ("0001-01-01T00:00:00Z", -62135596800.0),
        ("2026-13-01T00:00:00Z", None),
        ("2026-02-30T00:00:00Z", None),
        ("2026-01-01T00:00:00+99:99", None),
        ("0000-00-00T00:00:00Z", None),
        ("٢٠٢٦-01-01T00:00:00Z", None),
        ("2026-01-01T00:00:00." + "1" * 1000 + "Z", None),
        ("", None),
        (None, None),
    ],
)
def test_times_that_are_none_are_not_known(time: str | None, expected: float | None) -> None:
    """Dates that no calendar has, and what is no date."""
    assert expected == seconds(time)


@pytest.mark.parametrize(("number", "expected"), [(None, 0), (-1, 0), (5, 5), (10**30, (1 << 63) - 1)])
def test_bytes_are_within_what_go_counts(number: int | None, expected: int) -> None:
    """Rows and bars divide by them."""
    assert expected == count(number)
