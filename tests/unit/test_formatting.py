"""Texts for people."""

from __future__ import annotations

import pytest

from multiarch.formatting import (
    clean,
    clean_lines,
    columns,
    duration,
    is_clean,
    one_line,
    shell_line,
    size,
    without_commands,
)


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  \x1b[01;31m\x1b[Kmain.c:1:\x1b[m\x1b[K  error", "  main.c:1:  error"),
        ("a\tb\x1b[32m\tc", "a       b       c"),
        ("a\rb\x08c\x85d\u2028e\x9b31mf", "a b c d e 31mf"),
        ("before\x1b]52;c;ZXZpbA==\x07after\x1bPq\x1b\\end", "before after end"),
        ("never ended \x1b]0;but the rest is seen", "never ended  0;but the rest is seen"),
        ("abc\u202efed\u2066\u200e\u061c", "abc\ufffdfed\ufffd\ufffd\ufffd"),
        ("z\u200be\u2060r\ufeffo\xad\U000e0041", "zero"),
        ("not bytes: \udc80", "not bytes: \ufffd"),
        ("grün 漢字 ✔️ é │ …", "grün 漢字 ✔️ é │ …"),
    ],
)
def test_clean_text_is_read_as_it_is_written(text: str, expected: str) -> None:
    """Indentation and words stay; colours go, as what turns words round or hides them does."""
    assert expected == clean(text)


def test_long_lines_are_cut_and_say_so() -> None:
    """And so are long texts."""
    assert "aaa… (7 more characters)" == clean("a" * 10, 3)
    assert ["a", "b", "… (2 more lines)"] == list(clean_lines("a\r\nb\nc\nd", 2))
    assert ["a", "b"] == list(clean_lines("a\nb", 2))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("::error file=a::b", ": :error file=a::b"),
        ("  \xa0::add-mask::b", "  \xa0: :add-mask::b"),
        ("linux/arm64 │ ::error::", "linux/arm64 │ ::error::"),
        ("std::string a::b", "std::string a::b"),
        ("a ##[error]b", "a # #[error]b"),
        ("##vso[task.setvariable variable=a]b ##teamcity[c]", "# #vso[task.setvariable variable=a]b # #teamcity[c]"),
        ("## a title [1]", "## a title [1]"),
        ("section_start:1:a", "section_start :1:a"),
        ("travis_fold:end:a travis_time:start", "travis_fold :end:a travis_time :start"),
    ],
)
def test_commands_of_a_ci_become_words(line: str, expected: str) -> None:
    """What is no command stays as it is."""
    assert expected == without_commands(line)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["docker", "run", "a b", "it's"], "docker run 'a b' 'it'\"'\"'s'"),
        (["a\n::error::b", "c\\'\x1b\u202e"], "$'a\\n::error::b' $'c\\\\\\'\\033\\342\\200\\256'"),
    ],
)
def test_command_is_one_line(words: list[str], expected: str) -> None:
    """A line break in a label begins no line of what --dry prints, and means the same in a shell."""
    assert (expected, True) == (shell_line(words), is_clean(expected))


def test_what_is_no_amount_is_a_dash() -> None:
    """Sizes come from registries, times from builders."""
    for value in ("12", -1, float("nan"), float("inf"), 10**400, True, [1]):
        assert ("-", "-") == (size(value), duration(value))
