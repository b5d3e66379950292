"""Retries: which faults are transient, and how long to wait for them.

One `Policy` serves every step. Waits grow exponentially with full jitter, are bounded by attempts and by total time,
and honour a Retry-After. Each retry is shown with its cause.
"""

from __future__ import annotations

import errno
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import tenacity

from multiarch.errors import MultiarchError, is_transient_status

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_MOST_RENEWALS = 3  # times that `Policy.seconds` begin anew, where each long build ends at a registry that is down
_LONGEST_LINE = 300  # characters of a cause; a daemon may explain itself in many more
# The Docker daemon answers 500 to almost everything; with these words, trying again cannot help.
_PERMANENT_TEXT = (
    "no space left on device",
    "no matching manifest",
    "unauthorized",
    "denied",
    "already allocated",
    "address already in use",
    "operation not permitted",
    "invalid mount",
    "mount source path",
    "statfs ",  # Podman, of a directory that it cannot mount
    "read-only file system",
    "x509:",
)


@dataclass(frozen=True)
class Policy:
    """How long and how often an operation is retried.

    :ivar seconds: from the first failure on, no wait ends later than this.
    :ivar attempts: the most calls of an operation, the first included.
    :ivar first: seconds that the first wait takes at most; each next one takes up to twice as long.
    :ivar longest: seconds that any wait takes at most, whatever a server asks for.
    :ivar tellers: which operations tell of their retries.
    :ivar stopped: when it is set (an interrupt, another platform's failure), all waits end and nothing is retried.
    """

    seconds: float = 180.0
    attempts: int = 200
    first: float = 0.5
    longest: float = 20.0
    stopped: threading.Event = field(default_factory=threading.Event, compare=False)
    tellers: Tellers = field(default_factory=lambda: Tellers(), compare=False, repr=False)

    def within(self, seconds: float) -> Policy:
        """Return this policy for what is not waited for longer than some seconds; both end together."""
        return replace(self, seconds=min(self.seconds, seconds))

    def unstoppable(self) -> Policy:
        """Return this policy for what goes on when all else is stopped."""
        return replace(self, stopped=threading.Event())

    def call(
        self,
        what: str,
        function: Callable[[], T],
        *,
        show: Callable[[str], None],
        transient: Callable[[BaseException], bool] | None = None,
        place: str = "",
    ) -> T:
        """Return the result of a function, called again while it raises a transient error.

        :param what: names the operation in the lines that are shown, such as ``push of …``.
        :param show: takes one line for each retry.
        :param transient: whether an error is; by default `is_transient`.
        :param place: the host that is asked; of operations that meet one fault there, the first alone is told. Empty
            where each is.
        :raises Exception: the last error, as it was raised.
        """
        operation = _Operation(self, what, show, place)
        jitter = tenacity.wait_random_exponential(multiplier=self.first, max=self.longest)
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.attempts)
            | _stop_before(self.seconds)
            | tenacity.stop_when_event_set(self.stopped),
            wait=_wait_asked_for(jitter, self.longest),
            retry=tenacity.retry_if_exception(transient or is_transient),
            sleep=operation.pause,
            before_sleep=operation.announce,
            reraise=True,
        )
        try:
            return retrying(function)
        finally:
            self.tellers.end(operation)


class _Operation:
    """A call of a function, with its waits and its lines."""

    def __init__(self, policy: Policy, what: str, show: Callable[[str], None], place: str) -> None:
        self._policy, self._what, self._show, self._place = policy, what, show, place
        self._error: BaseException | None = None

    def announce(self, state: tenacity.RetryCallState) -> None:
        if state.outcome and (error := state.outcome.exception()) and state.next_action:
            self._error = error
            wait, cause = state.next_action.sleep, describe(error)
            others = self._policy.tellers.others((self._place, cause), self) if self._place else 0
            if others is not None:
                more = f" ({others} more request{'s wait' if others > 1 else ' waits'} for it)" if others else ""
                self._show(f"{self._what}: attempt {state.attempt_number} failed, next in {wait:.1f} s: {cause}{more}")

    def pause(self, seconds: float) -> None:
        if self._policy.stopped.wait(seconds):
            assert self._error is not None  # noqa: S101 (a wait is announced)
            raise self._error


