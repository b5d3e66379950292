"""Commands of shell scripts (POSIX.1-2024, XCU 2.9, with what bash and ksh add), as a tree.

What redirections read and write is passed over: it starts nothing.
"""

from __future__ import annotations

import re

from msgspec import Struct

from multiarch.image.shell_tokens import TokenReader
from multiarch.image.shell_tree import Branches, Chain, Function, Group, Loop, Node, Sequence, Simple
from multiarch.image.shell_words import Part, PartKind, SyntaxFaultError, Word

# Commands within each other; scripts have about five levels.
_DEEPEST = 40
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\[[^]]*\])?(\+?)=")
_PARENTHESES = re.compile(r"\(\s*\)")
_TEST_END = re.compile(r"\s\]\](?=[\s;&|)]|$)")
_CLOSING = ("then", "elif", "else", "fi", "do", "done", "esac", "}")


class Script(Struct, frozen=True):
    """The commands of a script, as far as they are understood. *fault*: why not all are; empty where they are."""

    body: Sequence
    fault: str = ""


def parse_script(text: str) -> Script:
    """Return the commands of a script; those before a fault, as the shell runs them before it reads on."""
    parser = _Parser(text)
    nodes: list[Node] = []
    try:
        while (node := parser.complete_command()) is not None:
            nodes.append(node)
    except SyntaxFaultError as error:
        return Script(tuple(nodes), str(error))
    except RecursionError:
        return Script(tuple(nodes), "its words are nested too deeply")
    return Script(tuple(nodes))


