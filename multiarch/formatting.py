"""Texts for people: tables, sizes, durations, and what may be shown of texts that others wrote."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


# characters of a line; minified programs and whole manifests are still shown, what fills the memory is not
LONGEST_LINE = 1_000_000
# lines of an error; the first ones say what is wrong
MOST_LINES = 1_000
# Escape sequences of terminals (ECMA-48): colours, and the end of a line that is erased with them; strings such as OSC
# with their terminator, other control sequences, and those of two bytes.
_COLOUR = re.compile(r"\x1b\[[0-9;:]*[mK]")
_SEQUENCE = re.compile(r"\x1b(?:[\]PX^_][^\x07\x1b\x9c]*(?:[\x07\x9c]|\x1b\\)|\[[0-?]*[ -/]*[@-~]|[ -/]*[0-Z\\-~])")
# Controls of C0 and C1 but the tab, and separators of lines.
_CONTROLS = r"\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029"
# What turns the direction of writing (Unicode, UAX 9), and halves of surrogate pairs, which no encoding takes.
_TURNS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
# Other characters that are not seen (Unicode, category Cf).
_UNSEEN = (
    r"\xad\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
    r"\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
)
_UNCLEAN = re.compile(f"[{_CONTROLS}{_TURNS}{_UNSEEN}]")
_TURN = re.compile(f"[{_TURNS}]")
_HIDDEN = re.compile(f"[{_UNSEEN}]")
# What CIs take for a command in a log: GitHub's "::error::" after blanks, the "##[group]" of GitHub and Azure,
# "##vso[" and "##teamcity[" anywhere, the sections of GitLab, the folds of Travis.
# Sources: actions/runner (src/Runner.Common/ActionCommand.cs), azure-pipelines-agent (Command.cs), TeamCity ("Service
# messages"), GitLab ("Custom collapsible sections"), travis-build (lib/travis/build/bash/travis_fold.bash).
_COMMAND = re.compile(r"(?P<github>^\s*:)(?=:)|#(?=#\w{0,32}\[)|section_(?:start|end)(?=:)|travis_(?:fold|time)(?=:)")
_CHARACTER = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "'": r"\'", "\\": r"\\"}


def clean(text: str, longest: int = LONGEST_LINE) -> str:
    """Return text as one line that moves no cursor, changes no colour and reads in the order in which it is written.

    Colours and characters without width are left out, other escape sequences and controls become blanks, what turns
    the direction of writing becomes U+FFFD, which is seen; tabs are expanded.

    :param longest: characters that are kept; how many follow is said behind them.
    """
    if len(text) > longest:
        text = f"{clean(text[:longest], longest)}… ({len(text) - longest} more characters)"
    if text.isprintable():
        return text
    if "\x1b" in text:
        text = _SEQUENCE.sub(" ", _COLOUR.sub("", text))
    if not text.isprintable():
        text = _UNCLEAN.sub(" ", _TURN.sub("\ufffd", _HIDDEN.sub("", text)))
    return text.expandtabs()


def clean_lines(text: str, most: int = MOST_LINES) -> Iterator[str]:
    """Yield the lines of a text, each clean; only a line feed ends one.

    :param most: lines that are kept; a last one says how many follow.
    """
    count = text.count("\n") + 1
    lines = text.split("\n", most)
    for line in lines[:most]:
        yield clean(line.removesuffix("\r"))
    if count > most:
        yield f"… ({count - most} more lines)"


def is_clean(text: str) -> bool:
    """Whether a text is one line that stays as it is in `clean`, of any length and with tabs."""
    return _UNCLEAN.search(text) is None


def without_commands(line: str) -> str:
    """Return a line in which no CI finds a command: a blank stands within its mark, as in ``: :error::``."""
    return _COMMAND.sub(lambda found: f"{found[0]} ", line)


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """Return text as one line without more than one blank in a row."""
    return " ".join(clean(text, longest).split())


def shell_line(words: Sequence[str]) -> str:
    """Return a command as a shell takes it, on one line: ``$'…'`` (POSIX 2024, 2.2.4) holds what is not clean."""
    return " ".join(shlex.quote(word) if is_clean(word) else f"$'{''.join(map(_escaped, word))}'" for word in words)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def size(count: object) -> str:
    """Return a number of bytes as text; a dash for what is no such number."""
    if not is_amount(count):
        return "-"
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def duration(seconds: object) -> str:
    """Return a number of seconds as text, ``12.3s`` or ``2m05s``.

    ``done`` of None, which is something that ended after an unknown time; a dash of what is no such number.
    """
    if seconds is None:
        return "done"
    if not is_amount(seconds):
        return "-"
    if seconds < 100:
        return f"{seconds:.1f}s"
    return f"{int(seconds) // 60}m{int(seconds) % 60:02}s"


def is_amount(value: object) -> TypeGuard[float]:
    """Whether a value is a number that something can have: not negative, and below 2^63."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**63


def _escaped(character: str) -> str:
    if character in _CHARACTER:
        return _CHARACTER[character]
    if is_clean(character):
        return character
    # The bytes, because the meaning of \u depends on the locale.
    return "".join(f"\\{byte:03o}" for byte in character.encode(errors="surrogateescape"))
