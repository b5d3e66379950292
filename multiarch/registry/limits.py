"""Bounds of one request to a registry: bytes, seconds, progress, and the stop flag.

The sockets of `multiarch.registry.sockets` look at the limits of the thread that uses them, several times a second.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

MANIFEST_BYTES = 8 << 20  # of a manifest, an index or a config; registries refuse larger manifests than 4 MiB
ERROR_BYTES = 64 << 10  # of a token, or of the body of a refusal
HEAD_BYTES = 256 << 10  # before the body of an answer: status lines and headers, those of ``100 Continue`` too
FIELD_CHARACTERS = 8 << 10  # of a challenge, an address or a token; servers accept headers of 8 KiB
REDIRECTS = 5  # of one request; blobs take one or two
REQUEST_SECONDS = 90.0  # for a request and its whole answer, but for blobs; a registry may take 60 to answer at all
COMMIT_SECONDS = 900.0  # until a registry has stored a blob that it has got; some copy gigabytes, or scan them
PROGRESS_SECONDS = 60.0  # of waiting, in which a blob grows by PROGRESS_BYTES at least
PROGRESS_BYTES = 60 << 10  # 1 KiB/s; a modem is faster
AWAITED_SECONDS = 10.0  # for the answer to a write of a tag once the run is stopped; it may be done already
SLICE_SECONDS = 0.2  # between two looks at the limits; an interrupt ends all requests within 2 s


class StopFlag(Protocol):
    """What tells that a run was stopped, such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether the run was stopped."""


class LateStop:
    """A stop flag that is seen some seconds later: what was sent is answered by then, and it is known what it did."""

    def __init__(self, stopped: StopFlag, seconds: float) -> None:
        self._stopped = stopped
        self._seconds = seconds
        self._since: float | None = None

    def is_set(self) -> bool:
        """Whether the run was stopped so long ago."""
        if not self._stopped.is_set():
            return False
        self._since = time.monotonic() if self._since is None else self._since
        return time.monotonic() - self._since > self._seconds


class RequestStopped(ConnectionAbortedError):  # noqa: N818 (it reports no error of the network)
    """The run was stopped while a request was under way."""


class TooSlowError(TimeoutError):
    """A server exceeds the time of a request."""


class TooMuchError(ConnectionError):
    """A server sends more headers than anybody needs."""


class _Current(threading.local):
    limits: Limits | None = None


_current = _Current()


class Limits:
    """The limits of a request, in force for the thread that has entered them.

    :param stopped: the stop flag; None: that of the limits around these.
    :param seconds: from now on for the whole request; None for no such limit.
    :param progresses: whether a number of bytes must pass in each minute of waiting.
    """

    def __init__(
        self, stopped: StopFlag | None = None, *, seconds: float | None = None, progresses: bool = False
    ) -> None:
        outer = _current.limits
        self.stopped: StopFlag | None = stopped or (outer.stopped if outer else None)
        self._seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds
        self._progresses = progresses
        self._waited, self._passed = 0.0, 0
        self._head: int | None = None
        self._outer: list[Limits | None] = []

    def __enter__(self) -> Self:
        self._outer.append(_current.limits)
        _current.limits = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        _current.limits = self._outer.pop()

    def await_commit(self) -> None:
        """Let the answer take its time from now on: all of a blob has been sent."""
        if self._progresses:
            self._progresses = False
            self._seconds = COMMIT_SECONDS
            self._end = time.monotonic() + COMMIT_SECONDS

    def begin_head(self) -> None:
        """Count the bytes that are received from now on as headers."""
        self._head = 0

    def end_head(self) -> None:
        """Count no more bytes as headers."""
        self._head = None

    def check(self) -> None:
        """Check the stop flag and the clock. :raises OSError: the request must end."""
        if self.stopped is not None and self.stopped.is_set():
            raise RequestStopped("stopped")
        if self._end is not None and time.monotonic() > self._end:
            raise TooSlowError(f"the answer took longer than {self._seconds:.0f} s")

    def count(self, received: int, sent: int, waited: float) -> None:
        """Count bytes that have passed, and the seconds that they were waited for. :raises OSError: as `check`."""
        if self._head is not None:
            self._head += received
            if self._head > HEAD_BYTES:
                raise TooMuchError(f"the headers of the answer have more than {HEAD_BYTES >> 10} KiB")
        if self._progresses:
            self._passed += received + sent
            self._waited += waited
            if self._waited > PROGRESS_SECONDS:
                if self._passed < PROGRESS_BYTES:
                    raise TooSlowError(f"only {self._passed} bytes passed in {self._waited:.0f} s")
                self._waited, self._passed = 0.0, 0


def current() -> Limits:
    """Return the limits of this thread."""
    return _current.limits or Limits()
