"""The registry client: manifests and blobs, transient faults and those that stay, and the host that is asked."""

from __future__ import annotations

import datetime
import email.utils
import os
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from multiarch.errors import InvalidAnswerError, RegistryError, RegistryUnreachableError
from multiarch.image.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest
from multiarch.registry import sessions
from multiarch.registry.client import Registry
from multiarch.registry.errors import DigestMismatchError
from multiarch.retry import Policy
from tests.unit.clock import Clock
from tests.unit.registry_server import EOF, RESET, RegistryServer, Reply, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.registry_server import Reaction

BODY = b'{"schemaVersion": 2}\n'
MANIFEST = Manifest(OCI_MANIFEST, BODY)
REPLY = Reply(200, BODY, {"Content-Type": f"{OCI_MANIFEST}; charset=utf-8", "Docker-Content-Digest": MANIFEST.digest})


def client(server: RegistryServer, shown: list[str] | None = None, policy: Policy | None = None) -> Registry:
    """Return a client with short waits.

    :param shown: takes the lines of its retries.
    :param policy: in place of those waits.
    """
    waits = policy or Policy(seconds=5.0, attempts=4, first=0.001, longest=0.01)
    return Registry(server.host, waits, ([] if shown is None else shown).append)


# What is read and written.


def test_manifest_is_read_byte_for_byte(server: RegistryServer) -> None:
    """Its digest is that of its bytes; the media type comes without parameters, and all four types are accepted."""
    server.table["GET /v2/some/app/manifests/latest"] = [REPLY]
    assert MANIFEST == client(server).manifest("some/app", "latest")
    assert {OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST} == set(
        server.requests[0].headers["accept"].split(", ")
    )


def test_missing_manifest_is_none_after_one_request(server: RegistryServer) -> None:
    """A tag that does not exist yet is an answer, not a fault to wait for."""
    assert client(server).manifest("app", "latest") is None
    assert ["GET /v2/app/manifests/latest"] == server.asked


def test_manifest_is_written_byte_for_byte(server: RegistryServer) -> None:
    """The bytes that were hashed are the bytes that are sent, under their media type: JSON has many spellings."""
    index = Manifest(OCI_INDEX, b'{"manifests": [ ]}')
    assert index.digest == client(server).put_manifest("some/app", "latest", index)
    assert ("PUT", "/v2/some/app/manifests/latest", b'{"manifests": [ ]}', OCI_INDEX) == (
        server.requests[0].verb,
        server.requests[0].path,
        server.requests[0].body,
        server.requests[0].headers["content-type"],
    )
    assert index == client(server).manifest("some/app", "latest")


@pytest.mark.parametrize("media_type", ["a/b\r\n Transfer-Encoding: chunked", "a/b\n\tX: y", "a/b\r\nX: y", "a/b\r"])
def test_media_type_of_several_lines_is_not_sent(server: RegistryServer, media_type: str) -> None:
    """A manifest from elsewhere names its own, and what a line more is to a server or a proxy, nobody knows."""
    with pytest.raises(RegistryUnreachableError, match=r"latest: .* is not HTTP; [^\n]*$") as caught:
        client(server).put_manifest("app", "latest", Manifest(media_type, b"{}"))
    assert (False, []) == (caught.value.transient, server.asked)


def test_blob_is_read_byte_for_byte(server: RegistryServer) -> None:
    """Configs of images are read this way."""
    digest = server.hold_blob("app", b"config")
    assert b"config" == client(server).blob("app", digest)


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [(OCI_INDEX, True), (DOCKER_LIST, True), (OCI_MANIFEST, False), (DOCKER_MANIFEST, False)],
)
def test_index_is_known_by_its_media_type(media_type: str, expected: bool) -> None:
    """OCI and Docker have a media type each, for an index and for an image."""
    assert expected == Manifest(media_type, b"{}").is_index


# Bytes of another digest.

OTHER_DIGEST = "sha256:" + "0" * 64


def test_manifest_of_another_digest_is_refused(server: RegistryServer) -> None:
    """Whatever stands between us and the registry, an index must not be made of other bytes."""
    server.table[f"GET /v2/app/manifests/{OTHER_DIGEST}"] = [Reply(200, BODY)]
    with pytest.raises(DigestMismatchError) as caught:
        client(server).manifest("app", OTHER_DIGEST)
    assert (
        f"GET {server.host}/app/manifests/{OTHER_DIGEST}: expected {OTHER_DIGEST}, the registry sent {MANIFEST.digest};"
        " nothing was published from it"
    ) == str(caught.value)
    assert 1 == len(server.requests)


