"""Words of shell scripts, with what stands for other text in them (POSIX.1-2024, XCU 2.2, 2.3 and 2.6)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from multiarch.image.shell_tree import Sequence

# Characters that end a word where they are not quoted.
_ENDS = " \t\n;&|<>()"
_SPECIAL_PARAMETERS = "@*#?-$!0123456789"
# The operators of a parameter expansion that are followed; the others are not known to lead anywhere.
_OPERATORS = (":-", "-", ":=", "=", ":?", "?", ":+", "+")
# Characters in which double quotes leave a backslash its meaning (XCU 2.2.3).
_ESCAPED_IN_QUOTES = '$`"\\\n'


class SyntaxFaultError(Exception):
    """A script that this reader does not understand."""


class PartKind(Enum):
    """The kind of a part of a word."""

    TEXT = "text"
    PARAMETER = "parameter"
    COMMAND = "command substitution"
    OTHER = "arithmetic, or an expansion that is not followed"


class Part(Struct, frozen=True):
    """A part of a word.

    :ivar text: of a parameter its name.
    :ivar operator: of a parameter, one that is followed, with *word* behind it.
    :ivar body: the commands of a substitution.
    """

    kind: PartKind
    text: str = ""
    is_quoted: bool = False
    operator: str = ""
    word: Word | None = None
    body: Sequence | None = None


class Word(Struct, frozen=True):
    """A word of a script.

    :ivar raw: as it is written.
    """

    parts: tuple[Part, ...]
    raw: str

    @property
    def literal(self) -> str | None:
        """Its text, where it has no quotes and nothing that stands for other text, as reserved words have it."""
        if any(part.kind is not PartKind.TEXT or part.is_quoted for part in self.parts):
            return None
        return "".join(part.text for part in self.parts)


class WordReader(ABC):
    """Reads the words of a script, forwards."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    @abstractmethod
    def commands_until(self, end: str) -> Sequence:
        """Return the commands up to *end*, and go behind it."""

    def peek(self, count: int = 1) -> str:
        """Return the next characters."""
        return self.text[self.position : self.position + count]

    def word(self, ends: str = _ENDS) -> Word:
        """Return the word that begins here, which may be empty."""
        start = self.position
        parts: list[Part] = []
        while (character := self.peek()) and character not in ends:
            parts += self._unquoted(character)
        return Word(tuple(parts), self.text[start : self.position])

    def _unquoted(self, character: str) -> list[Part]:
        """Return the part that begins here, outside of quotes."""
        if character == "'":
            return [Part(PartKind.TEXT, self._until("'"), is_quoted=True)]
        if character == '"':
            return self._double_quoted()
        if character == "\\":
            escaped = self.text[self.position + 1 : self.position + 2]
            self.position += 2
            return [] if escaped == "\n" else [Part(PartKind.TEXT, escaped, is_quoted=True)]
        if character == "$" and self.peek(2) in ("$'", '$"'):
            self.position += 1
            return self._unquoted(self.peek())
        if character in "$`":
            return [self._expansion(is_quoted=False)]
        self.position += 1
        return [Part(PartKind.TEXT, character)]

    def _double_quoted(self) -> list[Part]:
        self.position += 1
        parts = [Part(PartKind.TEXT, "", is_quoted=True)]  # it makes a word also where it is empty
        while (character := self.peek()) != '"':
            if not character:
                raise SyntaxFaultError("a quote is not closed")
            if character in "$`":
                parts.append(self._expansion(is_quoted=True))
            elif character == "\\" and self.peek(2)[1:] and self.peek(2)[1] in _ESCAPED_IN_QUOTES:
                escaped = self.peek(2)[1]
                parts.append(Part(PartKind.TEXT, "" if escaped == "\n" else escaped, is_quoted=True))
                self.position += 2
            else:
                parts.append(Part(PartKind.TEXT, character, is_quoted=True))
                self.position += 1
        self.position += 1
        return parts

    def _expansion(self, *, is_quoted: bool) -> Part:
        """Return what begins with a dollar sign or a backquote."""
        if self.peek() == "`":
            text = self._until("`").replace("\\`", "`")
            return Part(PartKind.COMMAND, text, is_quoted, body=type(self)(text).commands_until(""))
        if self.peek(3) == "$((":
            self.skip_arithmetic()
            return Part(PartKind.OTHER, is_quoted=is_quoted)
        if self.peek(2) == "$(":
            self.position += 2
            start = self.position
            body = self.commands_until(")")
            return Part(PartKind.COMMAND, self.text[start : self.position - 1], is_quoted, body=body)
        if self.peek(2) == "${":
            return self._braced(is_quoted=is_quoted)
        self.position += 1
        name = self._name() or (self.peek() if self.peek() and self.peek() in _SPECIAL_PARAMETERS else "")
        if name and not (name[0].isalpha() or name[0] == "_"):
            self.position += 1
        return Part(PartKind.PARAMETER, name, is_quoted) if name else Part(PartKind.TEXT, "$", is_quoted)

    def _braced(self, *, is_quoted: bool) -> Part:
        """Return an expansion in braces."""
        self.position += 2
        name = self._name()
        if not name:
            while self.peek() and self.peek() in "0123456789":
                name += self.peek()
                self.position += 1
        if not name and self.peek() and self.peek() in "@*":
            name = self.peek()
            self.position += 1
        operator = next((operator for operator in _OPERATORS if self.text.startswith(operator, self.position)), "")
        if self.peek() == "}" or (name and operator):
            self.position += len(operator)
            word = self.word("}") if operator else None
            if self.peek() != "}":
                raise SyntaxFaultError("a brace is not closed")
            self.position += 1
            return Part(PartKind.PARAMETER, name, is_quoted, operator, word)
        start = self.position
        self.word("}")
        if self.peek() != "}":
            raise SyntaxFaultError("a brace is not closed")
        operation = self.text[start : self.position]
        self.position += 1
        return Part(PartKind.OTHER, name + operation, is_quoted)

    def _name(self) -> str:
        """Return the name that begins here, perhaps none, and go behind it."""
        start = self.position
        while (character := self.peek()) and character.isascii() and (character.isalnum() or character == "_"):
            if self.position == start and character.isdigit():
                break
            self.position += 1
        return self.text[start : self.position]

    def _until(self, quote: str) -> str:
        """Return what stands between two quotes, and go behind the second one."""
        start = self.position + 1
        end = self.text.find(quote, start)
        while quote == "`" and end > 0 and self.text[end - 1] == "\\":
            end = self.text.find(quote, end + 1)
        if end < 0:
            raise SyntaxFaultError("a quote is not closed")
        self.position = end + 1
        return self.text[start:end]

    def skip_arithmetic(self) -> None:
        """Go behind an arithmetic expansion."""
        self.position += 3
        depth = 2
        while depth:
            character = self.peek()
            if not character:
                raise SyntaxFaultError("a parenthesis is not closed")
            depth += {"(": 1, ")": -1}.get(character, 0)
            self.position += 1