class Tellers:
    """Which of several operations that meet one fault at one place tells of it. Safe to use from several threads.

    It is the first, as long as it lasts: a registry that is down would give a page of lines else.
    """

    def __init__(self) -> None:
        self._tellers: dict[tuple[str, str], object] = {}
        self._silent: dict[tuple[str, str], set[int]] = {}
        self._lock = threading.Lock()

    def others(self, fault: tuple[str, str], operation: object) -> int | None:
        """Return how many others have met a fault, None where another one tells of it.

        :param fault: its place and cause.
        """
        with self._lock:
            if self._tellers.setdefault(fault, operation) is not operation:
                self._silent.setdefault(fault, set()).add(id(operation))
                return None
            return len(self._silent.get(fault, ()))

    def end(self, operation: object) -> None:
        """Let others tell of what this operation has met."""
        with self._lock:
            for fault in [fault for fault, teller in self._tellers.items() if teller is operation]:
                del self._tellers[fault]
                self._silent.pop(fault, None)


class _wait_asked_for(tenacity.wait.wait_base):  # noqa: N801 (tenacity's own style for waits)
    """A wait as long as the server asked for, within bounds; without a Retry-After as long as *usual*."""

    def __init__(self, usual: tenacity.wait.wait_base, longest: float) -> None:
        self.usual = usual
        self.longest = longest

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        retry_after = getattr(error, "retry_after", None)
        usual = self.usual(retry_state)
        return usual if retry_after is None else min(max(retry_after, 0.0) + usual / 10, self.longest)


class _stop_before(tenacity.stop.stop_base):  # noqa: N801 (tenacity's own style for stops)
    """The end of retries: no wait ends later than *seconds* after the first failure, by the clock or by the waits.

    An attempt that ran for longer than *seconds* before it failed begins them anew, a few times: a build of an hour is
    not given up for one refused push at its end.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._renewals = _MOST_RENEWALS
        # The clock and the sum of the waits at the failure that is counted from; the clock at the last failure.
        self._since, self._waited, self._last = 0.0, 0.0, 0.0

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        now, waited = retry_state.seconds_since_start or 0.0, retry_state.idle_for
        if retry_state.attempt_number == 1 or (self._renewals and now - self._last > self.seconds):
            self._since, self._waited = now, waited
            self._renewals -= 1
        self._last = now
        return max(now - self._since, waited - self._waited) + retry_state.upcoming_sleep >= self.seconds


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later; errors of this package know it themselves."""
    transient: bool | None = getattr(error, "transient", None)
    if transient is not None:
        return transient
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.ENOENT):
        return False
    module = type(error).__module__
    if module.startswith("requests"):
        return _is_transient_network(error)
    if module.startswith("docker"):
        import docker.errors

        if not isinstance(error, docker.errors.APIError) or error.status_code is None:
            return False
        text = (error.explanation or str(error)).lower()
        return is_transient_status(error.status_code) and not any(part in text for part in _PERMANENT_TEXT)
    return isinstance(error, (ConnectionError, TimeoutError))


def _is_transient_network(error: BaseException) -> bool:
    import ssl

    import requests

    inner = root_cause(error)
    if isinstance(inner, ssl.SSLError):
        # A handshake that was cut off may succeed next time; a wrong certificate stays wrong.
        return isinstance(inner, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
    network = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return isinstance(error, network)


def root_cause(error: BaseException) -> BaseException:
    """Return the error inside the errors that only wrap it, as HTTP libraries do.

    An error of ours, or an interrupt, wraps nothing: it was being handled while *error* was raised.
    """
    while inner := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        if isinstance(inner, MultiarchError) or not isinstance(inner, Exception):
            break
        error = inner
    return error


def describe(error: BaseException) -> str:
    """Return the cause of an error as one line, without the errors that wrap it."""
    cause = getattr(error, "cause", None) or getattr(error, "explanation", None)
    root = root_cause(error)
    text = str(cause or getattr(root, "strerror", None) or root).strip() or type(root).__name__
    line = text.splitlines()[0]
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 3]}..."
