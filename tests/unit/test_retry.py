"""Retries: which errors are transient, how long they are waited for, and what is shown."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import docker.errors
import pytest
import requests

from multiarch.errors import (
    BuildFailedError,
    ConfigurationError,
    DockerError,
    MultiarchError,
    RegistryError,
    RegistryUnreachableError,
    is_transient_status,
)
from multiarch.registry.errors import DigestMismatchError, ReadBackError
from multiarch.retry import Policy, describe, is_transient
from tests.unit.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.registry_server import RegistryServer

BUSY = RegistryError("GET x", 503, "busy")


@dataclass
class Flaky:
    """A function that raises *errors* one after the other, and then returns, or raises the last one *forever*."""

    errors: list[BaseException]
    forever: bool = False
    called: list[float] = field(default_factory=list)

    def __call__(self) -> str:
        """Return "done", or raise the next error."""
        self.called.append(time.monotonic())
        if self.forever or len(self.called) <= len(self.errors):
            raise self.errors[min(len(self.called), len(self.errors)) - 1]
        return "done"


def policy(
    *,
    seconds: float = 5.0,
    attempts: int = 4,
    first: float = 0.001,
    longest: float = 0.01,
    stopped: threading.Event | None = None,
) -> Policy:
    """Return a policy with tiny waits."""
    return Policy(seconds, attempts, first, longest, stopped or threading.Event())


def caused(error: BaseException, cause: BaseException) -> BaseException:
    """Return an error as it is when it was raised from another one."""
    error.__cause__ = cause
    return error


def api_error(status: int, text: str = "") -> docker.errors.APIError:
    """Return the error of Docker's SDK for an answer of the daemon."""
    response = requests.Response()
    response.status_code = status
    return docker.errors.APIError("request", response, text)


def test_success_shows_nothing() -> None:
    """One call, and no line: retries must not be seen where there are none."""
    shown: list[str] = []
    flaky = Flaky([])
    assert "done" == policy().call("it", flaky, show=shown.append)
    assert (1, []) == (len(flaky.called), shown)


