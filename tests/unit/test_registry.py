"""The registry client: what it reads and writes, and how it goes on when a registry stumbles."""

from __future__ import annotations

import datetime
import email.utils
import threading
from typing import TYPE_CHECKING

import pytest

from multiarch.errors import DigestMismatchError, RegistryError, RegistryUnreachableError
from multiarch.image.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.unit.clock import Clock
from tests.unit.registry_server import EOF, RESET, RegistryServer, Reply, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.registry_server import Reaction

BODY = b'{"schemaVersion": 2}\n'
MANIFEST = Manifest(OCI_MANIFEST, BODY)
FOUND = Reply(200, BODY, {"Content-Type": f"{OCI_MANIFEST}; charset=utf-8", "Docker-Content-Digest": MANIFEST.digest})


def client(server: RegistryServer, shown: list[str] | None = None, policy: Policy | None = None) -> Registry:
    """Return a client with little patience; *shown* takes the lines of its retries."""
    waits = policy or Policy(seconds=5.0, attempts=4, first=0.001, longest=0.01)
    return Registry(server.host, waits, ([] if shown is None else shown).append)


# What is read and written.


def test_a_manifest_is_read_as_it_is(server: RegistryServer) -> None:
    """The very bytes, the media type without parameters; all four types are asked for."""
    server.table["GET /v2/some/app/manifests/latest"] = [FOUND]
    found = client(server).manifest("some/app", "latest")
    assert MANIFEST == found
    assert {OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST} == set(
        server.requests[0].headers["accept"].split(", ")
    )


def test_no_manifest_is_none(server: RegistryServer) -> None:
    """A tag that is not there is an answer, found out in one request."""
    assert client(server).manifest("app", "latest") is None
    assert ["GET /v2/app/manifests/latest"] == server.asked


def test_a_manifest_is_written_as_it_is(server: RegistryServer) -> None:
    """The bytes that were hashed are the bytes that are sent, under their type."""
    index = Manifest(OCI_INDEX, b'{"manifests": [ ]}')
    assert index.digest == client(server).put_manifest("some/app", "latest", index)
    assert ("PUT", "/v2/some/app/manifests/latest", b'{"manifests": [ ]}', OCI_INDEX) == (
        server.requests[0].verb,
        server.requests[0].path,
        server.requests[0].body,
        server.requests[0].headers["content-type"],
    )
    assert index == client(server).manifest("some/app", "latest")


def test_a_blob_is_read(server: RegistryServer) -> None:
    """A blob comes back as its bytes."""
    digest = server.hold_blob("app", b"config")
    assert b"config" == client(server).blob("app", digest)


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [(OCI_INDEX, True), (DOCKER_LIST, True), (OCI_MANIFEST, False), (DOCKER_MANIFEST, False)],
)
def test_what_an_index_is(media_type: str, expected: bool) -> None:
    """Both types of index are one, both types of image are none."""
    assert expected == Manifest(media_type, b"{}").is_index


# Bytes that are not what they should be.

OTHER = "sha256:" + "0" * 64


def test_a_manifest_of_another_digest_is_refused(server: RegistryServer) -> None:
    """Bytes that do not hash to the digest asked for are not taken, nor asked for again."""
    server.table[f"GET /v2/app/manifests/{OTHER}"] = [Reply(200, BODY)]
    with pytest.raises(DigestMismatchError) as caught:
        client(server).manifest("app", OTHER)
    assert (
        f"GET {server.host}/app/manifests/{OTHER}: expected {OTHER}, the registry sent {MANIFEST.digest};"
        " nothing was published from it"
    ) == str(caught.value)
    assert 1 == len(server.requests)


def test_a_tag_of_another_digest_than_promised_is_refused(server: RegistryServer) -> None:
    """Docker-Content-Digest is compared with the bytes."""
    server.table["GET /v2/app/manifests/latest"] = [Reply(200, BODY, {"Docker-Content-Digest": OTHER})]
    with pytest.raises(DigestMismatchError, match=f"expected {OTHER}, the registry sent {MANIFEST.digest}"):
        client(server).manifest("app", "latest")


def test_a_blob_of_another_digest_is_refused(server: RegistryServer) -> None:
    """A blob is compared with the digest that names it."""
    server.table[f"GET /v2/app/blobs/{OTHER}"] = [Reply(200, BODY)]
    with pytest.raises(DigestMismatchError, match=f"expected {OTHER}, the registry sent {MANIFEST.digest}"):
        client(server).blob("app", OTHER)


def test_a_manifest_stored_as_something_else_is_refused(server: RegistryServer) -> None:
    """What the registry says it stored must be what was sent."""
    server.table["PUT /v2/app/manifests/latest"] = [Reply(201, headers={"Docker-Content-Digest": OTHER})]
    with pytest.raises(DigestMismatchError, match=f"expected {MANIFEST.digest}, the registry sent {OTHER}"):
        client(server).put_manifest("app", "latest", MANIFEST)


# Faults that pass.

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
def test_a_fault_that_passes_is_outlasted(server: RegistryServer, operation: str, fault: str) -> None:
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
def test_a_registry_that_comes_late_is_waited_for(operation: str) -> None:
    """Connections are refused until the registry listens."""
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
def test_a_registry_that_never_comes_is_named(operation: str) -> None:
    """In the end the error says what was asked of whom, and why there was no answer."""
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
def test_a_cause_is_told_in_plain_words(server: RegistryServer, fault: str, expected: str) -> None:
    """The innermost reason alone, without the names of the classes that wrapped it."""
    server.table["GET /v2/app/manifests/latest"] = [FAULTS[fault][0]]
    with pytest.raises(RegistryUnreachableError) as caught:
        client(server).manifest("app", "latest")
    reason = str(caught.value).partition("no answer from the registry: ")[2]
    assert expected == reason[: len(expected)]


