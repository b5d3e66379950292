"""The vertices of a solve as BuildKit tells of them: one ``SolveStatus`` (client/graph.go) after the other."""

from __future__ import annotations

import base64
import datetime
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multiarch.image.platform import Platform
    from multiarch.trace import Trace

# "[linux/arm64 build 2/3] RUN make", "[linux/amd64->arm64 2/3] …": the platform that it runs on, and is for.
_NAME = re.compile(
    r"\[(?:(?P<platform>linux/\w+(?:/\w+)?)(?:->(?P<target>[\w/]+))?\s*)?(?:(?P<stage>[^\]]*?)\s*)?"
    r"(?:(?P<number>\d+)/(?P<total>\d+))?\] (?P<instruction>.*)",
    re.DOTALL,
)
_IMPORT = "importing cache manifest from "
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")


@dataclass
class Vertex:
    """A vertex of the build graph.

    :ivar name: as BuildKit writes it.
    :ivar platform: the platform that it runs on; empty where BuildKit does not say.
    :ivar target: the platform that it is for, where that is another one (a cross-compiling stage).
    :ivar number: the place of its instruction in its stage, of *total*; 0 where it is no instruction.
    :ivar started: seconds since the epoch, as *completed*; None before.
    :ivar log: its output, line by line; *unfinished* is the beginning of the next.
    :ivar doing: its present activity in BuildKit's words, such as "pushing layers".
    :ivar transfers: bytes so far and in all (0 where BuildKit does not say), by the name of the content.
    """

    name: str = ""
    platform: str = ""
    target: str = ""
    number: int = 0
    total: int = 0
    instruction: str = ""
    started: float | None = None
    completed: float | None = None
    cached: bool = False
    error: str = ""
    log: list[str] = field(default_factory=list)
    unfinished: bytes = b""
    doing: str = ""
    transfers: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_internal(self) -> bool:
        """Whether it is BuildKit's own work: loading the Dockerfile, asking for credentials."""
        return "internal]" in self.name or self.name.startswith("[auth]")

    @property
    def is_running(self) -> bool:
        """Whether it has begun and is not over."""
        return self.started is not None and self.completed is None

    @property
    def is_pushing(self) -> bool:
        """Whether it is an export that pushes; BuildKit does not say how many bytes are pushed."""
        return self.doing.startswith("pushing")

    @property
    def transferred(self) -> tuple[int, int]:
        """Bytes so far, and in all; 0 where they are not known."""
        counts = [count for name, count in list(self.transfers.items()) if not name.startswith("extracting")]
        known = all(total for _, total in counts)
        return sum(current for current, _ in counts), sum(total for _, total in counts) if known else 0

    @property
    def seconds(self) -> float | None:
        """Its duration in seconds, None while it runs."""
        return None if self.started is None or self.completed is None else self.completed - self.started

    @property
    def output(self) -> list[str]:
        """All lines of its output, the unfinished one too."""
        return [*self.log, *([last_state(self.unfinished)] if self.unfinished else [])]

    def named(self, name: str) -> None:
        """Set the name, and what it says: platform, target, number and instruction."""
        self.name = name
        found = _NAME.fullmatch(name)
        self.instruction = name
        if found:
            self.platform = found["platform"] or ""
            target = found["target"] or ""
            self.target = f"linux/{target}" if target and not target.startswith("linux/") else target
            self.number, self.total = int(found["number"] or 0), int(found["total"] or 0)
            self.instruction = found["instruction"]


class Observer(Protocol):
    """Follows solves while they run; each call names the platforms that the solve is for.

    :ivar trace: shows the programs that are run, None where that is not asked for.
    """

    trace: Trace | None

    def say(self, text: str, platforms: Sequence[Platform] = ()) -> None:
        """Take a line that is worth knowing."""

    def changed(self, vertex: Vertex, platforms: Sequence[Platform]) -> None:
        """Take a vertex that began, ended or got its name."""

    def said(self, vertex: Vertex, line: str, platforms: Sequence[Platform]) -> None:
        """Take a line of a vertex's output."""

    def retrying(self, text: str, platforms: Sequence[Platform]) -> None:
        """Take the line of a retry: an attempt failed, and the next one follows."""

    def done(self, platforms: Sequence[Platform]) -> None:
        """Take note that the solve succeeded."""

    def failed(self, platforms: Sequence[Platform], *, stopped: bool) -> None:
        """Take note that the solve failed for good, or was stopped because something else failed."""


class Vertices:
    """All vertices of one solve, in the order in which BuildKit first named them."""

    def __init__(self) -> None:
        self._vertices: dict[str, Vertex] = {}

    def __iter__(self) -> Iterator[Vertex]:
        return iter(self._vertices.values())

    def vertexes(self, state: Mapping[str, Any]) -> Iterator[Vertex]:
        """Apply the vertexes of a state; yield the vertices that began, ended or got a name."""
        for sent in state.get("vertexes") or ():
            vertex = self._vertices.setdefault(sent["digest"], Vertex())
            before = (vertex.name, vertex.started, vertex.completed)
            if sent.get("name") and sent["name"] != vertex.name:
                vertex.named(sent["name"])
            vertex.error = sent.get("error") or vertex.error
            if vertex.error and vertex.name.startswith(_IMPORT):
                # No failure: BuildKit goes on without a cache that does not exist yet.
                vertex.name, vertex.error = f"{vertex.name}: {vertex.error}", ""
            vertex.cached = bool(sent.get("cached")) or vertex.cached
            started, completed = seconds(sent.get("started")), seconds(sent.get("completed"))
            if vertex.completed is not None and completed is None and started not in (None, vertex.started):
                # Restarted: a resolved base image is pulled now, an exported image is pushed.
                vertex.completed, vertex.doing, vertex.transfers = None, "", {}
            vertex.started = started or vertex.started
            vertex.completed = completed or vertex.completed
            if before != (vertex.name, vertex.started, vertex.completed):
                yield vertex

    def statuses(self, state: Mapping[str, Any]) -> None:
        """Apply the activities of a state, and its bytes."""
        for status in state.get("statuses") or ():
            vertex = self._vertices.setdefault(status["vertex"], Vertex())
            vertex.doing = str(status.get("id") or "").rstrip(":")
            current, total = int(status.get("current") or 0), int(status.get("total") or 0)
            if current or total:
                vertex.transfers[vertex.doing] = current, total

    def logs(self, state: Mapping[str, Any]) -> Iterator[tuple[Vertex, str]]:
        """Apply the output in a state; yield its whole lines."""
        for log in state.get("logs") or ():
            vertex = self._vertices.setdefault(log["vertex"], Vertex())
            *lines, vertex.unfinished = (vertex.unfinished + base64.b64decode(log.get("data") or "")).split(b"\n")
            for line in lines:
                vertex.log.append(last_state(line))
                yield vertex, vertex.log[-1]


def warnings(state: Mapping[str, Any]) -> Iterator[str]:
    """Yield the warnings of the Dockerfile's checks in a state."""
    for warning in state.get("warnings") or ():
        yield base64.b64decode(warning.get("short") or "").decode(errors="replace")


def last_state(line: bytes) -> str:
    """Return a line of output as text; a line that was overwritten in place, as by progress bars, in its last state."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")


def seconds(time: str | None) -> float | None:
    """Return a time of Go's (RFC 3339, up to nanoseconds) in seconds since the epoch; None for any other text."""
    found = _TIME.fullmatch(time or "")
    if not found:
        return None
    zone = "+00:00" if found[3] == "Z" else found[3]
    return datetime.datetime.fromisoformat(found[1] + zone).timestamp() + float(found[2] or 0)
