"""Versions in the names of git tags: ``v1.4.2``, ``v1.16``, ``2024.05.1``, and with a pattern ``app-v1.2.3``."""

from __future__ import annotations

import re

from msgspec import Struct

# Digits of a number: more than a date with its time has, and few enough for Python to read at once.
_NUMBER = r"\d{1,18}"
# The pre-release of semver.org behind a dash, or one as Python has it (PEP 440): 1.2rc1, 1.2.dev3.
_PRE_RELEASE = r"-[0-9A-Za-z.-]+|\.?(?:a|b|rc|alpha|beta|dev)\d{1,18}"
_VERSION = re.compile(rf"({_NUMBER}(?:\.{_NUMBER})*)({_PRE_RELEASE})?(\+[0-9A-Za-z.-]+)?", re.ASCII)
_SEMVER_NUMBER = re.compile(r"0|[1-9]\d*", re.ASCII)
_PLACEHOLDER = "{version}"


class Version(Struct, frozen=True):
    """A version: numbers with dots between them, and a pre-release.

    :ivar numbers: as they are written, with leading zeros.
    :ivar pre_release: with what parts it from the numbers; empty for a stable version.
    """

    numbers: tuple[str, ...]
    pre_release: str = ""

    def __str__(self) -> str:
        return ".".join(self.numbers) + self.pre_release

    @property
    def is_stable(self) -> bool:
        """Whether it is no pre-release."""
        return not self.pre_release

    @property
    def is_semver(self) -> bool:
        """Whether semver.org calls it a version: three numbers without leading zeros."""
        has_numbers = len(self.numbers) == 3 and all(map(_SEMVER_NUMBER.fullmatch, self.numbers))
        return has_numbers and self.pre_release[:1] in ("", "-")

    @property
    def order(self) -> tuple[int, ...]:
        """What stable versions are compared by; 1.16 is 1.16.0."""
        numbers = [int(number) for number in self.numbers]
        while len(numbers) > 1 and numbers[-1] == 0:
            numbers.pop()
        return tuple(numbers)


def check_pattern(pattern: str) -> None:
    """Check ``version_tag``. :raises ValueError: it does not hold ``{version}`` once."""
    if pattern.count(_PLACEHOLDER) != 1:
        raise ValueError(f"{pattern!r} must hold {_PLACEHOLDER} once, such as app-v{_PLACEHOLDER}")


def parse_version(tag: str, pattern: str | None) -> Version | None:
    """Return the version that a git tag names, without build metadata; None where it names none.

    :param pattern: what stands around the version in a tag; None for nothing but a ``v`` in front.
    """
    if pattern is None:
        text = tag.removeprefix("v")
    else:
        before, _, behind = pattern.partition(_PLACEHOLDER)
        if not (tag.startswith(before) and tag.endswith(behind)):
            return None
        text = tag[len(before) : len(tag) - len(behind)]
    match = _VERSION.fullmatch(text)
    return Version(tuple(match[1].split(".")), match[2] or "") if match else None
