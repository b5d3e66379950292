"""What settings may hold: plain data of a bounded size, and names and values that stay what they are in a command."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from multiarch.errors import ConfigurationError

_MOST_VALUES = 100_000  # values in a block; an alias of YAML counts as often as it is used
_DEEPEST = 20  # levels; settings have four
_SEPARATORS = ("Cc", "Zl", "Zp")  # categories of Unicode: controls with line breaks, separators of lines


def check_plain(where: str, value: Any) -> None:
    """Check that data is neither deep nor large, and holds no NUL, which no word of a command can.

    :param where: its setting, for the error.
    """
    count = 0
    waiting = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        count += 1
        if count > _MOST_VALUES:
            raise ConfigurationError(where, f"it holds more than {_MOST_VALUES} values; correct the file")
        if depth > _DEEPEST:
            raise ConfigurationError(where, f"it is nested more than {_DEEPEST} levels deep; correct the file")
        if isinstance(item, str):
            if "\0" in item:
                raise ConfigurationError(where, "a text in it has a NUL, which no command can be given; remove it")
        elif isinstance(item, Mapping):
            waiting += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, (list, tuple, set, frozenset)):
            waiting += [(part, depth + 1) for part in item]


def check_pairs(where: str, pairs: Mapping[str, str], what: str) -> None:
    """Check the names of labels, annotations or arguments, which stand before an equals sign in a command.

    :param where: their setting, for the error.
    :param what: what a name is the name of.
    """
    for name in pairs:
        problem = ""
        if not name:
            problem = "is empty"
        elif "=" in name:
            problem = "holds =, which ends a name"
        elif any(unicodedata.category(character) in _SEPARATORS for character in name):
            problem = "holds a line break or another control character"
        if problem:
            raise ConfigurationError(where, f"the name {name!r} of {what} {problem}; choose another")
