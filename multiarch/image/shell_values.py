"""Values of words in shell scripts (POSIX.1-2024, XCU 2.6): None where they are known only when the script runs."""

from __future__ import annotations

import itertools
import posixpath
import re
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.image.shell_words import PartKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multiarch.image.shell_words import Part, Word
    from multiarch.image.wrappers import Words

# A pattern that names files (XCU 2.14); what it names is known only when the script runs.
_PATTERN = re.compile(r"[*?]|\[.+\]")
_LONGEST = 1 << 16  # characters of a value; a variable may be doubled again and again
_MOST_WORDS = 4096  # of a command; `set -- "$@" "$@"` doubles them


class Parameters(Struct, frozen=True):
    """The positional parameters of a script, and its ``$0``."""

    zero: str | None
    words: Words


def value_of(word: Word, parameters: Parameters, variables: Mapping[str, str | None]) -> str | None:
    """Return the value of a word that is not split, as in an assignment."""
    texts = [_text(part, parameters, variables) for part in word.parts]
    if word.raw.startswith("~") or any(text is None for text in texts):
        return None
    value = "".join(text for text in texts if text)
    return value if len(value) <= _LONGEST else None


def fields_of(words: Iterable[Word], parameters: Parameters, variables: Mapping[str, str | None]) -> Words:
    """Return the words of a command, as they are after all expansions; behind a great many, one that is not known."""
    fields = (field for word in words for field in _fields(word, parameters, variables))
    known = tuple(itertools.islice(fields, _MOST_WORDS))
    return known if next(fields, known) is known else (*known, None)


def _fields(word: Word, parameters: Parameters, variables: Mapping[str, str | None]) -> Words:
    parts = [part for part in word.parts if part.text or part.kind is not PartKind.TEXT]
    if len(parts) == 1 and _is_all_parameters(parts[0]):
        return parameters.words
    value = value_of(word, parameters, variables)
    is_plain = all(part.kind is PartKind.TEXT or part.is_quoted for part in word.parts)
    if value is None:
        return (None,)
    if is_plain:
        texts = "".join(part.text for part in word.parts if not part.is_quoted)
        return (None,) if _PATTERN.search(texts) else (value,)
    return tuple(value.split()) if not _PATTERN.search(value) else (None,)


def _is_all_parameters(part: Part) -> bool:
    """Whether a part is each positional parameter: bare ones may be split again, which they seldom need."""
    is_plain = part.kind is PartKind.PARAMETER and not part.operator
    return is_plain and (part.text == "@" or (part.text == "*" and not part.is_quoted))


def _text(part: Part, parameters: Parameters, variables: Mapping[str, str | None]) -> str | None:
    """Return the text that a part stands for."""
    if part.kind is PartKind.TEXT:
        return part.text
    if part.kind is PartKind.COMMAND:
        return _directory_of_script(part, parameters)
    if part.kind is PartKind.OTHER:
        is_directory = part.text in ("0%/*", "BASH_SOURCE%/*") and parameters.zero
        return posixpath.dirname(parameters.zero) if is_directory and parameters.zero else None
    is_set, value = _parameter(part.text, parameters, variables)
    other = value_of(part.word, parameters, variables) if part.word else ""
    if part.operator in (":-", ":=", ":?"):
        return value if value or (is_set and value is None) else other
    if part.operator in ("-", "=", "?"):
        return value if is_set else other
    if part.operator in (":+", "+"):
        return None if is_set and value is None else other if is_set and (value or part.operator == "+") else ""
    return value


def _parameter(name: str, parameters: Parameters, variables: Mapping[str, str | None]) -> tuple[bool, str | None]:
    """Return whether a parameter is set, and its value."""
    if name == "0":
        return True, parameters.zero
    if name.isdigit():
        number = int(name[:4])
        return (True, parameters.words[number - 1]) if number <= len(parameters.words) else (False, "")
    if name in ("@", "*"):
        known = [word for word in parameters.words if word is not None]
        return bool(parameters.words), " ".join(known) if len(known) == len(parameters.words) else None
    if name == "#":
        return True, str(len(parameters.words))
    if name in ("?", "$", "!", "-"):
        return True, None
    if name == "BASH_SOURCE":
        return True, parameters.zero
    # One that nothing sets may still come from ``docker run --env``.
    return name in variables, variables.get(name)


def _directory_of_script(part: Part, parameters: Parameters) -> str | None:
    """Return what the usual ways to ask for the directory of a script give; None of any other command."""
    words = part.text.replace('"', "").replace("${0}", "$0").replace("${BASH_SOURCE[0]}", "$0").split()
    if words in (["dirname", "$0"], ["dirname", "--", "$0"]) and parameters.zero:
        return posixpath.dirname(parameters.zero) or "."
    return None
