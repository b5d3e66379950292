"""Which failures of a solve pass by themselves, in BuildKit's own words, and what is said of the others."""

from __future__ import annotations

import io
import threading

import pytest

from multiarch.buildkit.solve import Solve
from multiarch.display.progress import Progress
from multiarch.errors import BuildFailedError
from tests.unit.legs import leg
from tests.unit.rawjson import log, vertex

HOST = "https://registry-1.docker.io/v2"
GRPC = "rpc error: code = Unavailable desc ="
TRANSIENT = [
    # Measured: the registry is down while pushing.
    f'failed to push a/b:x: failed to do request: Head "{HOST}/": dial tcp 10.0.0.1:443: connect: connection refused',
    f"failed to copy: httpReadSeeker: failed open: unexpected status code {HOST}/x: 408 Request Timeout",
    f"unexpected status from POST request to {HOST}/app/blobs/uploads/: 425 Too Early",
    f"busybox: failed to resolve: unexpected status from HEAD request to {HOST}/: 429 Too Many Requests",
    "toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit",
    "failed to authorize: failed to fetch oauth token: unexpected status from POST request: 503 Service Unavailable",
    f"unexpected status from PUT request to {HOST}/app/manifests/x: 500 Internal Server Error",
    "received unexpected HTTP status: 502 Bad Gateway",
    f"unexpected status from GET request to {HOST}/: 504 Gateway Timeout",
    f'failed to do request: Head "{HOST}/": net/http: TLS handshake timeout',
    "read tcp 10.0.0.2:5123->10.0.0.1:443: read: connection reset by peer",
    "write tcp 10.0.0.2:5123->10.0.0.1:443: write: broken pipe",
    "failed to copy: unexpected EOF",
    f'failed to do request: Put "{HOST}/app/blobs/uploads/x": EOF',
    "dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: server misbehaving",
    "dial tcp: lookup registry-1.docker.io: Temporary failure in name resolution",
    "dial tcp: lookup registry-1.docker.io on 10.0.0.1:53: read udp 10.0.0.2:1->10.0.0.1:53: i/o timeout",
    "dial tcp: lookup registry-1.docker.io on 10.0.0.1:53: no such host",
    f"Get {HOST}/: context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
    f"{GRPC} error reading from server: EOF",
    f"{GRPC} keepalive ping failed to receive ACK within timeout",
    f'{GRPC} connection error: desc = "transport: Error while dialing: dial tcp: connect: connection refused"',
]
PERMANENT = [
    # Measured: a failed RUN, a mistake in the Dockerfile, a base image without the platform.
    'process "/bin/sh -c make" did not complete successfully: exit code: 3',
    "dockerfile parse error on line 1: unknown instruction: FORM (did you mean FROM?)",
    "docker.io/arm32v7/busybox:latest: failed to resolve source metadata: no match for platform in manifest: not found",
    # What a RUN of its own says of networks is no fault of ours.
    'process "/bin/sh -c echo connection refused; exit 1" did not complete successfully: exit code: 1',
    "failed to resolve source metadata for docker.io/library/busybox:x: docker.io/library/busybox:x: not found",
    'failed to compute cache key: failed to calculate checksum of ref x::y: "/www": not found',
    f"failed to push a/b:x: unexpected status from POST request to {HOST}/: 401 Unauthorized",
    f"failed to push a/b:x: unexpected status from POST request to {HOST}/: 403 Forbidden",
    "push access denied: server message: insufficient_scope: authorization failed",
    "failed to authorize: failed to fetch anonymous token: unexpected status from GET request: 404 Not Found",
    "write /var/lib/buildkit/x: no space left on device",
    "failed to verify certificate: x509: certificate signed by unknown authority",
    'target stage "nope" could not be found',
    "invalid reference format",
]


def failure(*lines: str, output: int = 0) -> BuildFailedError:
    """Return the error of a solve that writes *lines* to standard error and fails; *output* are lines of a vertex."""
    command = ["sh", "-c", "printf '%s\\n' \"$@\" >&2; exit 1", "sh", *lines]
    with pytest.raises(BuildFailedError) as caught:
        Solve([leg("arm64")], Progress(io.StringIO())).run(command, threading.Event())
    assert 1 + output == len(str(caught.value).splitlines())
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"), [*((text, True) for text in TRANSIENT), *((text, False) for text in PERMANENT)]
)
def test_which_failures_pass(text: str, expected: bool) -> None:
    """Faults between the builder, the registries and us pass; what is wrong with the build stays."""
    error = failure(f"error: failed to solve: {text}")
    assert expected == error.transient, str(error)


@pytest.mark.parametrize(("text", "expected"), [(TRANSIENT[0], True), (PERMANENT[0], False)])
def test_the_words_of_the_failed_step_count(text: str, expected: bool) -> None:
    """Where a step failed, its error decides, whatever is said around it."""
    around = TRANSIENT[-1] if not expected else PERMANENT[1]
    error = failure(vertex("a", "x", seconds=1, error=text), f"error: failed to solve: {around}")
    assert expected == error.transient, str(error)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x: no match for platform in manifest: not found", "choose another, or drop the platform"),
        ("write /x: no space left on device", "free its cache with invoke prune, or limit it"),
        ("insufficient_scope: authorization failed", "log in with: docker login HOST, as a user who may do that"),
        ("unexpected status: 401 Unauthorized", "log in with: docker login HOST, as a user who may do that"),
        ("dial tcp 127.0.0.1:1: connect: connection refused", "is the registry, or the builder, running"),
        (
            'process "/bin/sh -c make" did not complete successfully: exit code: 137',
            "killed, mostly for want of memory: give the builder more, or build less at a time (multiarch.jobs)",
        ),
        (
            "failed to push ghcr.io/a/b:x: unexpected status from POST request to https://ghcr.io/v2/: 403 Forbidden",
            "ghcr.io refuses it: the package's settings (Manage Actions access) must let this repository write",
        ),
        (
            "failed to push ghcr.io/a/b:x: denied: permission_denied: write_package",
            "a workflow needs 'packages: write'",
        ),
        ("network.host is not allowed", "say so: multiarch.entitlements: [security.insecure, network.host]"),
        (
            "granting entitlement network.host is not allowed by build daemon configuration",
            "start it with --allow-insecure-entitlement, or let start-buildkit do it",
        ),
        ("invalid reference format", ""),
    ],
)
def test_what_to_do_is_said_where_it_is_known(text: str, hint: str) -> None:
    """Behind the cause, in the same line."""
    message = str(failure(f"error: failed to solve: {text}"))
    assert (True, bool(hint)) == (hint in message, "; " in message), message


def test_overflow_of_a_32_bit_program_is_explained() -> None:
    """It stands in the program's output alone; the vertex ends with whatever status the program has then."""
    failed = 'process "/bin/sh -c ./configure" did not complete successfully: exit code: 1'
    lines = "checking for gcc... no\ncannot open directory '.': Value too large for defined data type\n"
    begun = vertex("a", "RUN ./configure")
    ended = vertex("a", "RUN ./configure", seconds=1, error=failed)
    assert "build with -D_FILE_OFFSET_BITS=64" in str(failure(begun, log("a", lines), ended, output=2))
    assert "-D_FILE" not in str(failure(begun, ended))
