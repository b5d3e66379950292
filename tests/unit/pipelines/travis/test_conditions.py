"""Conditions of a .travis.yml: what they mean, what does not parse, and what they cannot mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multiarch.pipelines.travis.conditions import TYPES, ConditionError, Doubt, parse

if TYPE_CHECKING:
    from multiarch.pipelines.travis.condition_tree import Value

DATA: dict[str, Value] = {
    "type": "push",
    "repo": "someone/app",
    "branch": "main",
    "tag": None,
    "fork": False,
    "commit_message": "Say more\n\n[skip images]",
    "os": "linux",
}
ENV = {"FOO": "foo", "QUOTED": '"foo bar"', "YES": "true", "EMPTY": "", "NAME": "FOO", "PATTERN": "^ma", "BROKEN": "("}


def holds(text: str) -> bool:
    """Whether a condition holds for DATA and ENV."""
    return parse(text).evaluate(DATA, ENV)


@pytest.mark.parametrize(
    "text",
    [
        "branch = main",
        "branch == main",
        "branch=main",
        "branch = 'main'",
        '"main" = branch',
        "branch != other",
        "type != pull_request",
        "fork = false",
        "fork != true",
        "env(FOO) = foo",
        "ENV( FOO ) = foo",
        "env(QUOTED) = 'foo bar'",
        "env(YES) = true",
        "env(env(NAME)) = foo",
        "env(MISSING) != foo",
        "concat(branch, -, env(FOO), '!') = 'main-foo!'",
        "1 = 1",
    ],
)
def test_equality(text: str) -> None:
    """Both sides may be a name, a call, or a word with quotes or without; true and false are booleans."""
    assert holds(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "branch = other",
        "branch != main",
        "fork = true",
        "env(FOO) = bar",
        "env(MISSING) = foo",
        "env() = foo",
        "tag = ''",
    ],
)
def test_inequality(text: str) -> None:
    """Sides that differ are not equal, and a missing value equals no text."""
    assert holds(text) is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("branch =~ ^ma", True),
        ("branch ~= ^ma", True),
        ("branch =~ ain$", True),
        ("branch =~ ^(main|next)$", True),
        ("(branch =~ ^ma)", True),
        ("branch =~ /^(main|next)$/ AND type = push", True),
        (r"repo =~ /one\/app/", True),
        ("branch =~ ^other", False),
        ("branch !~ ^other", True),
        ("branch !~ /^ma/", False),
        (r"commit_message =~ /\[skip images\]/", True),
        ("commit_message =~ ^.skip", True),
        (r"branch =~ /\A(?<first>[[:alpha:]])[\w-]+\z/", True),
        ("branch =~ env(PATTERN)", True),
        ("branch =~ concat(^, env(FOO))", False),
        ("tag =~ .*", False),
        ("tag !~ .*", True),
        ("branch =~ env(MISSING)", False),
        ("branch =~ env(BROKEN)", False),
    ],
)
def test_regex(text: str, expected: bool) -> None:
    """A regex is Ruby's, between slashes or bare; a bare one ends before a blank or the last parenthesis."""
    assert expected is holds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type IN (push, api)", True),
        ("type in (push)", True),
        ("type IN (api, cron,)", False),
        ("type NOT IN (api, cron)", True),
        ("NOT type IN (push)", False),
        ("env(FOO) IN ('a b', env(FOO))", True),
        ("repo IN (someone/app)", True),
    ],
)
def test_lists(text: str, expected: bool) -> None:
    """IN looks a value up in a list of values and calls; NOT IN denies it."""
    assert expected is holds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("branch IS present", True),
        ("branch is not present", False),
        ("tag IS blank", True),
        ("tag IS NOT blank", False),
        ("env(EMPTY) IS blank", True),
        ("env(MISSING) IS present", False),
        ("fork IS false", True),
        ("fork IS blank", True),
        ("fork IS NOT true", True),
        ("env(YES) IS true", True),
    ],
)
def test_predicates(text: str, expected: bool) -> None:
    """IS asks for present, blank, true or false; what is empty or missing is blank."""
    assert expected is holds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("FALSE", False),
        ("tag", False),
        ("NOT tag", True),
        ("!tag", True),
        ("branch = main AND type = push", True),
        ("branch = main && type = api", False),
        ("branch = other OR type = push", True),
        ("branch = other || type = api", False),
        ("true OR false AND false", True),
        ("(true OR false) AND false", False),
        ("NOT branch = other AND type = push", True),
        ("NOT (branch = main OR tag IS present)", False),
        ("not not true", True),
        ("branch = main AND \\\n  type = push", True),
        ("branch = main\n  AND NOT fork", True),
    ],
)
def test_logic(text: str, expected: bool) -> None:
    """NOT binds closer than AND, AND closer than OR; keywords may be in any case, and a condition in several lines."""
    assert expected is holds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "column 1: expected a name, a value or env(NAME)"),
        ("branch = ", "column 10: expected a name, a value or env(NAME)"),
        ("branch = main AND", "column 18: expected a name, a value or env(NAME)"),
        ("branch main", "column 8: expected AND, OR or the end, not 'main'"),
        ("(branch = main", "column 15: expected )"),
        ("branch = main)", "column 14: expected AND, OR or the end, not ')'"),
        ("branch = 'main", "column 10: expected another ' that ends the text"),
        ("branch = $BRANCH", "column 10: expected no $: no shell reads this; write env(NAME), or quote the text"),
        (
            "branch IS main",
            "column 11: expected present, blank, true or false after IS; to compare a value, use =",
        ),
        ("type IN push", "column 9: expected a list in parentheses after IN"),
        ("type IN ()", "column 10: expected a value in the list after IN"),
        ("type NOT push", "column 6: expected AND, OR or the end, not 'NOT'"),
        ("repo =~ /one/app/", "column 14: expected AND, OR or the end, not 'app/'"),
        ("branch =~", "column 10: expected a regex"),
        ("branch =~ /main", "column 11: expected another / that ends the regex"),
        (
            "branch =~ (main",
            "column 11: expected a regex, and '(main' is none: missing ), unterminated subpattern at position 0",
        ),
        (
            "branch = environment",
            "column 13: expected ( after env; a value that begins with this word needs quotes",
        ),
        ("env(A, B) = x", "column 1: expected one name in env(NAME)"),
        ("branch = main AND \\\n  type =", "column 29: expected a name, a value or env(NAME)"),
    ],
)
def test_what_does_not_parse(text: str, expected: str) -> None:
    """The error names the column, and what was expected there."""
    with pytest.raises(ConditionError) as caught:
        parse(text)
    assert expected == str(caught.value)
    assert expected == f"column {caught.value.column}: {caught.value.problem}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("brnach = main", (1, "brnach")),
        ("branch = main AND Type = push", (19, "Type")),
        ("NOT (pull_request IS present)", (6, "pull_request")),
        ("TRAVIS_TAG =~ ^v", (1, "TRAVIS_TAG")),
        ("branch!=main", (1, "branch")),
        ("branch = main OR main", (18, "main")),
        ("brnach IN (main)", (1, "brnach")),
    ],
)
def test_a_word_where_a_name_should_be(text: str, expected: tuple[int, str]) -> None:
    """Travis compares the word itself, without an error, so it is a doubt; names are in lower case only."""
    assert [expected] == [(doubt.column, doubt.word) for doubt in parse(text).doubts()]


