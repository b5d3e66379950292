"""What `multiarch.pipelines.travis.conditions` parses a condition of Travis into, and what each part of it is worth.

Source: lib/travis/conditions/v1/eval.rb of https://github.com/travis-ci/travis-conditions. The values are Ruby's: text
that reads true or false is one, what is missing is nil, and an empty text is true.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Value: TypeAlias = "str | bool | None"

_ENV_QUOTES = re.compile(r"""^(["'])(.*)\1$""")

# What Ruby writes otherwise than Python.
_RUBY = {r"\z": r"\Z", r"\Z": r"(?=\n?\Z)", "(?<": "(?P<", r"\w-": r"\w\-", r"\d-": r"\d\-", r"\s-": r"\s\-"}
_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "word": r"\w",
    "xdigit": "0-9a-fA-F",
    "punct": r"!-/:-@\[-`{-~",
}
_DIFFERENT = re.compile(r"\\[wds]-|\\.|\(\?<(?=[A-Za-z_])|\[:(\w+):\]", re.DOTALL)


@dataclass(frozen=True)
class Scene:
    """What a condition is evaluated on: what its names stand for, and the variables of ``env(NAME)``."""

    data: Mapping[str, Value]
    env: Mapping[str, str]


@dataclass(frozen=True)
class Word:
    """A value, as it is written, without its quotes."""

    column: int
    text: str
    quoted: bool

    def value(self, _: Scene) -> Value:
        """Return it."""
        return _cast(self.text)


@dataclass(frozen=True)
class Name:
    """One of `NAMES`."""

    name: str

    def value(self, scene: Scene) -> Value:
        """Return what it stands for."""
        return _cast(scene.data.get(self.name))


@dataclass(frozen=True)
class Call:
    """``env(NAME)`` or ``concat(VALUE, …)``."""

    function: str
    arguments: tuple[Operand, ...]

    def value(self, scene: Scene) -> Value:
        """Return its result."""
        values = [argument.value(scene) for argument in self.arguments]
        if self.function == "concat":
            return _cast("".join(map(_text, values)))
        found = scene.env.get(_text(values[0])) if values else None
        return None if found is None else _cast(_ENV_QUOTES.sub(r"\2", found))


@dataclass(frozen=True)
class Regex:
    """The right side of ``=~``: a pattern that is written there, or a call that returns one."""

    pattern: re.Pattern[str] | Call

    def search(self, text: str, scene: Scene) -> bool:
        """Tell whether it is found in a text."""
        if isinstance(self.pattern, re.Pattern):
            return bool(self.pattern.search(text))
        pattern = self.pattern.value(scene)
        return pattern is not None and bool(compiled(_text(pattern)).search(text))


@dataclass(frozen=True)
class Comparison:
    """A comparison: *operator* is one of ``=``, ``=~``, ``in``, ``is``."""

    operator: str
    left: Operand
    right: Operand | Regex | tuple[Operand, ...] | str

    def value(self, scene: Scene) -> Value:
        """Return whether it holds."""
        left = self.left.value(scene)
        if isinstance(self.right, Regex):
            return left is not None and self.right.search(_text(left), scene)
        if isinstance(self.right, tuple):
            return any(left == item.value(scene) for item in self.right)
        if isinstance(self.right, str):
            present = bool(left) if self.right in ("present", "blank") else holds(left)
            return present == (self.right in ("present", "true"))
        return left == self.right.value(scene)


@dataclass(frozen=True)
class Not:
    """A negation."""

    inner: Node

    def value(self, scene: Scene) -> Value:
        """Return whether it holds."""
        return not holds(self.inner.value(scene))


@dataclass(frozen=True)
class Joined:
    """Nodes of which all must hold (``and``), or one (``or``)."""

    operator: str
    inner: tuple[Node, ...]

    def value(self, scene: Scene) -> Value:
        """Return whether it holds."""
        each = (holds(node.value(scene)) for node in self.inner)
        return all(each) if self.operator == "and" else any(each)


Operand: TypeAlias = "Word | Name | Call"
Node: TypeAlias = "Operand | Comparison | Not | Joined"


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a regex of Ruby.

    :param pattern: without its slashes; groups with names, ``\\z``, ``[\\w-]`` and ``[[:alpha:]]`` are translated.
    :raises re.error: it is none, or more than Python's `re` can.
    """

    def python(found: re.Match[str]) -> str:
        return _CLASSES.get(found[1], found[0]) if found[1] else _RUBY.get(found[0], found[0])

    with warnings.catch_warnings():
        # In Ruby, a [ within a set begins another one; Python foresees it.
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(_DIFFERENT.sub(python, pattern), re.MULTILINE)


def _cast(value: Value) -> Value:
    lower = value.lower() if isinstance(value, str) else ""
    return lower == "true" if lower in ("true", "false") else value


def _text(value: Value) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value


def holds(value: Value) -> bool:
    """Tell whether Ruby takes a value for true: all but nil and false, so an empty text too."""
    return value is not None and value is not False
