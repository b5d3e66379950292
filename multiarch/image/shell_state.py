"""What a shell script has set: its environment, positional parameters and functions."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

if TYPE_CHECKING:
    from multiarch.image.shell_tree import Node
    from multiarch.image.shell_values import Parameters
    from multiarch.image.wrappers import Environment, Words

# Sets of positional parameters that a script may have, depending on conditions.
_MOST_PARAMETERS = 4


class State(Struct):
    """What a script has set so far.

    :ivar parameters: all that the positional parameters may be; one where they are certain.
    :ivar has_ended: whether nothing behind is run.
    :ivar has_returned: whether that is so only until the end of the function, or of the file that is read in.
    """

    environment: Environment
    parameters: tuple[Parameters, ...]
    functions: dict[str, Node] = field(default_factory=dict)
    has_ended: bool = False
    has_returned: bool = False

    def go_on(self) -> None:
        """Go on behind a function, or a file that was read in."""
        if self.has_returned:
            self.has_ended = self.has_returned = False

    def set(self, name: str, words: Words) -> None:
        """Follow a command that changes the shell itself, one of ``SETTERS``."""
        if name == "set":
            given = _positional(words)
            if given is not None:
                self.parameters = tuple(replace(each, words=given) for each in self.parameters[:1])
        elif name == "shift":
            count = int(words[0]) if words and words[0] and words[0].isdigit() else 1
            # What is not known in the last place may have been several words.
            shifted = [each.words[count:] or tuple(w for w in each.words[-1:] if w is None) for each in self.parameters]
            pairs = zip(self.parameters, shifted, strict=True)
            self.parameters = tuple(replace(each, words=words) for each, words in pairs)
        elif name == "cd":
            self._change_directory(words)
        else:
            variables = dict(self.environment.variables)
            for word in words:
                variable, equals, value = (word or "").partition("=")
                if equals:
                    variables[variable] = value
                elif name == "unset":
                    variables.pop(variable, None)
            self.environment = replace(self.environment, variables=variables)

    def _change_directory(self, words: Words) -> None:
        operands = [word for word in words if word is None or not word.startswith("-")]
        target, here = operands[0] if operands else None, self.environment.directory
        known = target is not None and (here is not None or target.startswith("/"))
        directory = posixpath.normpath(posixpath.join("/", here or "/", target or "")) if known else None
        self.environment = replace(self.environment, directory=directory)


def _positional(words: Words) -> Words | None:
    """Return the positional parameters that ``set`` sets; None where it only sets options."""
    for number, word in enumerate(words):
        if word == "--":
            return words[number + 1 :]
        if word is None or not word.startswith(("-", "+")):
            is_value = number > 0 and (words[number - 1] or "").endswith("o")
            if not is_value:
                return words[number:]
    return None


def merged(before: State, after: State) -> State:
    """Return what is set where it is not certain that the commands between two states were run."""
    here, there = before.environment, after.environment
    names = {*here.variables, *there.variables}
    changed = {name for name in names if here.variables.get(name) != there.variables.get(name)}
    variables = {**here.variables, **dict.fromkeys(changed - {"PATH"})}
    is_doubtful = here.is_doubtful or there.is_doubtful or "PATH" in changed or here.directory != there.directory
    parameters = tuple(dict.fromkeys((*before.parameters, *after.parameters)))[:_MOST_PARAMETERS]
    environment = replace(here, variables=variables, is_doubtful=is_doubtful)
    return State(environment, parameters, {**after.functions, **before.functions}, before.has_ended)
