"""The vertices of a solve as BuildKit tells of them, one state after the other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field

from multiarch.buildkit.output import Output
from multiarch.buildkit.rawjson import count, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multiarch.buildkit.rawjson import State
    from multiarch.image.platform import Leg
    from multiarch.trace import Trace

# "linux/arm64 build 2/3", "linux/amd64->arm64 2/3": the platform that it runs on, and is for.
_PLATFORM = re.compile(r"(?P<platform>linux/\w+(?:/\w+)?)(?:->(?P<target>[\w/]+))?")
_NUMBER = re.compile(r"(?P<number>\d{1,6})/(?P<total>\d{1,6})", re.ASCII)
_CACHE = ("importing cache manifest from ", "exporting cache to ")
_LONGEST_NAME = 64 << 10  # characters of a name or an error; a heredoc is all in its vertex's name
_LONGEST_DIGEST = 256  # characters; sha256 has 71, sha512 135
_MOST_VERTICES = 10_000  # vertices of a solve; a Dockerfile of a thousand instructions for ten platforms
_MOST_TRANSFERS = 10_000  # contents of a vertex; an image has 127 layers at most


class Vertex(Struct):
    """A vertex of the build graph.

    :ivar name: as BuildKit writes it.
    :ivar platform: the platform that it runs on; empty where BuildKit does not say.
    :ivar target: the platform that it is for, where that is another one (a cross-compiling stage).
    :ivar number: the place of its instruction in its stage, of *total*; 0 where it is no instruction.
    :ivar started: seconds since the epoch, as *completed*; None before.
    :ivar log: its output, line by line.
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
    log: Output = field(default_factory=Output)
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
        """The kept lines of its output, the unfinished one too."""
        return self.log.lines

    def named(self, name: str) -> None:
        """Set the name, and what it says: platform, target, number and instruction."""
        self.name = self.instruction = name
        self.platform = self.target = ""
        self.number = self.total = 0
        place, bracket, instruction = name[1:].partition("] ")
        if not (name.startswith("[") and bracket) or "]" in place:
            return
        self.instruction = instruction
        first, last = place.split(maxsplit=1)[:1], place.rsplit(maxsplit=1)[-1:]
        if first and (match := _PLATFORM.fullmatch(first[0])):
            self.platform, target = match["platform"], match["target"] or ""
            self.target = f"linux/{target}" if target and not target.startswith("linux/") else target
        if last and (match := _NUMBER.fullmatch(last[0])):
            self.number, self.total = int(match["number"]), int(match["total"])


class Observer(Protocol):
    """Follows solves while they run; each call names the legs of the matrix that the solve is for.

    :ivar trace: shows the programs that are run, None where that is not asked for.
    """

    trace: Trace | None

    def say(self, text: str, legs: Sequence[Leg] = ()) -> None:
        """Take a line that is worth knowing."""

    def changed(self, vertex: Vertex, legs: Sequence[Leg]) -> None:
        """Take a vertex that began, ended or got its name."""

    def said(self, vertex: Vertex, line: str, legs: Sequence[Leg]) -> None:
        """Take a line of a vertex's output."""

    def retrying(self, text: str, legs: Sequence[Leg]) -> None:
        """Take the line of a retry: an attempt failed, and the next one follows."""

    def done(self, legs: Sequence[Leg]) -> None:
        """Take note that the solve succeeded."""

    def failed(self, legs: Sequence[Leg], *, stopped: bool) -> None:
        """Take note that the solve failed for good, or was stopped because something else failed."""


class Vertices:
    """All vertices of one solve, in the order in which BuildKit first named them."""

    def __init__(self) -> None:
        self._vertices: dict[str, Vertex] = {}

    def __len__(self) -> int:
        return len(self._vertices)

    def __iter__(self) -> Iterator[Vertex]:
        return iter(self._vertices.values())

    def vertexes(self, state: State) -> Iterator[Vertex]:
        """Apply the vertexes of a state; yield the vertices that began, ended or got a name."""
        for sent in state.vertexes or ():
            vertex = self._vertex(sent.digest)
            before = (vertex.name, vertex.started, vertex.completed)
            name, error = (sent.name or "")[:_LONGEST_NAME], (sent.error or "")[:_LONGEST_NAME]
            if name and name != vertex.name:
                vertex.named(name)
            vertex.error = error or vertex.error
            if vertex.error and vertex.name.startswith(_CACHE):
                # No failure: BuildKit goes on without a cache that is not there yet, or that is refused (ignore-error).
                vertex.name, vertex.error = f"{vertex.name}: {vertex.error}", ""
            vertex.cached = bool(sent.cached) or vertex.cached
            started, completed = seconds(sent.started), seconds(sent.completed)
            if vertex.completed is not None and completed is None and started not in (None, vertex.started):
                # Restarted: a resolved base image is pulled now, an exported image is pushed.
                vertex.completed, vertex.doing, vertex.transfers = None, "", {}
            vertex.started = started or vertex.started
            vertex.completed = completed or vertex.completed
            if before != (vertex.name, vertex.started, vertex.completed):
                yield vertex

    def statuses(self, state: State) -> None:
        """Apply the activities of a state, and its bytes."""
        for status in state.statuses or ():
            vertex = self._vertex(status.vertex)
            vertex.doing = (status.id or "")[:_LONGEST_NAME].rstrip(":")
            current, total = count(status.current), count(status.total)
            is_known = vertex.doing in vertex.transfers or len(vertex.transfers) < _MOST_TRANSFERS
            if (current or total) and is_known:
                vertex.transfers[vertex.doing] = current, total

    def logs(self, state: State) -> Iterator[tuple[Vertex, str]]:
        """Apply the output in a state; yield its whole lines."""
        for log in state.logs or ():
            vertex = self._vertex(log.vertex)
            for line in vertex.log.add(log.data or b""):
                yield vertex, line

    def _vertex(self, digest: str) -> Vertex:
        """Return the vertex of a digest; where there are too many, the last one stands for all others."""
        digest = digest[:_LONGEST_DIGEST]
        if digest not in self._vertices and len(self._vertices) >= _MOST_VERTICES:
            digest = ""
        return self._vertices.setdefault(digest, Vertex())


def warnings(state: State) -> Iterator[str]:
    """Yield the warnings of the Dockerfile's checks in a state."""
    for warning in state.warnings or ():
        yield (warning.short or b"").decode(errors="replace")
