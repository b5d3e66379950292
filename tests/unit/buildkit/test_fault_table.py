"""The table of faults: each of its words in a message as its program writes it, and what is made of it."""

from __future__ import annotations

import re

import pytest

from multiarch.buildkit.fault_table import FAULTS
from multiarch.buildkit.faults import hint_for, hint_for_crash, is_refused_push, is_transient_fault

URL = "https://r.example.com/v2/a/b"
PUSH = "failed to push r.example.com/a/b:x:"
DO = f'{PUSH} failed to do request: Put "{URL}/blobs/uploads/1":'
CA = "put its CA into /etc/docker/certs.d/{}/ca.crt"
LOGIN = "log in with: docker login r.example.com, as a user who may do that"
DIAL = f'{PUSH} failed to do request: Head "{URL}/": dial tcp 10.0.0.1:443:'
LOOKUP = f"{DIAL} lookup r.example.com on 10.0.0.2:53:"
READ = f"{DO} read tcp 10.0.0.2:5123->10.0.0.1:443:"
WRITE = f"{DO} write tcp 10.0.0.2:5123->10.0.0.1:443:"
DIALED = 'Unavailable: connection error: desc = "error reading server preface: command [ssh -- box] has exited with'
GRPC = 'rpc error: code = Unknown desc = connection error: desc = "transport:'
PASSES = [
    f"{PUSH} unexpected status from PUT request to {URL}/blobs/uploads/7?_state=x: 404 Not Found",
    f"{PUSH} unexpected status from PUT request to {URL}: 404 Not Found: blob upload unknown to registry",
    f"{PUSH} unexpected status: 400 Bad Request: MANIFEST_BLOB_UNKNOWN",
    f"{PUSH} manifest list/index references to blobs and/or manifests are missing in your target registry: x",
    f"{PUSH} push is on-going: unavailable",
    f"{DIAL} connect: connection refused",
    f"{READ} read: connection reset by peer",
    f"{WRITE} write: broken pipe",
    f"{READ} read: connection timed out",
    f"{DIAL} connect: operation timed out",
    f"{DIAL} connect: network is unreachable",
    f"{DIAL} connect: network is down",
    f"{READ} read: network dropped connection on reset",
    f"{DIAL} connect: no route to host",
    f"{DIAL} connect: host is down",
    f"{READ} read: software caused connection abort",
    f"{WRITE} write: transport endpoint is not connected",
    f"{WRITE} write: cannot send after transport endpoint shutdown",
    f"{WRITE} write: no buffer space available",
    f"{DIAL} connect: cannot assign requested address",
    f"{DIAL} connect: resource temporarily unavailable",
    f"{DIAL} socket: too many open files",
    "failed to copy: open /var/lib/buildkit/x: stale file handle",
    "failed to copy: httpReadSeeker: failed open: unexpected EOF",
    f"{DO} EOF",
    f"{DO} io: read/write on closed pipe",
    f"{WRITE} use of closed network connection",
    f"{READ} i/o timeout",
    f"{DIAL} operation was canceled",
    f"{LOOKUP} no such host",
    f"{LOOKUP} server misbehaving",
    f"{DIAL} lookup r.example.com: Temporary failure in name resolution",
    f"{LOOKUP} lame referral",
    f"{LOOKUP} no answer from DNS server",
    f"{LOOKUP} cannot unmarshal DNS message",
    f"{DO} net/http: TLS handshake timeout",
    f"{DO} net/http: timeout awaiting response headers",
    f"{DO} net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
    f"{DO} http: server closed idle connection",
    f"{DO} http: idle connection timeout",
    f"{DO} net/http: HTTP/1.x transport connection broken: malformed chunked encoding",
    f"{DO} net/http: cannot rewind body after connection loss",
    f"{DO} net/http: request canceled while waiting for connection",
    f"{DO} http: ContentLength=31 with Body length 12",
    f"{DO} stream error: stream ID 5; INTERNAL_ERROR; received from peer",
    f"{DO} stream error: stream ID 7; REFUSED_STREAM",
    f"{DO} connection error: PROTOCOL_ERROR",
    f"{DO} http2: client connection lost",
    f"{DO} http2: client conn not usable",
    f"{DO} http2: server sent GOAWAY and closed the connection; LastStreamID=3, ErrCode=NO_ERROR",
    f"{DO} http2: stream closed",
    f"{DO} http2: Transport: cannot retry err [x] after Request.Body was written; define Request.GetBody",
    f"{DO} local error: tls: bad record MAC",
    f"{DO} remote error: tls: internal error",
    f"{DO} remote error: tls: error decrypting message",
    "rpc error: code = DeadlineExceeded desc = x",
    "rpc error: code = Aborted desc = x",
    f"{PUSH} Unavailable",
    f'{GRPC} error reading from server: x"',
    f'{GRPC} error reading server preface: x"',
    f'{GRPC} failed to write client preface: x"',
    "rpc error: code = Unknown desc = transport is closing",
    "keepalive ping failed to receive ACK within timeout",
    "grpc: the client connection is closing",
    "the connection is draining",
    "grpc: the SubConn is closing",
    "failed to solve: context deadline exceeded",
    "failed to solve: context canceled",
    f"{PUSH} unexpected status from POST request to {URL}/blobs/uploads/: 502 Bad Gateway",
    f"{PUSH} unexpected status from PUT request to {URL}/blobs/uploads/1: 499 Client Closed Request",
    f"{PUSH} unexpected status from PUT request to {URL}/blobs/uploads/1: 520 ",
    "toomanyrequests: retry-after: 1s, allowed: 44000/minute",
    "too many requests",
    f"{PUSH} cannot reuse body, request must be retried",
    "failed to copy: short read: expected 100 bytes but got 7",
    f"{PUSH} closed incomplete writer",
    "unexpected commit digest sha256:1, expected sha256:2: failed precondition",
    "failed commit on ref x: failed size validation: 1 != 2: failed precondition",
    "FetcherByDigest: size mismatch: 1 != 2",
    "no active session for x",
    "failed to solve: no such job x",
    "dial unix /run/x.sock: connect: no such file or directory",
    "failed to receive status: x",
]
RIGHT = [
    f"{PUSH} unexpected status from POST request to {URL}/blobs/uploads/: 401 Unauthorized",
    f"{PUSH} unexpected status from HEAD request to {URL}/blobs/sha256:1: 403 ",
    f"{PUSH} unauthorized: authentication required",
    f"{PUSH} server message: authorization failed",
    f"{PUSH} insufficient_scope",
    f"{PUSH} push access denied, repository does not exist or may require authorization",
    f"{PUSH} no basic auth credentials",
    f"{PUSH} failed to handle basic auth because missing username or secret",
]
FINAL = [
    'process "/bin/sh -c curl x" did not complete successfully: exit code: 7: connection refused',
    "dockerfile parse error on line 1: unknown instruction: FORM",
    "x: no match for platform in manifest: not found",
    'failed to calculate checksum of ref x::y: "/www": not found',
    "write /var/lib/buildkit/x: no space left on device",
    "write /var/lib/buildkit/x: disk quota exceeded",
    "open /var/lib/buildkit/x: read-only file system",
    f"unexpected status from GET request to {URL}/manifests/x: 404 Not Found: x",
    "docker.io/library/busybox:x: not found",
    f"{DO} tls: failed to verify certificate: x509: certificate signed by unknown authority",
    f"{DO} remote error: tls: handshake failure",
    f"{DO} remote error: tls: bad certificate",
    f"{DO} remote error: tls: certificate required",
    f"{DO} remote error: tls: protocol version not supported",
    f"{DO} remote error: tls: insufficient security level",
    f"{DO} remote error: tls: no application protocol",
    f"{DO} remote error: tls: unrecognized name",
    f"{DO} tls: first record does not look like a TLS handshake",
    f"{DO} http: server gave HTTP response to HTTPS client",
    f'{DO} unsupported protocol scheme ""',
    f"{DO} stopped after 10 redirects",
    f"{DO} stream error: stream ID 1; HTTP_1_1_REQUIRED; received from peer",
    f"{DIALED} 255, make sure: stderr=Host key verification failed.\\r\\n",
    f"{DIALED} 255, make sure: stderr=me@box: Permission denied (publickey).\\r\\n",
    f"{DIALED} 127, make sure: stderr=bash: line 1: buildctl: command not found\\n",
    'Unavailable: connection error: desc = "transport: Error while dialing: exec: \\"ssh\\": executable file not found',
    f'{DIALED} 1, make sure: stderr=Error from server (NotFound): pods \\"x\\" not found\\n',
    f'{DIALED} 1, make sure: stderr=(Forbidden): User \\"ci\\" cannot create resource \\"pods/exec\\" in API group',
    f'{DIALED} 1, make sure: stderr=error: context \\"x\\" does not exist\\n',
    "invalid reference format",
]


