"""One run of ``buildctl build``: the process, its stream of states, and what its failure means.

With ``--progress rawjson`` buildctl writes one ``SolveStatus`` (BuildKit, client/graph.go) a line to standard error,
between them the words of an error that ended it.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from multiarch.errors import BuildctlNotExecutableError, BuildFailedError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from multiarch.progress import Progress

_LOG_LINES = 20
# What a fault between the builder, the registries and us looks like; a fault of the build itself never does.
_TRANSIENT = re.compile(
    r"connection refused|connection reset|broken pipe|unexpected EOF|: EOF\b|i/o timeout|TLS handshake timeout"
    r"|temporary failure in name resolution|server misbehaving|no such host|error reading from server"
    r"|transport is closing|keepalive ping failed|error reading preface|client connection is closing|Unavailable"
    r"|context deadline exceeded|\b(408|425|429|5\d\d) [A-Z][a-z]|toomanyrequests|too many requests",
    re.IGNORECASE,
)
# These stay as they are, whatever else the same message holds.
_PERMANENT = re.compile(
    r"did not complete successfully|dockerfile parse error|no match for platform|failed to calculate checksum"
    r"|no space left on device|unauthorized|authorization failed|insufficient_scope|\b40[134] [A-Z]|denied"
    r"|x509:|not found$",
    re.IGNORECASE,
)
_HINTS = (
    (
        r"scanner.*: not found",
        "the image that makes the SBOM cannot be pulled: name one with attestations: [sbom: generator=IMAGE]",
    ),
    (r"no match for platform", "its base image does not exist for this platform: choose another, or drop the platform"),
    (r"no space left on device", "the disk of the builder is full: free some, for example with buildctl prune"),
    (
        r"unauthorized|authorization failed|insufficient_scope|\b40[13] ",
        "log in with docker login, as a user who may push",
    ),
    (r"connect: connection refused", "is the registry, or the builder, running and its name right?"),
)


@dataclass
class _Step:
    """A vertex of the build graph."""

    name: str = ""
    completed: bool = False
    error: str = ""
    log: list[str] = field(default_factory=list)
    unfinished: bytes = b""


class Solve:
    """One attempt at a solve.

    :param subject: names it in errors: the platform.
    """

    def __init__(self, subject: str, progress: Progress) -> None:
        self.subject = subject
        self.progress = progress
        self._steps: dict[str, _Step] = {}
        self._words: list[str] = []

    def run(self, command: list[str], stopped: threading.Event) -> None:
        """Run buildctl to its end.

        :param stopped: when it is set, the solve is ended.
        :raises BuildFailedError: it ended with another status than 0.
        :raises BuildctlNotExecutableError: it cannot be started.
        """
        try:
            # A session of its own, so that an interrupt from the keyboard comes to us alone, who then end it in order.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise BuildctlNotExecutableError(command[0], error.strerror or str(error)) from None
        try:
            for line in _lines(process, stopped):
                self._read(line)
            if not stopped.is_set():
                process.wait()
        finally:
            _end(process)
        if stopped.is_set():
            raise BuildFailedError(self.subject, "stopped")
        if process.returncode:
            raise self._failure(process.returncode)

    def _read(self, line: bytes) -> None:
        try:
            state = json.loads(line)
        except ValueError:
            state = None
        if not isinstance(state, dict):
            if text := line.decode(errors="replace").strip():
                self._words.append(text)
            return
        for vertex in state.get("vertexes") or ():
            self._vertex(vertex)
        for log in state.get("logs") or ():
            self._log(log)
        for warning in state.get("warnings") or ():
            self.progress.say(f"warning: {base64.b64decode(warning.get('short') or '').decode(errors='replace')}")

    def _vertex(self, vertex: dict[str, Any]) -> None:
        step = self._steps.setdefault(vertex["digest"], _Step())
        step.name = vertex.get("name") or step.name
        step.error = vertex.get("error") or step.error
        if vertex.get("completed") and not step.completed:
            step.completed = True
            if not step.name.startswith("[internal]"):
                result = "CACHED" if vertex.get("cached") else "ERROR" if step.error else _elapsed(vertex)
                self.progress.say(f"{step.name}  {result}")

    def _log(self, log: dict[str, Any]) -> None:
        step = self._steps.setdefault(log["vertex"], _Step())
        *lines, step.unfinished = (step.unfinished + base64.b64decode(log.get("data") or "")).split(b"\n")
        for line in lines:
            shown = _last_state(line)
            step.log.append(shown)
            self.progress.say(f"  {shown}")

    def _failure(self, status: int) -> BuildFailedError:
        words = " ".join(self._words) or f"buildctl ended with status {status}"
        cause = re.sub(r"^error: |failed to solve: |rpc error: code = \w+ desc = ", "", words)
        # Steps that ran beside the failing one end as canceled.
        failed = [s for s in self._steps.values() if s.error and "context canceled" not in s.error]
        step = failed[0] if failed else _Step()
        if step.error:
            cause = step.error
        transient = bool(_TRANSIENT.search(cause)) and not _PERMANENT.search(cause)
        hints = (hint for pattern, hint in _HINTS if re.search(pattern, cause, re.IGNORECASE))
        hint = next(hints, "")
        log = [*step.log, *([_last_state(step.unfinished)] if step.unfinished else [])][-_LOG_LINES:]
        said = f"{cause}; {hint}" if hint else cause
        return BuildFailedError(self.subject, said, step=step.name, log=log, transient=transient)


def _lines(process: subprocess.Popen[bytes], stopped: threading.Event) -> Iterator[bytes]:
    """Yield the lines of standard error until it ends, or until *stopped*."""
    assert process.stderr is not None  # noqa: S101 (it is a pipe)
    descriptor = process.stderr.fileno()
    rest = b""
    while not stopped.is_set():
        if not select.select([descriptor], [], [], 0.2)[0]:
            continue
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave no process behind: buildctl cancels its solve on SIGTERM."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stderr:
        process.stderr.close()


def _last_state(line: bytes) -> str:
    """Return a line of output as text; of one that was overwritten in place, as progress bars are, its last state."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")


def _elapsed(vertex: dict[str, Any]) -> str:
    import datetime

    started, completed = vertex.get("started"), vertex.get("completed")
    if not started or not completed:
        return "done"
    # Go writes nanoseconds, which fromisoformat of Python 3.10 does not read.
    times = [datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*|Z$", r"\1", t)[:26]) for t in (started, completed)]
    return f"{(times[1] - times[0]).total_seconds():.1f}s"
