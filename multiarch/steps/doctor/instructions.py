"""Instructions of a Dockerfile, as BuildKit divides it (frontend/dockerfile/parser): comments, continuations, heredocs.

Nothing is read in them but what is needed to know where one ends.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
_KNOWN = ("syntax", "escape", "check")
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)")
_WITH_HEREDOCS = ("ADD", "COPY", "RUN")
MOST_LINES = 50_000


class UnreadableError(Exception):
    """A Dockerfile says something that is not read here; the message says what."""


class Instruction(Struct, frozen=True):
    """An instruction in one line, without its heredocs.

    :ivar name: in upper case, such as FROM.
    :ivar rest: what stands behind it.
    :ivar line: its first, counted from 1.
    """

    name: str
    rest: str
    line: int


class Dockerfile(Struct, frozen=True):
    """The instructions of a Dockerfile. :ivar escape: its escape character."""

    instructions: tuple[Instruction, ...]
    escape: str


def read_dockerfile(text: str) -> Dockerfile:
    """Return the instructions of a Dockerfile. :raises UnreadableError: a heredoc has no end, or it is too long."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if len(lines) > MOST_LINES:
        raise UnreadableError(f"it has more than {MOST_LINES} lines")
    escape = _escape_of(lines)
    return Dockerfile(tuple(_instructions(lines, escape)), escape)


def _escape_of(lines: list[str]) -> str:
    """Return the escape character of the directives at the beginning."""
    seen = set()
    for line in lines[1 if lines and lines[0].startswith("#!") else 0 :]:
        found = _DIRECTIVE.match(line)
        name = found[1].lower() if found else ""
        if not found or name not in _KNOWN or name in seen:
            break
        seen.add(name)
        if name == "escape":
            if found[2] not in ("\\", "`"):
                raise UnreadableError(f"its escape character is {found[2]!r}")
            return found[2]
    return "\\"


def _instructions(lines: list[str], escape: str) -> Iterator[Instruction]:
    mark = re.escape(escape)
    continuation = re.compile(rf"([^{mark}]){mark}[ \t]*$|^{mark}[ \t]*$")
    at = 0
    while at < len(lines):
        first = at
        line = lines[at].lstrip()
        at += 1
        if not line or line.startswith("#"):
            continue
        pieces = []
        while continuation.search(line):
            pieces.append(continuation.sub(lambda found: found[1] or "", line))
            line = ""
            # Comments and empty lines within a continuation are left out.
            while at < len(lines) and (not lines[at].strip() or lines[at].lstrip().startswith("#")):
                at += 1
            if at == len(lines):
                break
            line = lines[at]
            at += 1
        whole = "".join([*pieces, line]).strip()
        name, _, rest = re.sub(r"^(\S+)\s+", r"\1 ", whole).partition(" ")
        yield Instruction(name.upper(), rest, first + 1)
        for chomps, end in _heredocs(name.upper(), rest, escape):
            at = _behind_heredoc(lines, at, end, chomps=chomps, line=first + 1)


def _heredocs(name: str, rest: str, escape: str) -> list[tuple[bool, str]]:
    """Return the heredocs that an instruction begins: whether tabs are cut in front of the lines, and the last line."""
    if name == "ONBUILD":
        name, _, rest = rest.partition(" ")
        name = name.upper()
    if name not in _WITH_HEREDOCS or _is_json(rest):
        return []
    found = [_HEREDOC.fullmatch(word) for word in words_of(rest, escape)]
    return [(bool(one[1]), re.sub(r"[\"']", "", one[2])) for one in found if one]


def _behind_heredoc(lines: list[str], at: int, end: str, *, chomps: bool, line: int) -> int:
    for number in range(at, len(lines)):
        if (lines[number].lstrip("\t") if chomps else lines[number]) == end:
            return number + 1
    raise UnreadableError(f"the heredoc {end} of line {line} has no end")


def _is_json(rest: str) -> bool:
    try:
        return isinstance(json.loads(rest), list) if rest.startswith("[") else False
    except (ValueError, RecursionError):
        return False


def words_of(text: str, escape: str) -> list[str]:
    """Return the words of a text, with their quotes, which may hold blanks."""
    words, word, quote, escaped = [], "", "", False
    for character in text:
        if escaped or (character == escape and quote != "'"):
            escaped = not escaped
        elif quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character.isspace():
            words.append(word)
            word = ""
            continue
        word += character
    return [one for one in [*words, word] if one]