class _Parser(TokenReader):
    """Reads the commands of a script."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def complete_command(self) -> Node | None:
        """Return the next command of the script; None at the end."""
        self._depth = 0
        node = self._next_of_sequence()
        if node is None and self.position < len(self.text):
            raise self.misplaced()
        return node

    def commands_until(self, end: str) -> Sequence:
        """Return the commands up to *end*: a parenthesis, or the end of the script, where it is empty."""
        body = self._sequence()
        if end == ")":
            self.take(")")
        elif self.position < len(self.text):
            raise self.misplaced()
        return body

    def _sequence(self) -> Sequence:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise SyntaxFaultError("its commands are nested too deeply")
        nodes: list[Node] = []
        while (node := self._next_of_sequence()) is not None:
            nodes.append(node)
        self._depth -= 1
        return tuple(nodes)

    def _next_of_sequence(self) -> Node | None:
        """Return the next command, and go behind it; None where what encloses it ends."""
        self.blanks(lines=True)
        is_over = self.position >= len(self.text) or self.operator().startswith((")", ";;", ";&"))
        if is_over or self.plain_word() in _CLOSING:
            return None
        node = self._chain()
        self.blanks()
        operator = self.operator()
        if operator in (";", "&"):
            self.position += 1
        elif operator not in ("", "\n", ")", ";;", ";&", ";;&"):
            raise self.misplaced()
        return node

    def _chain(self) -> Node:
        links: list[tuple[str, Node]] = []
        operator = ""
        while True:
            self.blanks(lines=bool(operator))
            if self.plain_word() == "!":
                self.position += 1
                self.blanks()
            links.append((operator[:1] if operator == "|&" else operator, self._command()))
            self.blanks()
            operator = self.operator()
            if operator not in ("&&", "||", "|", "|&"):
                return links[0][1] if len(links) == 1 else Chain(tuple(links))
            self.position += len(operator)

    def _command(self) -> Node:
        start = self.position
        reserved = self.plain_word()
        node = self._compound(reserved)
        if node is None:
            self.position = start
            return self._simple()
        while self.redirection():
            pass
        return node

    def _compound(self, reserved: str) -> Node | None:
        """Return the compound command that begins here; None where none does."""
        if self.peek(2) == "((":
            self.position -= 1
            self.skip_arithmetic()
            return Simple((), ())
        if self.peek() == "(":
            self.position += 1
            return Group(self.commands_until(")"), is_subshell=True)
        self.position += len(reserved)
        if reserved == "{":
            return Group(self._body("}"), is_subshell=False)
        if reserved == "if":
            return self._if()
        if reserved in ("while", "until"):
            return Loop(self._body("do"), self._body("done"))
        if reserved in ("for", "select"):
            return self._for()
        if reserved == "case":
            return self._case()
        if reserved == "[[":
            return self._test()
        return self._function(reserved)

    def _body(self, end: str) -> Sequence:
        body = self._sequence()
        self.take(end)
        return body

    def _if(self) -> Node:
        head = self._body("then")
        bodies = [self._sequence()]
        while True:
            self.blanks(lines=True)
            reserved = self.plain_word()
            if reserved not in ("elif", "else"):
                self.take("fi")
                return Branches(head, tuple(bodies))
            self.position += len(reserved)
            if reserved == "elif":
                bodies.append(self._body("then"))
            bodies.append(self._sequence())

    def _for(self) -> Node:
        self.blanks()
        if self.peek(2) == "((":
            self.position -= 1
            self.skip_arithmetic()
        else:
            self.word()
            self.blanks(lines=True)
            if self.plain_word() == "in":
                self.position += 2
                while self.blanks() and self.operator() not in (";", "\n", "&"):
                    if not self.word().raw:
                        raise self.misplaced()
        self.blanks(lines=True)
        if self.peek() == ";":
            self.position += 1
        self.take("do")
        return Loop(None, self._body("done"))

    def _case(self) -> Node:
        self.blanks()
        self.word()
        self.take("in")
        bodies: list[Sequence] = []
        while True:
            self.blanks(lines=True)
            if self.plain_word() == "esac":
                self.position += len("esac")
                return Branches((), tuple(bodies))
            if self.peek() == "(":
                self.position += 1
            while self.blanks() != ")":
                if self.peek() == "|":
                    self.position += 1
                elif not self.word().raw:
                    raise self.misplaced()
            self.position += 1
            bodies.append(self._sequence())
            if (operator := self.operator()).startswith((";;", ";&")):
                self.position += len(operator)

    def _test(self) -> Node:
        """Return a test of bash, of which nothing matters but that it is one."""
        end = _TEST_END.search(self.text, self.position)
        if end is None:
            raise SyntaxFaultError("a test is not closed")
        self.position = end.end()
        return Simple((), (Word((Part(PartKind.TEXT, "[["),), "[["),))

    def _function(self, reserved: str) -> Node | None:
        """Return the definition of a function that begins here; None where none does."""
        named = reserved == "function"
        if named:
            self.blanks()
            reserved = self.plain_word()
            self.position += len(reserved)
        self.blanks()
        parentheses = _PARENTHESES.match(self.text, self.position)
        if parentheses and reserved and "=" not in reserved:
            self.position = parentheses.end()
        elif not named:
            return None
        self.blanks(lines=True)
        return Function(reserved, self._command())

    def _simple(self) -> Node:
        assignments: list[tuple[str, Word | None]] = []
        words: list[Word] = []
        start = self.position
        while True:
            self.blanks()
            if self.redirection():
                continue
            if self.peek(2) in ("<(", ">("):
                self.position += 2
                body = self.commands_until(")")
                words.append(Word((Part(PartKind.COMMAND, body=body),), "<(…)"))
                continue
            if not self.peek() or self.operator():
                break
            assigned = None if words else _ASSIGNMENT.match(self.text, self.position)
            if assigned:
                self.position = assigned.end()
                assignments.append((assigned.group(1), self._value(whole=not (assigned.group(2) or assigned.group(3)))))
                continue
            words.append(self.word())
            if words[-1].raw.endswith("=") and self.peek() == "(":
                self._value(whole=False)
        if self.position == start:
            raise self.misplaced()
        return Simple(tuple(assignments), tuple(words))

    def _value(self, *, whole: bool) -> Word | None:
        """Return the value of an assignment; None of an array, and of what is added to a value."""
        if self.peek() == "(":
            self.position += 1
            while self.blanks(lines=True) != ")":
                if not self.word().raw:
                    raise SyntaxFaultError("an array is not closed")
            self.position += 1
            return None
        word = self.word()
        return word if whole else None
