"""BuildKit's JSON lines (``--progress rawjson``), validated: one ``SolveStatus`` (client/graph.go) a line.

What is no such state, for whatever reason, is words: nothing that comes in a line raises an error here.
"""

from __future__ import annotations

import datetime
import re

import msgspec

# Go's RFC 3339 (time.RFC3339Nano): up to nine digits after the second.
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_LARGEST = (1 << 63) - 1  # bytes; Go's int64


class SentVertex(msgspec.Struct, frozen=True):
    """A vertex as it is sent; what is None or empty has not changed. Go leaves out what is empty, the digest too."""

    digest: str = ""
    name: str | None = None
    started: str | None = None
    completed: str | None = None
    cached: bool | None = None
    error: str | None = None


class SentStatus(msgspec.Struct, frozen=True):
    """An activity of a vertex, with its bytes so far and in all."""

    vertex: str = ""
    id: str | None = None
    current: int | None = None
    total: int | None = None


class SentLog(msgspec.Struct, frozen=True):
    """A piece of a vertex's output."""

    vertex: str = ""
    data: bytes | None = None


class SentWarning(msgspec.Struct, frozen=True):
    """A warning of the Dockerfile's checks."""

    short: bytes | None = None


class State(msgspec.Struct, frozen=True):
    """What one line says; null and a missing list are an empty one."""

    vertexes: tuple[SentVertex, ...] | None = None
    statuses: tuple[SentStatus, ...] | None = None
    logs: tuple[SentLog, ...] | None = None
    warnings: tuple[SentWarning, ...] | None = None


_DECODER = msgspec.json.Decoder(State)


def read_state(line: bytes) -> State | None:
    """Return the state in a line; None where the line is words."""
    try:
        return _DECODER.decode(line)
    # msgspec raises RecursionError for deep nesting, also in fields that no state has.
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def count(number: int | None) -> int:
    """Return a number of bytes within what Go can count."""
    return min(max(number or 0, 0), _LARGEST)


def seconds(time: str | None) -> float | None:
    """Return a time of Go's (RFC 3339, up to nanoseconds) in seconds since the epoch; None for any other text."""
    match = _TIME.fullmatch(time or "")
    if not match:
        return None
    zone = "+00:00" if match[3] == "Z" else match[3]
    try:
        return datetime.datetime.fromisoformat(match[1] + zone).timestamp() + float(match[2] or 0)
    except (ValueError, OverflowError):  # a 13th month, a zone of 99 hours
        return None