def _wait(server: RegistryServer, retry_after: str) -> float:
    """Return how long a client would wait when the registry answers *retry_after*."""
    clock = Clock()
    server.table["GET /v2/app/manifests/latest"] = [Reply(429, headers={"Retry-After": retry_after}), FOUND]
    policy = Policy(seconds=1e9, attempts=4, first=0.001, longest=20.0, stopped=clock)
    assert MANIFEST == client(server, policy=policy).manifest("app", "latest")
    (wait,) = clock.waits
    return wait


@pytest.mark.parametrize(
    ("retry_after", "shortest", "longest"),
    [("7", 7.0, 7.1), ("0", 0.0, 0.1), ("3600", 20.0, 20.0), ("soon", 0.0, 0.1), ("1.5", 0.0, 1.6), ("", 0.0, 0.1)],
)
def test_retry_after_in_seconds(server: RegistryServer, retry_after: str, shortest: float, longest: float) -> None:
    """Honoured, capped, and ignored where it is no number."""
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
def test_a_broken_retry_after_asks_for_nothing(server: RegistryServer, broken: str) -> None:
    """Whatever a proxy writes there: the refusal is an error of ours, and the policy waits as it would without."""
    server.table["GET /v2/app/manifests/latest"] = [Reply(429, headers={"Retry-After": broken})]
    with pytest.raises(RegistryError) as caught:
        client(server, policy=Policy(attempts=1)).manifest("app", "latest")
    assert (429, None) == (caught.value.status, caught.value.retry_after)


# RFC 9110, section 5.6.7: the form to write, and those to read as well.
DATES = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"]


@pytest.mark.parametrize("form", DATES)
def test_retry_after_as_a_date(server: RegistryServer, form: str) -> None:
    """A date in any form that HTTP has is waited for."""
    now = datetime.datetime.now(datetime.timezone.utc)
    assert 7.0 <= _wait(server, (now + datetime.timedelta(seconds=9)).strftime(form)) <= 9.1


def test_retry_after_in_the_past(server: RegistryServer) -> None:
    """A date that is over asks for no wait."""
    assert 0.0 <= _wait(server, email.utils.formatdate(0, usegmt=True)) <= 0.1


def test_stopping_ends_the_waiting(server: RegistryServer) -> None:
    """Once the run is stopped, no request is sent again."""
    server.table["PUT /v2/app/manifests/latest"] = [Reply(503, headers={"Retry-After": "30"})]
    policy = Policy(seconds=60.0, attempts=9, longest=30.0)
    threading.Timer(0.05, policy.stopped.set).start()
    with pytest.raises(RegistryError, match="503"):
        client(server, policy=policy).put_manifest("app", "latest", MANIFEST)
    assert 1 == len(server.requests)


# Faults that stay.


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("status", [400, 403, 405, 409, 413])
def test_a_fault_that_stays_takes_one_request(server: RegistryServer, operation: str, status: int) -> None:
    """The registry's own words, and nothing is sent again; who is not allowed learns how to log in."""
    shown: list[str] = []
    server.table[operation] = [refusal(status, "SOME_CODE", "some words")]
    with pytest.raises(RegistryError) as caught:
        OPERATIONS[operation](client(server, shown))
    name = operation.replace("/v2/", f"{server.host}/")
    hint = f"; log in with: docker login {server.host}" if status == 403 else ""
    assert f"{name}: the registry answered {status} SOME_CODE: some words{hint}" == str(caught.value)
    assert (1, [], status) == (len(server.requests), shown, caught.value.status)


def test_a_missing_blob_takes_one_request(server: RegistryServer) -> None:
    """Unlike a tag, a blob that is not there is an error."""
    server.table[f"GET /v2/app/blobs/{OTHER}"] = [refusal(404, "BLOB_UNKNOWN", "blob unknown to registry")]
    with pytest.raises(RegistryError, match=r"answered 404 BLOB_UNKNOWN: blob unknown to registry$"):
        client(server).blob("app", OTHER)
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
def test_a_refusal_in_any_form_is_one_line(server: RegistryServer, body: bytes, expected: str) -> None:
    """Words that are no error document give way to the status; several errors share a line."""
    server.table["GET /v2/app/manifests/latest"] = [Reply(403, body)]
    with pytest.raises(RegistryError) as caught:
        client(server).manifest("app", "latest")
    assert f"the registry answered 403 {expected}; log in with" in str(caught.value)
    assert 1 == len(str(caught.value).splitlines())


# The way there.


def test_a_proxy_is_not_asked_for_this_machine(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry on loopback is reached directly, whatever proxies the environment names."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    server.table["GET /v2/app/manifests/latest"] = [FOUND]
    assert MANIFEST == client(server).manifest("app", "latest")


@pytest.mark.parametrize(
    ("host", "expected"), [("docker.io", "registry-1.docker.io:443"), ("ghcr.example:8443", "ghcr.example:8443")]
)
def test_other_registries_are_asked_over_tls(
    server: RegistryServer, monkeypatch: pytest.MonkeyPatch, host: str, expected: str
) -> None:
    """What is not on loopback speaks TLS, and Docker Hub has its own host for it: a proxy sees where it goes."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://{server.host}")
    server.table[f"CONNECT /{expected}"] = [Reply(403)]
    with pytest.raises(RegistryUnreachableError, match=f"^GET {host}/library/busybox/manifests/latest: "):
        Registry(host, Policy(attempts=1), print).manifest("library/busybox", "latest")
    assert [f"CONNECT /{expected}"] == server.asked
