"""What a shell script starts, as far as that is certain without running it.

Commands are taken in their order. What depends on a condition is possible, not certain. Values that are known only
when the image runs (of commands, of variables that nothing sets) are None.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from multiarch.image.shell_builtins import BUILTINS, SETTERS, TESTS
from multiarch.image.shell_state import State, merged
from multiarch.image.shell_syntax import parse_script
from multiarch.image.shell_tree import Branches, Chain, Function, Group, Loop, Simple
from multiarch.image.shell_values import Parameters, fields_of, value_of

if TYPE_CHECKING:
    from multiarch.image.shell_tree import Node, Sequence
    from multiarch.image.wrappers import Environment, Words

# Calls of functions and files that are read in, within each other.
_DEEPEST = 8
# Commands of scripts that are looked at for an image.
_MOST_COMMANDS = 2000
# Characters that are read for a script, with those of eval and of files that it reads in.
_MOST_CHARACTERS = 1 << 18


class Starter(Protocol):
    """What follows the programs that a script starts."""

    def start(self, words: Words, environment: Environment, *, is_certain: bool) -> None:
        """Follow a command that is no part of the shell."""

    def text_at(self, path: str) -> str | None:
        """Return the text of a script; None where it is not known."""

    def note(self, problem: str) -> None:
        """Note what is not followed."""


class Shell:
    """A shell that runs one script.

    :param name: what the script is called in notes.
    :param zero: its ``$0``.
    :param is_certain: whether it is run in any case.
    """

    def __init__(
        self,
        starter: Starter,
        name: str,
        environment: Environment,
        zero: str | None,
        parameters: Words,
        *,
        is_certain: bool,
    ) -> None:
        self.name = name
        self.is_certain = is_certain
        self._starter = starter
        self._state = State(environment, (Parameters(zero, parameters),))
        self._count = 0
        self._characters = 0
        self._calls: list[Node | None] = []
        self._traps: list[str] = []

    def run(self, text: str) -> None:
        """Follow what a script starts."""
        self._read(text)
        # What a signal or the end starts may be a function that was defined later than the trap.
        self._state.has_ended, self.is_certain = False, False
        while self._traps:
            self._read(self._traps.pop())

    def _read(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > _MOST_CHARACTERS:
            self._note(f"{self.name} reads more than {_MOST_CHARACTERS} characters, not followed on")
            return
        script = parse_script(text)
        self._sequence(script.body)
        if script.fault and not self._state.has_ended:
            self._note(f"{self.name} is not followed to its end: {script.fault}")

    def _sequence(self, nodes: Sequence) -> None:
        for node in nodes:
            if self._state.has_ended or self._count > _MOST_COMMANDS:
                return
            self._node(node)

    def _node(self, node: Node) -> None:
        self._count += 1
        if self._count > _MOST_COMMANDS:
            self._note(f"{self.name} has more than {_MOST_COMMANDS} commands, not followed on")
        elif isinstance(node, Simple):
            self._simple(node)
        elif isinstance(node, Chain):
            self._chain(node)
        elif isinstance(node, Group):
            self._group(node)
        elif isinstance(node, Branches):
            self._sequence(node.head)
            self._possible(node.bodies)
        elif isinstance(node, Loop):
            self._loop(node)
        elif isinstance(node, Function):
            self._state.functions[node.name] = node.body

    def _chain(self, node: Chain) -> None:
        """Follow commands in a row. Those that run only after a failure, or if a test holds, may not be run at all."""
        before: Node | None = None
        for operator, link in node.links:
            if operator == "||" or (operator == "&&" and before is not None and _is_test(before)):
                self._possible(((link,),))
            elif operator == "|" or (not operator and node.links[1][0] == "|"):
                self._group(Group((link,), is_subshell=True))
            elif not self._state.has_ended:
                self._node(link)
            before = link

    def _group(self, node: Group) -> None:
        outside = self._state
        if node.is_subshell:
            self._state = replace(outside, functions={**outside.functions})
        self._sequence(node.body)
        if node.is_subshell:
            self._state = outside

    def _loop(self, node: Loop) -> None:
        self._sequence(node.condition or ())
        if node.condition and all(_name(command) in (":", "true") for command in node.condition):
            self._sequence(node.body)
        else:
            self._possible((node.body,))

    def _possible(self, bodies: tuple[Sequence, ...]) -> None:
        """Follow commands that may be run or not; what they set may be set afterwards."""
        before, is_certain = self._state, self.is_certain
        if before.has_ended:
            return
        self.is_certain = False
        for body in bodies:
            self._state = replace(before, functions={**before.functions})
            self._sequence(body)
            before = merged(before, self._state)
        self._state, self.is_certain = before, is_certain

    def _simple(self, node: Simple) -> None:
        """Follow a simple command (POSIX, "Simple Commands"): its command substitutions, assignments and words.

        Where conditions leave several sets of positional parameters, it is followed with each, and none is certain.
        """
        for word in (*node.words, *(value for _, value in node.assignments if value)):
            for part in word.parts:
                if part.body:
                    self._group(Group(part.body, is_subshell=True))
        state = self._state
        parameters, variables = state.parameters[-1], state.environment.variables
        values = {name: value_of(word, parameters, variables) if word else None for name, word in node.assignments}
        changed = replace(state.environment, variables={**variables, **values})
        if not node.words:
            state.environment = changed
            return
        is_certain = self.is_certain
        for number, alternative in enumerate(state.parameters):
            words = fields_of(node.words, alternative, variables)
            if number and words == fields_of(node.words, state.parameters[0], variables):
                continue
            self.is_certain = is_certain and len(state.parameters) == 1
            raw = " ".join(word.raw for word in node.words[:1])
            self._command(words, changed, raw)
        self.is_certain = is_certain

    def _command(self, words: Words, environment: Environment, raw: str) -> None:
        """Follow one command with its words."""
        state = self._state
        if not words:
            return
        name = words[0]
        if name is None:
            self._note(f"{self.name} starts {raw}, which is known only when it runs")
        elif name in state.functions:
            self._call(state.functions[name], words)
        elif name in ("exec", "command", "builtin", "nohup", "time") and len(words) > 1:
            self._prefixed(name, words[1:], environment, raw)
        elif name in ("exit", "return", "exec"):
            state.has_ended = name != "exec" and self.is_certain
            state.has_returned = name == "return" and self.is_certain
        elif name == "trap":
            self._trap(words[1:])
        elif name in ("eval", ".", "source"):
            self._read_in(name, words[1:])
        elif name in SETTERS:
            state.set(name, words[1:])
        elif name not in BUILTINS:
            self._starter.start(words, environment, is_certain=self.is_certain)

    def _prefixed(self, name: str, words: Words, environment: Environment, raw: str) -> None:
        """Follow a command behind ``exec``, ``command`` and the like."""
        count = 0
        while count < len(words) and (word := words[count]) and word.startswith("-"):
            if name == "command" and ("v" in word or "V" in word):
                return
            count += 2 if name == "exec" and word.endswith("a") else 1
        words = words[count:]
        if name != "exec":
            self._command(words, environment, raw)
            return
        if words and words[0] is None:
            self._note(f"{self.name} starts {raw} with what is known only when it runs")
        elif words:
            self._starter.start(words, environment, is_certain=self.is_certain)
        # Without words it only redirects.
        self._state.has_ended = self._state.has_ended or (bool(words) and self.is_certain)

    def _call(self, body: Node, words: Words) -> None:
        """Follow a function; one that calls itself again and again starts nothing new."""
        if len(self._calls) >= _DEEPEST:
            if not any(body is called for called in self._calls):
                self._note(f"{self.name} calls functions that are nested too deeply to be followed")
            return
        outside = self._state.parameters
        self._state.parameters = tuple(replace(parameters, words=words[1:]) for parameters in outside[:1])
        self._calls.append(body)
        self._node(body)
        self._calls.pop()
        self._state.parameters = outside
        self._state.go_on()

    def _trap(self, words: Words) -> None:
        """Keep what a signal or the end of the shell starts."""
        if words and words[0] is None:
            self._note(f"{self.name} runs by trap what is known only when it runs")
        elif len(words) > 1 and words[0] and not words[0].startswith("-"):
            self._traps.append(words[0])

    def _read_in(self, name: str, words: Words) -> None:
        """Follow what ``eval`` or ``.`` runs in this shell."""
        known = [word for word in words if word is not None]
        if len(known) < len(words) or len(self._calls) >= _DEEPEST:
            self._note(f"{self.name} runs by {name} what is known only when it runs")
            return
        directory = self._state.environment.directory or "/"
        text = " ".join(known) if name == "eval" else None
        if name != "eval" and known and "/" in known[0]:
            text = self._starter.text_at(posixpath.join("/", directory, known[0]))
        if text is None:
            if self.is_certain:
                self._note(f"{self.name} reads in {' '.join(known[:1])}, which is not followed")
            return
        self._calls.append(None)
        self._read(text)
        self._calls.pop()
        if name != "eval":
            self._state.go_on()

    def _note(self, problem: str) -> None:
        self._starter.note(problem)


def _name(node: Node) -> str:
    return node.words[0].raw if isinstance(node, Simple) and node.words else ""


def _is_test(node: Node) -> bool:
    """Whether a command is run for its status."""
    if isinstance(node, Simple) and _name(node) == "command":
        return True
    return _name(node) in TESTS if isinstance(node, Simple) else isinstance(node, Chain) and _is_test(node.links[0][1])
