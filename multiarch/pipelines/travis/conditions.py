"""Conditions of a ``.travis.yml`` (``if:``), parsed as Travis does, and evaluated without a shell.

Source: the grammar "v1" of https://github.com/travis-ci/travis-conditions, which is Travis's default. Keywords and
functions may be written in any case, names may not. A word that is no name is a value, so that Travis takes a misspelt
name without an error: `Condition.doubts` returns such words.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.pipelines.travis.condition_tree import (
    Call,
    Comparison,
    Connective,
    Function,
    Joined,
    Name,
    Not,
    Operator,
    Predicate,
    Regex,
    Scene,
    Word,
    compiled,
    holds,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multiarch.pipelines.travis.condition_tree import Node, Operand

NAMES = (
    *("type", "repo", "head_repo", "os", "dist", "group", "sudo", "language", "sender", "fork", "draft"),
    *("branch", "head_branch", "tag", "commit_message"),
)
TYPES = ("push", "pull_request", "api", "cron")

# A name ends at a blank or at one of ,=)| and is a value otherwise: in `branch!=main`, `branch` is a value.
_NAME = re.compile(rf"({'|'.join(NAMES)})(?=[\s,=)|]|\Z)")
_WORD = re.compile(r"""[^\s()"',=!]+""")
_QUOTED = re.compile(r""""[^"]*"|'[^']*'""")
_FUNCTION = re.compile(r"env|concat", re.IGNORECASE)
_PREDICATE = re.compile(r"present|blank|true|false", re.IGNORECASE)
_IN = re.compile(r"in|not in", re.IGNORECASE)
_IS = re.compile(r"is not|is", re.IGNORECASE)
_AND = re.compile(r"and|&&", re.IGNORECASE)
_OR = re.compile(r"or|\|\|", re.IGNORECASE)
_NOT = re.compile(r"not|!", re.IGNORECASE)
_MATCHES = re.compile(r"=~|~=|!~")
_EQUALS = re.compile(r"==|=|!=")
_DELIMITED = re.compile(r"/((?:\\.|[^/\\])*)/", re.DOTALL)
_BARE = re.compile(r"\S*[^\s)]")
_CONTINUED = re.compile(r"\\\s*[\n\r]")


# levels of parentheses, NOT and calls within each other; each takes a few of Python's 1,000 frames
_DEEPEST = 50


class ConditionError(ValueError):
    """A condition that does not parse.

    :ivar column: where, counted from 1.
    :ivar problem: what is wrong there.
    """

    def __init__(self, column: int, problem: str) -> None:
        super().__init__(f"column {column}: {problem}")
        self.column = column
        self.problem = problem


class Doubt(Struct, frozen=True):
    """Word that Travis takes, and that the condition cannot mean: it is none of the *known* ones."""

    column: int
    word: str
    known: tuple[str, ...]


class Condition(Struct, frozen=True):
    """Parsed condition.

    :ivar text: as it was written.
    :ivar tree: its outermost node.
    """

    text: str
    tree: Node

    def evaluate(self, data: Mapping[str, str | bool | None], env: Mapping[str, str]) -> bool:
        """Whether the condition holds; it does not where a variable that is used as a regex is none, as in Travis.

        :param data: the values of `NAMES`, for example ``{"type": "push", "branch": "main", "fork": False}``; a missing
            one is blank.
        :param env: the variables of ``env(NAME)``: those of the file and of the repository's settings, no others.
        """
        try:
            return holds(self.tree.value(Scene(data, env)))
        except re.error:
            return False

    def doubts(self) -> tuple[Doubt, ...]:
        """Return the words that stand where a name should, and the values of ``type`` that no build has."""
        return tuple(_doubts(self.tree))


def parse(text: str) -> Condition:
    """Parse a condition.

    :param text: for example ``branch = main AND type != pull_request``; may have several lines.
    :raises ConditionError: at which column of the whole text what was expected.
    """
    return Condition(text, _Parser(text).whole())


