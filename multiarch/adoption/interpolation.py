"""Variables in a compose file (compose specification, "Interpolation"), and the ``.env`` beside it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_LONGEST = 4096  # characters of a line; others are left out
_DEEPEST = 20  # variables in the defaults of others


class UnsetError(ValueError):
    """A text depends on a variable that nothing sets."""


def interpolate(text: str, variables: Mapping[str, str], depth: int = 0) -> str:
    """Return a text with the values of variables in it. :raises UnsetError: one has none, or the text is broken."""
    if depth > _DEEPEST:
        raise UnsetError("its variables are nested too deeply")
    parts, at = [], 0
    while (dollar := text.find("$", at)) >= 0:
        parts.append(text[at:dollar])
        at = dollar + 1
        if text.startswith("$", at):
            parts.append("$")
            at += 1
        elif text.startswith("{", at):
            end = _closing(text, at)
            parts.append(_braced(text[at + 1 : end], variables, depth))
            at = end + 1
        elif name := _NAME.match(text, at):
            parts.append(_value(name[0], variables))
            at = name.end()
        else:
            raise UnsetError(f"{text!r} has a $ that begins no variable")
    return "".join([*parts, text[at:]])


def read_dotenv(text: str) -> dict[str, str]:
    """Return the variables of a ``.env``; those that depend on others are left out."""
    variables = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip()) if len(line) <= _LONGEST else None
        if not match:
            continue
        value = match[2]
        if quoted := re.fullmatch(r"'([^']*)'(?:\s+#.*)?", value):
            variables[match[1]] = quoted[1]
            continue
        double = re.fullmatch(r'"([^"\\]*)"(?:\s+#.*)?', value)
        value = double[1] if double else re.sub(r"\s+#.*$", "", value)
        variables.pop(match[1], None)
        if not re.search(r"[$\\\"']", value):
            variables[match[1]] = value
    return variables


def _closing(text: str, opening: int) -> int:
    """Return the index of the brace that closes another one."""
    depth = 0
    for index in range(opening, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if not depth:
                return index
    raise UnsetError(f"{text!r} has a brace without its partner")


def _braced(inner: str, variables: Mapping[str, str], depth: int) -> str:
    """Return what ``${…}`` stands for."""
    name = _NAME.match(inner)
    rest = inner[name.end() :] if name else inner
    operator = _OPERATOR.match(rest)
    if name is None or (rest and operator is None):
        raise UnsetError(f"${{{inner}}} is no variable")
    if operator is None:
        return _value(name[0], variables)
    is_set = bool(variables.get(name[0])) if operator[0].startswith(":") else name[0] in variables
    word = rest[operator.end() :]
    if operator[0].endswith("-"):
        return variables[name[0]] if is_set else interpolate(word, variables, depth + 1)
    if operator[0].endswith("+"):
        return interpolate(word, variables, depth + 1) if is_set else ""
    if not is_set:
        raise UnsetError(f"${{{name[0]}}} is set by nothing that is here")
    return variables[name[0]]


def _value(name: str, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise UnsetError(f"${{{name}}} is set by nothing that is here")
    return variables[name]
