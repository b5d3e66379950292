"""Tokens of shell scripts: operators, redirections and here-documents (POSIX.1-2024, XCU 2.3 and 2.7)."""

from __future__ import annotations

import re

from multiarch.image.shell_words import SyntaxFaultError, WordReader

_REDIRECTION = re.compile(r"[0-9]*(&>>|&>|<<-|<<<|<<|<&|<>|<(?!\()|>>|>&|>\||>(?!\())|\{[A-Za-z_]+\}[<>]")
_OPERATOR = re.compile(r"&&|\|\||\|&|;;&|;;|;&|[;&|()\n]")
# What may be a reserved word or the name of a function: no character of it is quoted or stands for other text.
_PLAIN_WORD = re.compile(r"[^\s;&|<>()'\"$`\\]+")


class TokenReader(WordReader):
    """Reads the tokens of a script, forwards. Here-documents are passed over at the end of their line."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._documents: list[tuple[str, bool]] = []

    def blanks(self, *, lines: bool = False) -> str:
        """Go behind blanks and comments, and behind line ends too where *lines*; return the next character."""
        while True:
            character = self.peek()
            if self.peek(2) == "\\\n":
                self.position += 2
            elif character and character in " \t":
                self.position += 1
            elif character == "#":
                end = self.text.find("\n", self.position)
                self.position = end if end >= 0 else len(self.text)
            elif character == "\n" and lines:
                self.position += 1
                self._skip_documents()
            else:
                return character

    def operator(self) -> str:
        """Return the operator that begins here, perhaps none."""
        found = _OPERATOR.match(self.text, self.position)
        return found.group() if found else ""

    def plain_word(self) -> str:
        """Return the word without quotes and expansions that begins here, perhaps none."""
        found = _PLAIN_WORD.match(self.text, self.position)
        return found.group() if found else ""

    def take(self, token: str) -> None:
        """Go behind a token, which must be here."""
        self.blanks(lines=True)
        if not self.text.startswith(token, self.position):
            raise SyntaxFaultError(f"no {token!r} in line {self._line}, where it should be")
        self.position += len(token)

    def misplaced(self) -> SyntaxFaultError:
        """Return the error of a token that cannot be here."""
        return SyntaxFaultError(f"a misplaced {self.peek()!r} in line {self._line}")

    @property
    def _line(self) -> int:
        return self.text.count("\n", 0, self.position) + 1

    def redirection(self) -> bool:
        """Go behind a redirection, if one begins here. Whether one did."""
        self.blanks()
        found = _REDIRECTION.match(self.text, self.position)
        if found is None:
            return False
        self.position = found.end()
        self.blanks()
        if self.peek(2) in ("<(", ">("):
            self.position += 2
            self.commands_until(")")
            return True
        word = self.word()
        if found.group(1) in ("<<", "<<-"):
            delimiter = "".join(part.text for part in word.parts)
            self._documents.append((delimiter, found.group(1) == "<<-"))
        return True

    def _skip_documents(self) -> None:
        """Go behind the here-documents of the line that has ended."""
        for delimiter, is_indented in self._documents:
            while self.position < len(self.text):
                end = self.text.find("\n", self.position)
                end = end if end >= 0 else len(self.text)
                line = self.text[self.position : end]
                self.position = min(end + 1, len(self.text))
                if (line.lstrip("\t") if is_indented else line) == delimiter:
                    break
        self._documents.clear()