def test_each_retry_is_shown_with_its_cause() -> None:
    """A person who waits must know for what: the operation, the attempt, the wait and the cause in a line."""
    shown: list[str] = []
    flaky = Flaky([BUSY, ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")])
    assert "done" == policy().call("push of x", flaky, show=shown.append)
    assert [
        "push of x: attempt 1 failed, next in 0.0 s: 503 busy",
        "push of x: attempt 2 failed, next in 0.0 s: Connection reset by peer",
    ] == shown


def test_permanent_error_is_raised_at_once() -> None:
    """As it is, after one attempt, without a line: waiting would help nobody."""
    shown: list[str] = []
    error = RegistryError("GET x", 404, "no")
    flaky = Flaky([error])
    with pytest.raises(RegistryError) as caught:
        policy().call("it", flaky, show=shown.append)
    assert error is caught.value
    assert (1, []) == (len(flaky.called), shown)


def test_last_attempt_raises_its_own_error() -> None:
    """The number of attempts is bounded, and the newest error says most about the present."""
    shown: list[str] = []
    last = RegistryError("GET x", 500, "the last")
    flaky = Flaky([BUSY, BUSY, last], forever=True)
    with pytest.raises(RegistryError) as caught:
        policy(attempts=3).call("it", flaky, show=shown.append)
    assert last is caught.value
    assert (3, 2) == (len(flaky.called), len(shown))


def test_no_wait_ends_after_the_total_time() -> None:
    """A job of a CI has a time limit of its own, and must fail with our error before."""
    flaky = Flaky([BUSY], forever=True)
    began = time.monotonic()
    with pytest.raises(RegistryError):
        policy(seconds=0.15, attempts=10000, first=0.02, longest=0.02).call("it", flaky, show=lambda _: None)
    took = time.monotonic() - began
    assert (True, True) == (took < 0.3, len(flaky.called) > 3), f"{len(flaky.called)} attempts in {took:.2f} s"


def test_no_seconds_are_no_retries() -> None:
    """``retry_seconds: 0`` switches retries off."""
    flaky = Flaky([BUSY])
    with pytest.raises(RegistryError):
        policy(seconds=0.0).call("it", flaky, show=lambda _: None)
    assert 1 == len(flaky.called)


def test_waits_grow_with_jitter_up_to_the_longest() -> None:
    """Full jitter: many clients of one server must not come back at the same moment."""
    runs = [_waits(Flaky([BUSY], forever=True), attempts=7, first=10.0, longest=80.0) for _ in range(60)]
    for bound, nth in zip([10.0, 20.0, 40.0, 80.0, 80.0, 80.0], zip(*runs, strict=True), strict=True):
        assert (True, True) == (bound * 0.7 < max(nth) <= bound, 0 <= min(nth) < bound * 0.3), (bound, sorted(nth))


@pytest.mark.parametrize(
    ("retry_after", "shortest", "longest"), [(7.0, 7.0, 8.0), (0.0, 0.0, 1.0), (-5.0, 0.0, 1.0), (3600.0, 80.0, 80.0)]
)
def test_retry_after_is_waited_for_up_to_the_longest_wait(retry_after: float, shortest: float, longest: float) -> None:
    """No sooner than the server asked, and a little jitter later; an hour is more than a release may take."""
    error = RegistryError("GET x", 429, "slow", retry_after=retry_after)
    (wait,) = _waits(Flaky([error]), attempts=4, first=10.0, longest=80.0)
    assert shortest <= wait <= longest


def _waits(flaky: Flaky, *, attempts: int, first: float, longest: float) -> list[float]:
    """Return the seconds that a policy waits between the attempts."""
    clock = Clock()
    with suppress(RegistryError):
        Policy(1e9, attempts, first, longest, clock).call("it", flaky, show=lambda _: None)
    return clock.waits


def test_stop_ends_a_wait_at_once() -> None:
    """Set from another thread, the event ends a wait of many seconds, and no further attempt is made."""
    stopped = threading.Event()
    flaky = Flaky([RegistryError("GET x", 503, "busy", retry_after=30.0)], forever=True)
    began = time.monotonic()
    threading.Timer(0.1, stopped.set).start()
    with pytest.raises(RegistryError):
        policy(seconds=60.0, longest=30.0, stopped=stopped).call("it", flaky, show=lambda _: None)
    assert time.monotonic() - began < 20
    assert 1 == len(flaky.called)


def test_transient_error_is_final_after_a_stop() -> None:
    """An operation that begins after the stop gets its one attempt, and no retries."""
    stopped = threading.Event()
    stopped.set()
    flaky = Flaky([BUSY])
    with pytest.raises(RegistryError):
        policy(stopped=stopped).call("it", flaky, show=lambda _: None)
    assert 1 == len(flaky.called)


def test_interrupt_is_not_retried() -> None:
    """Ctrl-C must end the run."""
    flaky = Flaky([KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        policy().call("it", flaky, show=lambda _: None)
    assert 1 == len(flaky.called)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(code, True) for code in (408, 425, 429, 500, 502, 503, 504, 599)]
    + [(code, False) for code in (200, 301, 400, 401, 403, 404, 405, 409, 413, 422, 600)],
)
def test_status_decides_for_registries_and_docker(status: int, expected: bool) -> None:
    """Timeouts, too many requests and the server's own faults are transient; a wrong request stays wrong."""
    assert expected == is_transient_status(status)
    assert expected == is_transient(RegistryError("GET x", status, "because"))
    assert expected == is_transient(api_error(status))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), True),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), True),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), True),
        (TimeoutError("timed out"), True),
        (requests.exceptions.ReadTimeout("read timed out"), True),
        (requests.exceptions.ConnectTimeout("TLS handshake timed out"), True),
        (requests.exceptions.ConnectionError("Name or service not known"), True),
        (requests.exceptions.ChunkedEncodingError("IncompleteRead"), True),
        (caused(requests.exceptions.SSLError("x"), ssl.SSLCertVerificationError("certificate verify failed")), False),
        (caused(requests.exceptions.SSLError("x"), ssl.SSLEOFError("EOF occurred")), True),
        (requests.exceptions.InvalidURL("no host"), False),
        (requests.exceptions.TooManyRedirects("30"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (BuildFailedError("linux/arm64", "x", transient=True), True),
        (BuildFailedError("linux/arm64", "x"), False),
        (RegistryUnreachableError("GET x", "Connection refused"), True),
        (RegistryUnreachableError("GET x", "certificate verify failed", transient=False), False),
        (ReadBackError("app:latest", "a", "", transient=True), True),
        (ReadBackError("app:latest", "a", "b"), False),
        (DigestMismatchError("GET x", "a", "b"), False),
        (DockerError("pull x", "503 Service Unavailable"), False),
        (ConfigurationError("--tag", "invalid"), False),
        (MultiarchError("whatever"), False),
        (ValueError("bad"), False),
        (KeyError("bad"), False),
    ],
)
def test_error_is_transient(error: BaseException, expected: bool) -> None:
    """Faults of the network are; those of the request, of this machine and of a program are not."""
    assert expected == is_transient(error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Get https://registry-1.docker.io/v2/: net/http: TLS handshake timeout", True),
        ("received unexpected HTTP status: 503 Service Unavailable", True),
        ("toomanyrequests: You have reached your pull rate limit", True),
        ("dial tcp 127.0.0.1:5001: connect: connection refused", True),
        ("no matching manifest for linux/amd64 in the manifest list entries", False),
        ("unauthorized: authentication required", False),
        ("pull access denied for x, repository does not exist", False),
        ("Bind for 127.0.0.1:1234 failed: port is already allocated", False),
        ("write /var/lib/docker: no space left on device", False),
        ("x509: certificate signed by unknown authority", False),
    ],
)
def test_words_of_the_docker_daemon_decide_at_status_500(text: str, expected: bool) -> None:
    """The daemon answers 500 to almost everything."""
    assert expected == is_transient(api_error(500, text))


