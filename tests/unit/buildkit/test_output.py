"""The output of a vertex: whole lines, their last state, and no more than fits into memory."""

from __future__ import annotations

import time

import pytest

from multiarch.buildkit.output import LONGEST_LINE, MOST_LINES, MOST_TEXT, Output


def lines_of(*pieces: bytes) -> list[str]:
    """Return the lines of output that comes in these pieces, the unfinished one too."""
    output = Output()
    yielded = [line for piece in pieces for line in output.add(piece)]
    assert yielded == output.lines[: len(yielded)]
    return output.lines


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((b"a\nb",), ["a", "b"]),
        ((b"1%\r50%\r", b"100%\r", b"\n"), ["100%"]),
        ((b"1%\r", b"2%"), ["2%"]),
        ((b"1%", b"\r2%"), ["2%"]),
        ((b"a\r\n\r\n", b"\r"), ["a", ""]),
        ((b"gr\xc3", b"\xbcn\n"), ["grün"]),
        ((b"a", b"", b"b", b"\nc\n"), ["ab", "c"]),
        ((b"long state\r", b"x\n"), ["x"]),
    ],
)
def test_pieces_become_lines_in_their_last_state(pieces: tuple[bytes, ...], expected: list[str]) -> None:
    """Wherever BuildKit cuts, within a letter or beside a carriage return."""
    assert expected == lines_of(*pieces)


def test_long_line_is_cut_and_says_so() -> None:
    """Its beginning is kept."""
    (line,) = lines_of(b"x" * LONGEST_LINE, b"yz" * 5)
    assert ("x" * 9, "xx… (10 bytes left out)") == (line[:9], line[-23:])
    assert LONGEST_LINE + 21 == len(line)


def test_many_lines_lose_their_middle() -> None:
    """The first ones say what runs, the last ones how it ended."""
    count = 2 * MOST_LINES + 5
    output = Output()
    for number in range(count):
        list(output.add(b"%d\n" % number))
    lines = output.lines
    assert (2 * MOST_LINES + 1, "0", str(count - 1)) == (len(lines), lines[0], lines[-1])
    assert "… (5 lines left out)" == lines[MOST_LINES]
    assert str(count - 1) == output.latest


def test_long_lines_fill_no_memory() -> None:
    """A hundred lines of a megabyte are kept in part."""
    output = Output()
    for _ in range(100):
        list(output.add(b"x" * LONGEST_LINE + b"\n"))
    assert sum(map(len, output.lines)) <= 2 * MOST_TEXT + 100


@pytest.mark.parametrize(
    "pieces", [[b"\r[===>   ] 45 %"] * 100_000, [b"x" * 32_768] * 2048, [b"\n" * 1_000_000], [b"\r" * 1_000_000]]
)
def test_output_takes_linear_time(pieces: list[bytes]) -> None:
    """A progress bar of a hundred thousand states, and a line of 64 MB, which once took minutes."""
    output, began = Output(), time.process_time()
    for piece in pieces:
        list(output.add(piece))
    assert time.process_time() - began < 30.0