class _Parser:
    """One pass through a text, from left to right, which looks for no token before its turn."""

    def __init__(self, text: str) -> None:
        self.text = _CONTINUED.sub(lambda match: " " * len(match[0]), text)
        self.position = 0
        self.level = 0

    def whole(self) -> Node:
        tree = self.either()
        if self.position < len(self.text):
            raise self.error(f"expected AND, OR or the end, not {self.text[self.position :].split()[0]!r}")
        return tree

    def either(self) -> Node:
        nodes = [self.both()]
        while self.take(_OR):
            nodes.append(self.both())
        return nodes[0] if len(nodes) == 1 else Joined(Connective.OR, tuple(nodes))

    def both(self) -> Node:
        nodes = [self.single()]
        while self.take(_AND):
            nodes.append(self.single())
        return nodes[0] if len(nodes) == 1 else Joined(Connective.AND, tuple(nodes))

    def single(self) -> Node:
        with self.deeper():
            if self.symbol("("):
                node = self.either()
                self.close()
                return node
            if self.take(_NOT):
                return Not(self.single())
            return self.term()

    def term(self) -> Node:
        left = self.operand()
        if token := self.take(_IN):
            return _negated(token, Comparison(Operator.IN, left, self.values("IN")))
        if token := self.take(_IS):
            if not (predicate := self.take(_PREDICATE)):
                raise self.error("expected present, blank, true or false after IS; to compare a value, use =")
            return _negated(token, Comparison(Operator.IS, left, Predicate(predicate.lower())))
        if token := self.take(_MATCHES):
            return _negated(token, Comparison(Operator.MATCHES, left, self.regex()))
        if token := self.take(_EQUALS):
            return _negated(token, Comparison(Operator.EQUALS, left, self.operand()))
        return left

    def operand(self) -> Operand:
        if (operand := self.possible_operand()) is None:
            raise self.error("expected a name, a value or env(NAME)")
        return operand

    def possible_operand(self) -> Operand | None:
        if name := self.take(_NAME):
            return Name(name)
        if call := self.call():
            return call
        column = self.column()
        if quoted := self.take(_QUOTED):
            return Word(column, quoted[1:-1], quoted=True)
        if self.text[self.position : self.position + 1] in ("'", '"'):
            raise self.error(f"expected another {self.text[self.position]} that ends the text")
        if self.text[self.position : self.position + 1] == "$":
            raise self.error("expected no $: no shell reads this; write env(NAME), or quote the text")
        return Word(column, word, quoted=False) if (word := self.take(_WORD)) else None

    def call(self) -> Call | None:
        column = self.column()
        if not (word := self.take(_FUNCTION)):
            return None
        if self.text[self.position : self.position + 1] != "(":
            # Travis has dropped the function's name by then, and goes on with the rest of the word.
            raise self.error(f"expected ( after {word}; a value that begins with this word needs quotes")
        with self.deeper():
            function, arguments = Function(word.lower()), self.values(word)
        if function is Function.ENV and len(arguments) > 1:
            raise ConditionError(column, "expected one name in env(NAME)")
        return Call(function, arguments)

    def values(self, after: str) -> tuple[Operand, ...]:
        if not self.symbol("("):
            raise self.error(f"expected a list in parentheses after {after}")
        values: list[Operand] = []
        while (value := self.possible_operand()) is not None:
            values.append(value)
            if not self.symbol(","):
                break
        if not values and after == "IN":
            raise self.error("expected a value in the list after IN")
        self.close()
        return tuple(values)

    def regex(self) -> Regex:
        if call := self.call():
            return Regex(call)
        column = self.column()
        delimited = self.text[self.position : self.position + 1] == "/"
        if not (token := self.take(_DELIMITED if delimited else _BARE)):
            raise self.error("expected another / that ends the regex" if delimited else "expected a regex")
        pattern = token[1:-1] if delimited else token.removesuffix("/")
        try:
            return Regex(compiled(pattern))
        except re.error as error:
            raise ConditionError(column, f"expected a regex, and {pattern!r} is none: {error}") from None

    @contextmanager
    def deeper(self) -> Iterator[None]:
        self.level += 1
        if self.level > _DEEPEST:
            raise self.error(f"expected no more than {_DEEPEST} levels of parentheses, NOT and calls")
        yield
        self.level -= 1

    def column(self) -> int:
        return self.position + 1

    def error(self, problem: str) -> ConditionError:
        return ConditionError(self.column(), problem)

    def close(self) -> None:
        if not self.symbol(")"):
            raise self.error("expected )")

    def symbol(self, symbol: str) -> bool:
        return bool(self.take(re.compile(re.escape(symbol))))

    def take(self, token: re.Pattern[str]) -> str:
        """Return the text of a token, and go past it and the blanks around it; empty where another stands."""
        self.blanks()
        match = token.match(self.text, self.position)
        if match:
            self.position = match.end()
            self.blanks()
        return match[0] if match else ""

    def blanks(self) -> None:
        while self.text[self.position : self.position + 1].isspace():
            self.position += 1


def _negated(token: str, comparison: Comparison) -> Node:
    """Return a comparison, negated where its operator is written so."""
    return Not(comparison) if token.startswith("!") or "not" in token.lower() else comparison


def _doubts(node: Node) -> Iterator[Doubt]:
    """Yield what `Condition.doubts` returns, of a node and those within it."""
    if isinstance(node, Not):
        yield from _doubts(node.inner)
    elif isinstance(node, Joined):
        for inner in node.inner:
            yield from _doubts(inner)
    elif isinstance(node, Word):
        yield from _unnamed(node)
    elif isinstance(node, Comparison):
        right = node.right.pattern if isinstance(node.right, Regex) else node.right
        if isinstance(node.left, Word) and not isinstance(right, Name | Call):
            yield from _unnamed(node.left)
        if node.left == Name("type") and node.operator in (Operator.EQUALS, Operator.IN):
            for value in node.right if isinstance(node.right, tuple) else (node.right,):
                if isinstance(value, Word) and value.text not in TYPES:
                    yield Doubt(value.column, value.text, TYPES)


def _unnamed(word: Word) -> Iterator[Doubt]:
    if not word.quoted and word.text.lower() not in ("true", "false") and not word.text.isdigit():
        yield Doubt(word.column, word.text, NAMES)