def test_a_type_that_no_build_has() -> None:
    """A condition on another type never holds, because `type` is one of four."""
    assert (Doubt(8, "pull-request", TYPES),) == parse("type = pull-request").doubts()
    assert (Doubt(16, "tags", TYPES),) == parse("type IN (push, tags)").doubts()


@pytest.mark.parametrize(
    "text",
    [
        "branch = brnach",
        "'x' = env(X)",
        "x = env(X)",
        "^v =~ env(X)",
        "true",
        "1 = 1",
        "type IN (push, cron)",
        "type = env(T)",
    ],
)
def test_what_may_mean_something(text: str) -> None:
    """Any word may be a value, so these are no doubts."""
    assert () == parse(text).doubts()


@pytest.mark.parametrize(
    ("text", "column"),
    [("(" * 5000, 51), ("NOT " * 5000 + "tag", 201), ("env(" * 5000, 200), ("concat(a, " * 5000, 497)],
)
def test_a_condition_that_is_too_deep_does_not_parse(text: str, column: int) -> None:
    """Python's stack is no measure of a condition: one error says where it goes too deep."""
    with pytest.raises(ConditionError) as caught:
        parse(text)
    expected = f"column {column}: expected no more than 50 levels of parentheses, NOT and calls"
    assert expected == str(caught.value)


def test_fifty_levels_parse() -> None:
    """The outermost condition is a level too, and levels that ended do not count."""
    assert holds("(" * 49 + "branch = main" + ")" * 49)
    assert holds(" AND ".join(["(branch = main)"] * 200))


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("a{1,999999999999999}", "the repetition number is too large"),
        ("(" * 600, "its groups are too deep"),
        ("a" * 1001, "it has more than 1,000 characters"),
        ("(?i)" + "[!-\uffff]" * 9, "a range ends beyond ASCII, which is not supported beside groups with a ?"),
    ],
)
def test_a_regex_beyond_what_is_compiled_does_not_parse(pattern: str, problem: str) -> None:
    """Python's compiler has errors of its own for some, and takes long for others."""
    with pytest.raises(ConditionError) as caught:
        parse(f"branch =~ /{pattern}/")
    assert f"column 11: expected a regex, and {pattern!r} is none: {problem}" == str(caught.value)
