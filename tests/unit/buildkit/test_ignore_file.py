"""Ignore files, as BuildKit reads them; where that is not certain, nothing is left out."""

from __future__ import annotations

import pytest

from multiarch.buildkit.ignore_file import IgnoreFile

PATHS = ("a", "a/b", "a/b/c.log", "b.log", "d/b.log", "docs/a", ".git", "#x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# a\n\n", []),
        ("a\n", ["a", "a/b", "a/b/c.log"]),
        ("/a/\r\n", ["a", "a/b", "a/b/c.log"]),
        ("\ufeffa", ["a", "a/b", "a/b/c.log"]),
        ("./a/./b", ["a/b", "a/b/c.log"]),
        ("*.log", ["b.log"]),
        ("**/*.log", ["a/b/c.log", "b.log", "d/b.log"]),
        ("*/b.log", ["d/b.log"]),
        ("a/**", ["a/b", "a/b/c.log"]),
        ("?", ["a", "a/b", "a/b/c.log", "d/b.log"]),
        ("*\n!a/b", ["#x", ".git", "a", "b.log", "d/b.log", "docs/a"]),
        ("*\n!a\na/b/*.log", ["a/b/c.log", "b.log", "d/b.log", "docs/a", ".git", "#x"]),
        (" #x", ["#x"]),
        (".git", [".git"]),
    ],
)
def test_last_pattern_that_matches_a_path_or_a_parent_wins(text: str, expected: list[str]) -> None:
    """A pattern is of the whole path; `**` stands for any directories, an exception takes back what was left out."""
    ignored = IgnoreFile.parse(text.encode())
    assert sorted(expected) == sorted(path for path in PATHS if ignored.leaves_out(path))


@pytest.mark.parametrize("text", ["[ab]", "a\\b", "../a", "a^", "**a", "a**", "*" * 11, "a{1}", "é"])
def test_pattern_that_is_not_certain_leaves_nothing_out(text: str) -> None:
    """More files count then, never fewer; as an exception it may take back everything."""
    names = [*PATHS, text]
    assert [] == [name for name in names if IgnoreFile.parse(text.encode()).leaves_out(name)]
    both = IgnoreFile.parse(f"a\n!{text}\nb.log".encode())
    assert ["b.log"] == [name for name in PATHS if both.leaves_out(name)]


def test_file_has_a_bound() -> None:
    """Nobody writes one of a megabyte."""
    with pytest.raises(ValueError, match=r"^has more than 1048576 bytes$"):
        IgnoreFile.parse(b"a" * (1 << 20) + b"a")
