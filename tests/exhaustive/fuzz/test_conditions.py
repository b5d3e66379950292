"""Conditions of a .travis.yml: any text parses, or has an error with its column."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from multiarch.pipelines.travis.conditions import NAMES, ConditionError, parse
from tests.exhaustive.fuzz.limits import bounded, fuzz

PIECES = [
    *NAMES,
    *("=", "==", "!=", "=~", "!~", "~=", "IN", "NOT IN", "IS", "IS NOT", "present", "blank", "AND", "OR", "NOT", "!"),
    *(
        "(",
        ")",
        ",",
        "'",
        '"',
        "/",
        "\\",
        "\\\n",
        "$",
        "env(",
        "concat(",
        "env(FOO)",
        "^v\\d+$",
        "[[:alpha:]]",
        "(?<a>",
    ),
    *(
        "(?i)",
        "(?P<a>",
        "a{9,1}",
        "a{999999999999999}",
        "[!-\uffff]",
        "[a-",
        "\\z",
        "|",
        "&&",
        "||",
        "*",
        "**",
        "x",
        "٣",
    ),
    *(
        " ",
        "\n",
        "\t",
        "\u2003",
        "\x85",
        "\0",
        "\ud800",
        "( " * 60,
        "NOT " * 60,
        "env(" * 60,
        "(" * 5000,
        "[a-z]" * 500,
    ),
]
TEXTS = (
    some.lists(some.sampled_from(PIECES), max_size=30).map(" ".join)
    | some.lists(some.sampled_from(PIECES) | some.text(max_size=4), max_size=30).map("".join)
    | some.text()
    | some.tuples(some.sampled_from(PIECES), some.integers(1, 20_000)).map(lambda pair: (pair[0] * pair[1])[:200_000])
)


@fuzz
@given(TEXTS)
def test_a_condition_parses_or_has_an_error_at_a_column(text: str) -> None:
    """What parses has no doubts but with words, and each stands in the text."""
    with bounded():
        try:
            doubts = parse(text).doubts()
        except ConditionError as error:
            assert 1 <= error.column <= len(text) + 1
            assert error.problem.startswith("expected ")
            return
        for doubt in doubts:
            assert 1 <= doubt.column <= len(text)
            assert doubt.word
