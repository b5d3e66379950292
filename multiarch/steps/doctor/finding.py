"""Findings of checks: one thing each, its state, and what to do about it."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from multiarch.formatting import one_line


class State(Enum):
    """What a finding means for a release."""

    OK = "ok"
    WARNING = "warning"  # a release would do, and may be slow, or other than is meant
    FAILURE = "failure"  # a release would fail
    UNKNOWN = "unknown"  # it could not be checked


_WIDTH = max(len(state.value) for state in State)


class Finding(Struct, frozen=True):
    """What a check has found.

    :ivar name: of the check, or of a part of it.
    :ivar message: what is so, and where, in one line.
    :ivar remedy: what to do, in one line; empty where nothing is to be done, or the message says it.
    """

    name: str
    state: State
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.state.value:<{_WIDTH}} {self.name}: {one_line(self.text)}"

    @property
    def text(self) -> str:
        """The message with the remedy."""
        return "; ".join(filter(None, (self.message, self.remedy)))

    @property
    def json(self) -> dict[str, str]:
        """The finding as plain data."""
        return {"name": self.name, "state": self.state.value, "message": self.message, "remedy": self.remedy}


def ok(name: str, message: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(name, State.OK, message)


def warning(name: str, message: str, remedy: str) -> Finding:
    """Return a finding that a release should not be left with."""
    return Finding(name, State.WARNING, message, remedy)


def failure(name: str, message: str, remedy: str = "") -> Finding:
    """Return a finding that makes a release fail."""
    return Finding(name, State.FAILURE, message, remedy)


def unknown(name: str, message: str, remedy: str = "") -> Finding:
    """Return a finding that something could not be checked."""
    return Finding(name, State.UNKNOWN, message, remedy)
