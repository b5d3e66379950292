"""Tree of a parsed condition of Travis (`multiarch.pipelines.travis.conditions`), and the value of each of its nodes.

Source: lib/travis/conditions/v1/eval.rb of https://github.com/travis-ci/travis-conditions. The values are Ruby's: the
texts true and false are booleans, a missing value is nil, and an empty text is true.
"""

from __future__ import annotations

import re
import warnings
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

Value: TypeAlias = "str | bool | None"

_ENV_QUOTES = re.compile(r"""^(["'])(.*)\1$""")

# Parts of a regex that Ruby writes otherwise than Python.
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
# characters; Python's compiler needs a few frames for each group
_LONGEST = 1000
# A range that ends beyond ASCII: where case is ignored, Python's compiler takes 20 ms for each.
_WIDE = re.compile(r"-(?:[^\x00-\x7f]|\\[uUN])")
_DIFFERENT = re.compile(r"\\[wds]-|\\.|\(\?<(?=[A-Za-z_])|\[:(\w+):\]", re.DOTALL)


class Operator(Enum):
    """Operator of a comparison. Those that negate (``!=``, ``!~``, ``NOT IN``, ``IS NOT``) are a `Not` around it."""

    EQUALS = "="
    MATCHES = "=~"
    IN = "in"
    IS = "is"


class Predicate(Enum):
    """Right side of ``IS``."""

    PRESENT = "present"
    BLANK = "blank"
    TRUE = "true"
    FALSE = "false"


class Connective(Enum):
    """Operator between conditions."""

    AND = "and"
    OR = "or"


class Function(Enum):
    """Function that a value may be the result of."""

    ENV = "env"
    CONCAT = "concat"


class Scene(Struct, frozen=True):
    """Values that a condition is evaluated with: those of its names, and the variables of ``env(NAME)``."""

    data: Mapping[str, Value]
    env: Mapping[str, str]


class Word(Struct, frozen=True):
    """Value as it is written, without its quotes; *column* is where it stands, counted from 1."""

    column: int
    text: str
    quoted: bool

    def value(self, _: Scene) -> Value:
        """Return the text, or the boolean that it reads as."""
        return _cast(self.text)


class Name(Struct, frozen=True):
    """One of `multiarch.pipelines.travis.conditions.NAMES`."""

    name: str

    def value(self, scene: Scene) -> Value:
        """Return the value that it stands for."""
        return _cast(scene.data.get(self.name))


class Call(Struct, frozen=True):
    """``env(NAME)`` or ``concat(VALUE, …)``."""

    function: Function
    arguments: tuple[Operand, ...]

    def value(self, scene: Scene) -> Value:
        """Return the result."""
        values = [argument.value(scene) for argument in self.arguments]
        if self.function is Function.CONCAT:
            return _cast("".join(map(_text, values)))
        variable = scene.env.get(_text(values[0])) if values else None
        return None if variable is None else _cast(_ENV_QUOTES.sub(r"\2", variable))


class Regex(Struct, frozen=True):
    """Right side of ``=~``: a pattern that is written there, or a call that returns one."""

    pattern: re.Pattern[str] | Call

    def search(self, text: str, scene: Scene) -> bool:
        """Whether it matches somewhere in a text."""
        if isinstance(self.pattern, re.Pattern):
            return bool(self.pattern.search(text))
        pattern = self.pattern.value(scene)
        return pattern is not None and bool(compiled(_text(pattern)).search(text))


class Comparison(Struct, frozen=True):
    """Comparison of two sides. *right* is an operand, or of the kind that the operator takes."""

    operator: Operator
    left: Operand
    right: Operand | Regex | tuple[Operand, ...] | Predicate

    def value(self, scene: Scene) -> Value:
        """Whether it holds."""
        left = self.left.value(scene)
        if isinstance(self.right, Regex):
            return left is not None and self.right.search(_text(left), scene)
        if isinstance(self.right, tuple):
            return any(left == item.value(scene) for item in self.right)
        if isinstance(self.right, Predicate):
            asks_presence = self.right in (Predicate.PRESENT, Predicate.BLANK)
            actual = bool(left) if asks_presence else holds(left)
            return actual == (self.right in (Predicate.PRESENT, Predicate.TRUE))
        return left == self.right.value(scene)


class Not(Struct, frozen=True):
    """Negation of a condition."""

    inner: Node

    def value(self, scene: Scene) -> Value:
        """Whether it holds."""
        return not holds(self.inner.value(scene))


class Joined(Struct, frozen=True):
    """Conditions with AND, all of which must hold, or with OR, one of which must."""

    connective: Connective
    inner: tuple[Node, ...]

    def value(self, scene: Scene) -> Value:
        """Whether it holds."""
        each = (holds(node.value(scene)) for node in self.inner)
        return all(each) if self.connective is Connective.AND else any(each)


Operand: TypeAlias = "Word | Name | Call"
Node: TypeAlias = "Operand | Comparison | Not | Joined"


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a regex of Ruby.

    :param pattern: without its slashes; groups with names, ``\\z``, ``[\\w-]`` and ``[[:alpha:]]`` are translated.
    :raises re.error: it is no regex, is too long, or has parts that Python's `re` lacks.
    """

    def python(part: re.Match[str]) -> str:
        return _CLASSES.get(part[1], part[0]) if part[1] else _RUBY.get(part[0], part[0])

    if len(pattern) > _LONGEST:
        raise re.error(f"it has more than {_LONGEST:,} characters")
    if "(?" in pattern and _WIDE.search(pattern):
        raise re.error("a range ends beyond ASCII, which is not supported beside groups with a ?")
    with warnings.catch_warnings():
        # In Ruby, a [ within a set begins another set; Python warns that it may do so some day.
        warnings.simplefilter("ignore")
        try:
            return re.compile(_DIFFERENT.sub(python, pattern), re.MULTILINE)
        except RecursionError:
            raise re.error("its groups are too deep") from None
        except (OverflowError, ValueError) as error:
            raise re.error(str(error)) from None


def _cast(value: Value) -> Value:
    """Return the boolean that a text reads as, or the value itself."""
    lower = value.lower() if isinstance(value, str) else ""
    return lower == "true" if lower in ("true", "false") else value


def _text(value: Value) -> str:
    """Return a value as Ruby writes it."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value


def holds(value: Value) -> bool:
    """Whether Ruby takes a value for true: all but nil and false, so an empty text too."""
    return value is not None and value is not False