@pytest.mark.parametrize("text", PASSES)
def test_fault_that_passes(text: str) -> None:
    """It is between the builder, the registries and us, and another attempt may not meet it."""
    assert (True, False) == (is_transient_fault(text), is_refused_push(text))


@pytest.mark.parametrize("text", RIGHT)
def test_refusal(text: str) -> None:
    """This user may not push, as far as one refusal tells; of a base image it is no push that is refused."""
    assert (False, True) == (is_transient_fault(text), is_refused_push(text))
    pull = text.replace(PUSH, "failed to resolve source metadata for r.example.com/a/b:x:")
    assert (False, False) == (is_transient_fault(pull), is_refused_push(pull))


@pytest.mark.parametrize("text", FINAL)
def test_fault_that_stays(text: str) -> None:
    """It is of the build, of a disk or of a setting."""
    assert (False, False) == (is_transient_fault(text), is_refused_push(text))


def test_each_of_the_table_decides_one_of_these() -> None:
    """None of its words is without a message above, or hidden by what stands before it."""
    deciding = {
        next((words for words, _ in FAULTS if re.search(words, text, re.IGNORECASE)), "")
        for text in (*PASSES, *RIGHT, *FINAL)
    }
    assert [] == [words for words, _ in FAULTS if words not in deciding]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (FINAL[9], f"{CA.format('r.example.com')}, or name it in insecure_registries"),
        (
            'failed to push r.example.com/a: failed to authorize: Post "https://[::1]:5001/token": x509: not trusted',
            f"{CA.format('[::1]:5001')}, or name it in insecure_registries",
        ),
        (
            f'{DO} Get "https://mirror.example.com/v2/": x509: x',
            f"{CA.format('mirror.example.com')}, or name it in insecure_registries",
        ),
        ('Head "https://a b/v2/": x509: x', f"{CA.format('HOST')}, or name it in insecure_registries"),
        ("x509: certificate has expired", f"{CA.format('HOST')}, or name it in insecure_registries"),
        (f"{PUSH} unexpected status from HEAD request to {URL}/blobs/sha256:1: 401 Unauthorized", LOGIN),
        (f"{PUSH} insufficient_scope: authorization failed", LOGIN),
        (
            "failed to resolve source metadata for docker.io/a/b: 401 from https://auth.docker.io/token: unauthorized",
            "log in with: docker login docker.io, as a user who may do that",
        ),
        (f"{PUSH} 401 Unauthorized: denied: failed to push evil.example.org/x", LOGIN),
        (FINAL[18], "it has no TLS: name it in insecure_registries"),
        ("toomanyrequests: You have reached", "log in with docker login, or let the Docker daemon have a mirror"),
    ],
)
def test_advice_on_a_fault(text: str, hint: str) -> None:
    """What a setting would change is said with its name."""
    assert hint == hint_for(text)


@pytest.mark.parametrize(
    ("texts", "is_crash"),
    [
        (['process "/bin/sh -c make" did not complete successfully: exit code: 139'], True),
        (["exit code: 1", "qemu: uncaught target signal 11 (Segmentation fault) - core dumped"], True),
        (["exit code: 1", "Segmentation"], False),
        (["exit code: 13"], False),
    ],
)
def test_crash_of_an_emulator_has_its_advice(texts: list[str], is_crash: bool) -> None:
    """An emulator that was registered years ago crashes where a later one does not."""
    advice = "if linux/arm64 is emulated, its emulator may be too old: replace it with setup-binfmt --reinstall"
    assert (advice if is_crash else "") == hint_for_crash("linux/arm64", texts)
