"""Commands of a CI's script as a shell would run them, as far as that is sure without running it.

Variables that are set once, to a literal, have their value; loops, functions and conditions are not evaluated.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multiarch.adoption.builds import Text

# Stands for a dollar sign that begins no variable; no value may have it (a private character of Unicode).
_LITERAL_DOLLAR = "\ue000"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*|\d))")
_ASSIGNED = re.compile(r"(?:^|[\s;&|(])(?:(?:export|readonly|local|declare)\s+)*([A-Za-z_]\w*)\+?=", re.MULTILINE)
_LOOPED = re.compile(r"\b(?:for|select|read(?:\s+-\w+)*|unset|getopts\s+\S+)\s+([A-Za-z_]\w*)")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_HEREDOC = re.compile(r"<<-?\s*[\"'\\]?(\w+)")
_OPENING = frozenset({"for", "while", "until", "if", "case", "select", "{", "function"})
_CLOSING = frozenset({"done", "fi", "esac", "}"})
# Words of the shell, and programs, that run the command behind them.
_PREFIXES = frozenset({"sudo", "then", "do", "else", "time", "exec", "!", "command", "env", "travis_retry", "export"})
_TESTS = frozenset({"[", "[[", "test"})
_OPERATORS = frozenset(";&|()")
# lines and characters of one command; to look for its end takes more than linear time
_MOST_LINES = 60
_LONGEST = 20_000


class Command(Struct, frozen=True):
    """Command with its words; in those that are not sure, a variable stays as it is written.

    :ivar settings: the variables that stand before it.
    :ivar is_conditional: whether it stands in a condition, loop or function, or behind a test.
    """

    words: tuple[str, ...]
    line: int
    settings: Mapping[str, str] = field(default_factory=dict)
    is_conditional: bool = False


def is_sure(word: str) -> bool:
    """Whether a word is all literal."""
    return not re.search(rf"[$`{_LITERAL_DOLLAR}]", word)


def commands(scripts: Sequence[Text], variables: Mapping[str, str]) -> Iterator[Command]:
    """Yield the commands of scripts that one shell runs one after the other.

    :param scripts: the text of each, and the line of its first.
    :param variables: those that are set before.
    """
    values = dict(variables)
    whole = "\n".join(script.text for script in scripts)
    counts = Counter(_ASSIGNED.findall(whole)) + Counter(_LOOPED.findall(whole))
    known = {name for name in values if not counts[name]}
    depth, tested = 0, 0
    for words, line in (each for script in scripts for each in _lines(script)):
        while words and (words[0] in _PREFIXES or words[0] in _OPENING or words[0] in _CLOSING):
            depth += (words[0] in _OPENING) - (words[0] in _CLOSING)
            words = words[1:]
        filled = [_filled(word, values, known) for word in words]
        settings: dict[str, str] = {}
        while filled and (match := _ASSIGNMENT.fullmatch(filled[0])):
            settings[match[1]] = match[2]
            filled = filled[1:]
        if filled:
            tested = line if filled[0] in _TESTS else tested
            yield Command(tuple(filled), line, settings, depth > 0 or line == tested)
            continue
        for name, value in settings.items():
            if depth <= 0 and counts[name] == 1 and name not in variables and is_sure(value):
                values[name] = value
                known.add(name)


def _filled(word: str, values: Mapping[str, str], known: set[str]) -> str:
    """Return a word with the values of the variables that are known."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return values[name] if name in known else match[0]

    return _VARIABLE.sub(value, word)


def _lines(script: Text) -> Iterator[tuple[list[str], int]]:
    """Yield the words of each simple command, and its line."""
    lines = script.text.split("\n")
    number = 0
    while number < len(lines):
        start, whole = number, lines[number]
        number += 1
        while number < len(lines) and number - start < _MOST_LINES and (end := _is_open(whole)):
            whole = whole[:-1] + " " if end == "\\" else f"{whole}\n"
            whole += lines[number]
            number += 1
        for words in _split(whole):
            yield words, script.line + start
        if heredoc := _HEREDOC.search(whole):
            while number < len(lines) and lines[number].strip() != heredoc[1]:
                number += 1
            number += 1


def _is_open(line: str) -> str:
    """Return what joins a line with the next one: a quote that is not closed, or a backslash at its end."""
    if len(line) > _LONGEST:
        return ""
    if _split(line) == [] and re.search(r"[\"']", line):
        return '"'
    return "\\" if re.search(r"(?<!\\)(?:\\\\)*\\$", line) and not line.lstrip().startswith("#") else ""


def _split(line: str) -> list[list[str]]:
    """Return the simple commands of a line, each as its words; nothing of a line with a quote that stays open."""
    found: list[list[str]] = [[]]
    word, quote, at, begun = "", "", 0, False
    while at < len(line):
        character = line[at]
        at += 1
        if quote:
            if character == quote:
                quote = ""
            elif character == "\\" and quote == '"' and line[at : at + 1] in ('"', "\\", "$", "`"):
                word += line[at].replace("$", _LITERAL_DOLLAR)
                at += 1
            else:
                word += _LITERAL_DOLLAR if quote == "'" and character == "$" else character
        elif character in "\"'":
            quote, begun = character, True
        elif character == "\\" and at < len(line):
            word += line[at].replace("$", _LITERAL_DOLLAR)
            at, begun = at + 1, True
        elif character == "#" and not begun and not word:
            break
        elif character.isspace() or (character in _OPERATORS and not word.endswith("$")):
            if word or begun:
                found[-1].append(word)
            word, begun = "", False
            if character in _OPERATORS:
                found.append([])
        else:
            word += character
    if quote:
        return []
    if word or begun:
        found[-1].append(word)
    return [words for words in found if words]
