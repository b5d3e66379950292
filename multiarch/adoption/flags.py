"""Flags of ``buildctl`` and ``docker`` in the words of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# The name with its place, and the value, of a flag such as ``--opt platform=linux/arm64``.
_FLAGS = {"--frontend-opt": "", "--opt": "", "--exporter-opt": "output.", "--output": "output.", "--local": "local."}


def options_of(words: Sequence[str]) -> dict[str, str]:
    """Return the options of ``buildctl build`` by their names."""
    found: dict[str, str] = {}
    for index, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in _FLAGS:
            text = value if equals else "".join(words[index + 1 : index + 2])
            # Only an output has several in one word.
            for part in text.split(",") if _FLAGS[flag] == "output." else [text]:
                name, _, inner = part.partition("=")
                found[_FLAGS[flag] + name] = inner
    return found


def flags_of(words: Sequence[str]) -> dict[str, str]:
    """Return the values of flags by their names."""
    found = {}
    for index, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag.startswith("--"):
            found[flag] = value if equals else "".join(words[index + 1 : index + 2])
    return found
