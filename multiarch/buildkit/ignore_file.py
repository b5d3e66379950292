"""Ignore files of a context (Docker, "Build context"; github.com/moby/patternmatcher, which BuildKit uses).

A pattern that is not certain to mean the same here as there leaves nothing out: more files count, never fewer.
"""

from __future__ import annotations

import re

from msgspec import Struct

_LARGEST = 1 << 20  # bytes of an ignore file; one has some hundred
_MOST_STARS = 10  # of a pattern, so that none takes long
# All else is an escape, a set of characters, or read as a regular expression there.
_CERTAIN = re.compile(r"[\w ./@+,=~%:#*?-]{1,1000}", re.ASCII)
_STARS = re.compile(r"(?:^|(?<=/))\*\*(?:/|$)")  # of whole names


class _Pattern(Struct, frozen=True):
    matches: re.Pattern[str]
    is_exception: bool


class IgnoreFile(Struct, frozen=True):
    """The patterns of an ignore file, in their order."""

    patterns: tuple[_Pattern, ...] = ()

    @classmethod
    def parse(cls, content: bytes) -> IgnoreFile:
        """Return the patterns that a file has. :raises ValueError: it is larger than any."""
        if len(content) > _LARGEST:
            raise ValueError(f"has more than {_LARGEST} bytes")
        patterns: list[_Pattern] = []
        for line in content.decode("utf-8-sig", errors="replace").split("\n"):
            text = line.strip() if not line.startswith("#") else ""
            is_exception = text.startswith("!")
            if not (text := text.removeprefix("!").strip()):
                continue
            expression = _expression(text)
            if expression:
                patterns.append(_Pattern(expression, is_exception))
            elif is_exception:
                patterns.clear()  # whatever was left out may be back
        return cls(tuple(patterns))

    @property
    def has_exceptions(self) -> bool:
        """Whether something may be sent of a directory that is left out."""
        return any(pattern.is_exception for pattern in self.patterns)

    def leaves_out(self, path: str) -> bool:
        """Whether a path, relative to the context, is not sent: the last pattern wins that matches it or a parent."""
        parts = path.split("/")
        paths = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        is_left_out = False
        for pattern in self.patterns:
            if pattern.is_exception == is_left_out and any(map(pattern.matches.fullmatch, paths)):
                is_left_out = not pattern.is_exception
        return is_left_out


def _expression(text: str) -> re.Pattern[str] | None:
    """Return the expression of a pattern without its ``!``; None where it is not certain."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    pattern = "/".join(parts)
    if not _CERTAIN.fullmatch(pattern) or ".." in parts or pattern.count("*") > _MOST_STARS:
        return None
    found, position = [], 0
    for stars in _STARS.finditer(pattern):
        found += [_plain(pattern[position : stars.start()]), "(?:.*/)?" if stars[0].endswith("/") else ".*"]
        position = stars.end()
    found.append(_plain(pattern[position:]))
    return None if "**" in _STARS.sub("", pattern) else re.compile("".join(found), re.DOTALL)


def _plain(text: str) -> str:
    return re.escape(text).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