def test_tag_of_another_digest_than_its_header_is_refused(server: RegistryServer) -> None:
    """Docker-Content-Digest is compared with the bytes, as a tag names no digest itself."""
    server.table["GET /v2/app/manifests/latest"] = [Reply(200, BODY, {"Docker-Content-Digest": OTHER_DIGEST})]
    with pytest.raises(DigestMismatchError, match=f"expected {OTHER_DIGEST}, the registry sent {MANIFEST.digest}"):
        client(server).manifest("app", "latest")


def test_blob_of_another_digest_is_refused(server: RegistryServer) -> None:
    """A config decides for which platform an image is published, so it must be the one that was named."""
    server.table[f"GET /v2/app/blobs/{OTHER_DIGEST}"] = [Reply(200, BODY)]
    with pytest.raises(DigestMismatchError, match=f"expected {OTHER_DIGEST}, the registry sent {MANIFEST.digest}"):
        client(server).blob("app", OTHER_DIGEST)


def test_manifest_stored_under_another_digest_is_refused(server: RegistryServer) -> None:
    """A registry that rewrites manifests would publish something that no gate has seen."""
    server.table["PUT /v2/app/manifests/latest"] = [Reply(201, headers={"Docker-Content-Digest": OTHER_DIGEST})]
    with pytest.raises(DigestMismatchError, match=f"expected {MANIFEST.digest}, the registry sent {OTHER_DIGEST}"):
        client(server).put_manifest("app", "latest", MANIFEST)


# Transient faults.

