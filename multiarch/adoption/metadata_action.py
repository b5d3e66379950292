"""Tags of docker/metadata-action (README, "tags input"), as the placeholders that mean the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.adoption.builds import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

# The tags where none are given (README, "tags input"), without those of schedules and of pull requests.
_USUAL = ("{branch}", "{tag}")
_PATTERNS = {"version": "{semver}", "major": "{major}", "minor": "{minor}", "raw": "{tag}"}
_FIELD = re.compile(r"\{\{([^{}]{0,100})\}\}")
_SEMVER = re.compile(r"type=semver\b")
_DEFAULT_BRANCH = re.compile(r"\{\{\s{0,9}is_default_branch\s{0,9}\}\}")
_EVENTS = {"branch": "{branch}", "tag": "{tag}"}


class UnsureError(ValueError):
    """A line that has no placeholder of the same meaning."""


class Problem(Struct, frozen=True):
    """Line that gives no tag. :ivar reason: why."""

    line: int
    reason: str


def templates(lines: Iterable[Text], flavor: Iterable[Text], line: int) -> tuple[list[Text], list[Problem]]:
    """Return the templates that lines of ``tags`` mean, and the lines that mean none.

    :param flavor: the lines of ``flavor``.
    :param line: that of the action.
    """
    problems: list[Problem] = []
    latest = "auto"
    for item in flavor:
        for name, value in _attributes(item.text).items():
            if name == "latest":
                latest = value
            elif value and value != "false":
                return [], [Problem(item.line, f"flavor {name} has no placeholder of the same meaning")]
    found: list[Text] = []
    written = list(lines)
    is_versioned = not written
    for item in written:
        is_versioned |= bool(re.search(r"type=semver|type=pep440|type=match|event=tag", item.text))
        try:
            found.append(Text(_template(_attributes(item.text)), item.line))
        except UnsureError as error:
            problems.append(Problem(item.line, f"{item.text}: {error}"))
    if not written:
        found = [Text(template, line) for template in _USUAL]
    if latest == "true":
        found.append(Text("latest if any", line))
    elif latest == "auto" and any(_SEMVER.search(item.text) for item in written):
        found.append(Text("latest if highest", line))
    elif latest == "auto" and is_versioned:
        problems.append(Problem(line, "the action moves latest with each git tag; no condition means the same"))
    return list({item.text: item for item in reversed(found)}.values())[::-1], problems


def _attributes(text: str) -> dict[str, str]:
    """Return the attributes of a line; a text without any is the value of a raw tag."""
    pairs = [part.partition("=") for part in text.split(",")]
    found = {name.strip(): value.strip() for name, _, value in pairs}
    return found if "=" in text else {"type": "raw", "value": text.strip()}


def _template(attributes: dict[str, str]) -> str:
    """Return the template for a line of ``tags``. :raises UnsureError: there is none."""
    kind = attributes.get("type", "raw")
    allowed = {"type", "prefix", "suffix", "priority", "enable", "pattern", "event", "value", "format"}
    if unknown := attributes.keys() - allowed:
        raise UnsureError(f"{min(unknown)} has no meaning here")
    condition = _condition(kind, attributes)
    prefix, suffix = attributes.get("prefix", "sha-" if kind == "sha" else ""), attributes.get("suffix", "")
    if kind == "semver" and "value" not in attributes:
        core = _FIELD.sub(_semver, attributes.get("pattern", ""))
    elif kind == "ref" and attributes.get("event") in _EVENTS:
        core = _EVENTS[attributes["event"]]
    elif kind == "ref" and attributes.get("event") == "pr":
        raise UnsureError("nothing is published from a pull request")
    elif kind == "sha" and attributes.get("format", "short") == "short":
        core = "{sha}"
    elif kind == "raw" and attributes.get("value"):
        core = attributes["value"]
    elif kind == "edge" and "branch" not in attributes:
        core = attributes.get("value", "edge")
    else:
        raise UnsureError("no placeholder means the same")
    whole = f"{prefix}{core}{suffix}"
    literal = re.sub(r"\{(?:branch|tag|sha|semver|major|minor)\}", "", whole) if kind not in ("raw", "edge") else whole
    if not core or re.search(r"[${}]", literal):
        raise UnsureError("it has an expression that is not sure")
    return f"{whole} if {condition}" if condition else whole


def _condition(kind: str, attributes: dict[str, str]) -> str:
    """Return the condition of a tag; empty where it needs none. :raises UnsureError: it is known to the action only."""
    enable = attributes.get("enable", "true")
    if kind == "edge" and enable == "true":
        return "default-branch"
    if kind in ("raw", "ref", "sha") and _DEFAULT_BRANCH.fullmatch(enable):
        return "default-branch"
    if enable != "true":
        raise UnsureError("it is not for every build, and no condition means the same")
    # Alone, latest is for the highest version only where there are versions.
    return "any" if kind == "raw" and attributes.get("value") == "latest" else ""


def _semver(match: re.Match[str]) -> str:
    name = match[1].strip()
    if name not in _PATTERNS:
        raise UnsureError(f"{match[0]} has no placeholder of the same meaning")
    return _PATTERNS[name]