@pytest.fixture
def rude() -> Iterator[int]:
    """A port where every connection is accepted and closed at once, without an answer."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield int(listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connection_that_ends_early_is_transient(rude: int, scheme: str) -> None:
    """A server that restarts ends connections like this, during the TLS handshake too."""
    with pytest.raises(requests.RequestException) as caught:
        requests.get(f"{scheme}://127.0.0.1:{rude}/", timeout=5)
    assert is_transient(caught.value)


def test_plain_answer_to_a_tls_handshake_is_permanent(server: RegistryServer) -> None:
    """A server that speaks no TLS will not learn it in a minute."""
    with pytest.raises(requests.RequestException) as caught:
        requests.get(f"https://{server.host}/v2/", timeout=5)
    assert not is_transient(caught.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("first\nsecond"), "first"),
        (ValueError(), "ValueError"),
        (api_error(500, "the daemon's words"), "the daemon's words"),
        (BUSY, "503 busy"),
        (RegistryUnreachableError("GET x", "Connection refused"), "Connection refused"),
        (BuildFailedError("linux/arm64", "exit code: 3", step="RUN x", log=["a", "b"]), "exit code: 3"),
        (
            caused(ValueError("the wrapping"), OSError(errno.ECONNRESET, "Connection reset by peer")),
            "Connection reset by peer",
        ),
        (ValueError("x" * 400), "x" * 297 + "..."),
    ],
)
def test_description_is_one_short_line(error: BaseException, expected: str) -> None:
    """It is a part of the line of a retry, whatever the error."""
    assert expected == describe(error)


def test_long_work_that_fails_at_its_end_is_retried() -> None:
    """An attempt that ran for longer than the policy's seconds begins them anew: a few times, no more."""
    for ends in (1, 3):
        called: list[int] = []

        def slow(ends: int = ends, called: list[int] = called) -> str:
            called.append(1)
            time.sleep(0.03)
            if len(called) <= ends:
                raise BUSY
            return "done"

        assert "done" == policy(seconds=0.02, attempts=50).call("it", slow, show=lambda _: None)
        assert ends + 1 == len(called)

    def never() -> str:
        called.append(1)
        time.sleep(0.03)
        raise BUSY

    called.clear()
    with pytest.raises(RegistryError):
        policy(seconds=0.02, attempts=50).call("it", never, show=lambda _: None)
    assert len(called) <= 5


def test_cause_is_not_an_error_that_was_being_handled() -> None:
    """Tags are put back while an error is handled: what fails then is told with its own cause."""
    try:
        try:
            raise MultiarchError("no tag was moved")
        except MultiarchError:
            try:
                raise ConnectionResetError(104, "Connection reset by peer")
            except OSError as wrapped:
                raise ConnectionError("connection aborted") from wrapped
    except ConnectionError as error:
        assert "Connection reset by peer" == describe(error)


def test_interrupt_that_was_being_handled_is_no_cause() -> None:
    """An interrupt is no reason for a registry's silence."""
    try:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ConnectionError("connection aborted")  # noqa: B904 (without a cause of its own)
    except ConnectionError as error:
        assert "connection aborted" == describe(error)