OPERATIONS: dict[str, Callable[[Registry], object]] = {
    "GET /v2/app/manifests/latest": lambda registry: registry.manifest("app", "latest"),
    "PUT /v2/app/manifests/latest": lambda registry: registry.put_manifest("app", "latest", MANIFEST),
    f"GET /v2/app/blobs/{MANIFEST.digest}": lambda registry: registry.blob("app", MANIFEST.digest),
}
FAULTS: dict[str, tuple[Reaction, str]] = {
    **{str(code): (refusal(code, "BUSY", "later"), f"{code} BUSY: later") for code in (408, 425, 429, 500)},
    "502 of a proxy": (Reply(502, b"<html>Bad Gateway</html>"), "502 Bad Gateway"),
    "503": (Reply(503), "503 Service Unavailable"),
    "504": (Reply(504), "504 Gateway Timeout"),
    "reset": (RESET, "Connection reset by peer"),
    "EOF": (EOF, "Remote end closed connection"),
    "cut off": (Reply(200, BODY, sent=5), "IncompleteRead"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", FAULTS)
def test_transient_fault_is_retried(server: RegistryServer, operation: str, fault: str) -> None:
    """Twice the fault, then the answer: the result is the same, and each retry is shown with its cause."""
    reaction, cause = FAULTS[fault]
    shown: list[str] = []
    server.table[operation] = [reaction, reaction, Reply(200, BODY, {"Content-Type": OCI_MANIFEST})]
    assert OPERATIONS[operation](client(server, shown)) in (MANIFEST, MANIFEST.digest, BODY)
    assert [operation] * 3 == server.asked
    name = operation.replace("/v2/", f"{server.host}/")
    assert [True, True] == [
        line.startswith(f"{name}: attempt {number} failed, next in 0.0 s: ") and cause in line
        for number, line in enumerate(shown, 1)
    ], shown


@pytest.mark.parametrize("operation", OPERATIONS)
def test_registry_that_starts_late_is_waited_for(operation: str) -> None:
    """In a CI it may be a service that starts beside the job: its connections are refused until it listens."""
    server = RegistryServer()
    server.table[operation] = [Reply(200, BODY, {"Content-Type": OCI_MANIFEST})]
    shown: list[str] = []

    def note(line: str) -> None:
        shown.append(line)
        server.start()

    try:
        registry = Registry(server.host, Policy(seconds=5.0, attempts=9, first=0.01, longest=0.05), note)
        assert OPERATIONS[operation](registry) in (MANIFEST, MANIFEST.digest, BODY)
        assert [True] == ["failed, next in" in line for line in shown]
    finally:
        server.stop()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_registry_that_never_starts_is_named(operation: str) -> None:
    """The error names the request and the registry, and why there was no answer."""
    server = RegistryServer()
    try:
        with pytest.raises(RegistryUnreachableError) as caught:
            OPERATIONS[operation](client(server))
    finally:
        server.stop()
    assert (
        f"{operation.replace('/v2/', f'{server.host}/')}: no answer from the registry: Connection refused;"
        " is it running and the name right?"
    ) == str(caught.value)


@pytest.mark.parametrize(
    ("fault", "expected"), [("reset", "Connection reset by peer"), ("EOF", "Remote end closed connection")]
)
def test_cause_is_the_innermost_reason(server: RegistryServer, fault: str, expected: str) -> None:
    """HTTP libraries wrap it in the names of several classes, which say nothing to a user."""
    server.table["GET /v2/app/manifests/latest"] = [FAULTS[fault][0]]
    with pytest.raises(RegistryUnreachableError) as caught:
        client(server).manifest("app", "latest")
    reason = str(caught.value).partition("no answer from the registry: ")[2]
    assert expected == reason[: len(expected)]


def _wait(server: RegistryServer, retry_after: str) -> float:
    """Return the seconds that a client waits after an answer with this Retry-After."""
    clock = Clock()
    server.table["GET /v2/app/manifests/latest"] = [Reply(429, headers={"Retry-After": retry_after}), REPLY]
    policy = Policy(seconds=1e9, attempts=4, first=0.001, longest=20.0, stopped=clock)
    assert MANIFEST == client(server, policy=policy).manifest("app", "latest")
    (wait,) = clock.waits
    return wait


@pytest.mark.parametrize(
    ("retry_after", "shortest", "longest"),
    [("7", 7.0, 7.1), ("0", 0.0, 0.1), ("3600", 20.0, 20.0), ("soon", 0.0, 0.1), ("1.5", 0.0, 1.6), ("", 0.0, 0.1)],
)
def test_retry_after_in_seconds_is_waited_for(
    server: RegistryServer, retry_after: str, shortest: float, longest: float
) -> None:
    """Up to the policy's longest wait; without a number the policy alone decides."""
    assert shortest <= _wait(server, retry_after) <= longest


@pytest.mark.parametrize(
    "broken",
    [
        *("-5", "nan", "inf", "²", "1e3", "0x10", "9" * 400, "9" * 5000),
        "Fri, 31 Dec 99999 23:59:59 GMT",
        "Fri, 31 Dec 99999999999999999999 23:59:59 GMT",
        "Fri, 31 Foo 2100 1:2:3 GMT",
    ],
    ids=lambda broken: f"{broken[:24]} of {len(broken)}",
)
def test_broken_retry_after_is_none(server: RegistryServer, broken: str) -> None:
    """Whatever a proxy writes there, the answer is an error of ours, and the policy waits as without the header."""
    server.table["GET /v2/app/manifests/latest"] = [Reply(429, headers={"Retry-After": broken})]
    with pytest.raises(RegistryError) as caught:
        client(server, policy=Policy(attempts=1)).manifest("app", "latest")
    assert (429, None) == (caught.value.status, caught.value.retry_after)


# RFC 9110, section 5.6.7: the form that is written today, and the obsolete ones that must be read.
DATES = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"]


@pytest.mark.parametrize("form", DATES)
def test_retry_after_as_a_date_is_waited_for(server: RegistryServer, form: str) -> None:
    """In each of the three forms that HTTP has."""
    now = datetime.datetime.now(datetime.timezone.utc)
    assert 7.0 <= _wait(server, (now + datetime.timedelta(seconds=9)).strftime(form)) <= 9.1


def test_retry_after_in_the_past_is_no_wait(server: RegistryServer) -> None:
    """Clocks differ, and an answer may come late."""
    assert 0.0 <= _wait(server, email.utils.formatdate(0, usegmt=True)) <= 0.1


def test_stop_ends_the_wait_of_a_request(server: RegistryServer) -> None:
    """When another platform has failed, the run must end at once, and nothing may be published after that."""
    server.table["PUT /v2/app/manifests/latest"] = [Reply(503, headers={"Retry-After": "30"})]
    policy = Policy(seconds=60.0, attempts=9, longest=30.0)
    registry = Registry(server.host, policy, lambda _: threading.Timer(0.05, policy.stopped.set).start())
    with pytest.raises(RegistryError, match="503"):
        registry.put_manifest("app", "latest", MANIFEST)
    assert 1 == len(server.requests)


# Permanent faults.


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("status", [400, 403, 405, 409, 413])
def test_permanent_fault_takes_one_request(server: RegistryServer, operation: str, status: int) -> None:
    """The error has the registry's own words; a user who is not allowed reads how to log in."""
    shown: list[str] = []
    server.table[operation] = [refusal(status, "SOME_CODE", "some words")]
    with pytest.raises(RegistryError) as caught:
        OPERATIONS[operation](client(server, shown))
    name = operation.replace("/v2/", f"{server.host}/")
    hint = f"; log in with: docker login {server.host}" if status == 403 else ""
    assert f"{name}: the registry answered {status} SOME_CODE: some words{hint}" == str(caught.value)
    assert (1, [], status) == (len(server.requests), shown, caught.value.status)


def test_missing_blob_is_an_error_after_one_request(server: RegistryServer) -> None:
    """Unlike a tag, a blob is named by a manifest, so it must exist."""
    server.table[f"GET /v2/app/blobs/{OTHER_DIGEST}"] = [refusal(404, "BLOB_UNKNOWN", "blob unknown to registry")]
    with pytest.raises(RegistryError, match=r"answered 404 BLOB_UNKNOWN: blob unknown to registry$"):
        client(server).blob("app", OTHER_DIGEST)
    assert 1 == len(server.requests)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<html>no</html>", "Forbidden"),
        (b"[]", "Forbidden"),
        (b'{"errors": []}', "Forbidden"),
        (b'{"errors": null}', "Forbidden"),
        (b'{"errors": 5}', "Forbidden"),
        (b'{"errors": [{"code": "A", "message": "a"}, {"code": "B", "message": "b\\nc"}]}', "A: a; B: b c"),
    ],
)
def test_refusal_of_any_form_is_one_line(server: RegistryServer, body: bytes, expected: str) -> None:
    """Proxies answer with pages of their own: the words of the status stand for them; several errors share a line."""
    server.table["GET /v2/app/manifests/latest"] = [Reply(403, body)]
    with pytest.raises(RegistryError) as caught:
        client(server).manifest("app", "latest")
    assert f"the registry answered 403 {expected}; log in with" in str(caught.value)
    assert 1 == len(str(caught.value).splitlines())


# The host that is asked.


def test_registry_on_loopback_is_reached_without_a_proxy(
    server: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy's loopback interface is another machine's, whatever the environment says."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    server.table["GET /v2/app/manifests/latest"] = [REPLY]
    assert MANIFEST == client(server).manifest("app", "latest")


@pytest.mark.parametrize(
    ("host", "expected"), [("docker.io", "registry-1.docker.io:443"), ("ghcr.example:8443", "ghcr.example:8443")]
)
def test_other_registries_are_asked_over_tls(
    server: RegistryServer, monkeypatch: pytest.MonkeyPatch, host: str, expected: str
) -> None:
    """A proxy sees the host and port: 443 by default, and the API of Docker Hub has a host of its own."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://{server.host}")
    server.table[f"CONNECT /{expected}"] = [Reply(403)]
    with pytest.raises(RegistryUnreachableError, match=f"^GET {host}/library/busybox/manifests/latest: "):
        Registry(host, Policy(attempts=1), print).manifest("library/busybox", "latest")
    assert [f"CONNECT /{expected}"] == server.asked


def test_proxy_that_the_system_names_is_used(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a Mac, where no variable has to name it."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("requests.utils.getproxies", lambda: {"https": f"http://{server.host}"})
    monkeypatch.setattr(sessions, "sys", SimpleNamespace(platform="darwin"))
    server.table["CONNECT /ghcr.example:443"] = [Reply(403)]
    with pytest.raises(RegistryUnreachableError):
        Registry("ghcr.example", Policy(attempts=1), print).manifest("busybox", "latest")
    assert ["CONNECT /ghcr.example:443"] == server.asked


@pytest.mark.parametrize("value", ["x\x85y", "sha256:x", "sha256:", "latest", "é" * 64])
def test_digest_that_is_none_is_not_shown(server: RegistryServer, value: str) -> None:
    """A line break in it once broke the one line of the error."""
    server.table["GET /v2/app/manifests/latest"] = [Reply(200, MANIFEST.body, {"Docker-Content-Digest": value})]
    with pytest.raises(
        InvalidAnswerError, match=r"latest: the registry sent a Docker-Content-Digest that is no digest$"
    ):
        client(server).manifest("app", "latest")
