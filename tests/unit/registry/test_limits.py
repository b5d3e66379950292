"""Bounds of what a registry may send, and of how long it may take: nobody can fill the memory or hold the run."""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from multiarch.concurrency import together
from multiarch.errors import InvalidAnswerError, MultiarchError, RegistryError, RegistryUnreachableError, StoppedError
from multiarch.image.manifest import OCI_MANIFEST, Descriptor, Manifest
from multiarch.registry import limits
from multiarch.registry.challenge import parse_challenge
from multiarch.registry.client import Registry
from multiarch.registry.remembered import RememberedManifests
from multiarch.retry import Policy
from tests.unit.certificates import make_certificate, server_context
from tests.unit.raw_server import serving
from tests.unit.registry_auth import READ, bearer
from tests.unit.registry_server import RegistryServer, Reply, json_reply, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("docker_config")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n"
BOMB = gzip.compress(gzip.compress(b" " * (200 << 20)))  # a thousandth of it, and that of 200 MB
BOMB_HEADERS = {"Content-Encoding": "gzip, gzip"}
DIGEST = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
LARGE = Descriptor("x", DIGEST, 1 << 30)
MANIFEST = Manifest(OCI_MANIFEST, b"{}")


def client(host: str, policy: Policy | None = None) -> Registry:
    """Return a client that tries once."""
    return Registry(host, policy or Policy(attempts=1), lambda _: None)


def peak(function: Callable[[], object]) -> int:
    """Return the most bytes that a function used beyond what was used before."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def read(host: str) -> Callable[[], object]:
    """Return a function that reads a tag."""
    return lambda: client(host).manifest("app", "latest")


def fails(function: Callable[[], object], kind: type[MultiarchError], words: str) -> None:
    """Check that a function fails, and how."""
    with pytest.raises(kind, match=words) as caught:
        function()
    assert 1 == len(str(caught.value).splitlines())


# Bytes.


def test_compressed_manifest_is_refused_and_not_expanded(server: RegistryServer) -> None:
    """A kilobyte may expand to a gigabyte; nobody asked for compression."""
    server.table[READ] = [Reply(200, BOMB, BOMB_HEADERS)]
    assert peak(partial(fails, read(server.host), InvalidAnswerError, "compressed answer that was not")) < 20 << 20
    assert ["identity"] == [request.headers["accept-encoding"] for request in server.requests]


@pytest.mark.parametrize("status", [400, 503])
def test_compressed_refusal_is_not_expanded(server: RegistryServer, status: int) -> None:
    """Its status is all that is needed."""
    server.table[READ] = [Reply(status, BOMB, BOMB_HEADERS)]
    assert peak(partial(fails, read(server.host), RegistryError, str(status))) < 20 << 20


def test_compressed_token_is_not_expanded(server: RegistryServer) -> None:
    """Token servers are named by registries."""
    server.table[READ] = [refusal(401, WWW_Authenticate=bearer(server))]
    server.table["GET /token"] = [Reply(200, BOMB, BOMB_HEADERS)]
    assert peak(partial(fails, read(server.host), InvalidAnswerError, "compressed answer that was not")) < 20 << 20


@pytest.mark.parametrize("head", [b"\r\n", b"Content-Length: 99999999999\r\n\r\n"])
def test_manifest_without_end_is_cut(head: bytes) -> None:
    """Registries refuse manifests of more than 4 MiB; we read up to 8."""
    sent = 0

    def endless(_: bytes) -> Iterator[bytes]:
        nonlocal sent
        yield OK + head
        while True:
            sent += 1 << 20
            yield b" " * (1 << 20)

    with serving(endless) as server:
        assert peak(partial(fails, read(server.host), InvalidAnswerError, "8 MiB")) < 40 << 20
    assert sent < 64 << 20


def test_largest_manifest_is_read(server: RegistryServer) -> None:
    """The limit is inclusive."""
    body = b"{}".ljust(8 << 20)
    server.table[READ] = [Reply(200, body, {"Content-Type": OCI_MANIFEST})]
    assert Manifest(OCI_MANIFEST, body) == client(server.host).manifest("app", "latest")


def test_refusal_without_end_is_its_status(server: RegistryServer) -> None:
    """What a registry says beside its status is kept as long as it is short."""
    server.table[READ] = [Reply(403, b'{"errors": [{"code": "DENIED", "message": "' + b"x" * (1 << 20) + b'"}]}')]
    fails(read(server.host), RegistryError, "answered 403 Forbidden; log in")
    server.table[READ] = [refusal(400, "DENIED", "x" * 60_000)]
    with pytest.raises(RegistryError) as caught:
        client(server.host).manifest("app", "latest")
    assert len(str(caught.value)) < 1200


def test_token_without_end_is_refused(server: RegistryServer) -> None:
    """A token is a few kilobytes."""
    server.table[READ] = [refusal(401, WWW_Authenticate=bearer(server))]
    server.table["GET /token"] = [json_reply({"token": "x" * (65 << 10)})]
    fails(read(server.host), InvalidAnswerError, "more than 64 KiB")


@pytest.mark.parametrize(("size", "words"), [(10, "more than 10 bytes"), (1 << 40, "more than 8 MiB")])
def test_config_is_read_as_far_as_its_descriptor_says(server: RegistryServer, size: int, words: str) -> None:
    """And up to 8 MiB, whatever it says."""
    digest = server.hold_blob("app", b" " * (9 << 20))
    fails(lambda: client(server.host).blob("app", digest, size), InvalidAnswerError, words)


@pytest.mark.parametrize("piece", [b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, b"X: " + b"x" * 30_000 + b"\r\n"])
def test_headers_without_end_are_cut(piece: bytes) -> None:
    """Neither headers nor interim answers may go on."""
    with serving(lambda _: [b"HTTP/1.1 100 Continue\r\n", *[piece] * 100]) as server:
        fails(read(server.host), RegistryUnreachableError, "no answer from the registry")


@pytest.mark.parametrize("lines", [b"X: y\r\n" * 101, b"X: " + b"x" * 70_000 + b"\r\n"])
def test_more_headers_than_are_taken_are_not_asked_for_again(lines: bytes) -> None:
    """The registry sends them each time."""
    with serving(lambda _: [OK + lines + b"\r\n"]) as server, pytest.raises(RegistryUnreachableError) as caught:
        read(server.host)()
    assert not caught.value.transient


@pytest.mark.parametrize(
    "header",
    [
        "Bearer" + " " * 65_000,
        "Bearer " + "a=" * 30_000,
        'Bearer realm="' + "\\" * 65_000,
        "Basic" + " ,Basic" * 10_000,
        "x" * 65_000,
        'Bearer a="' + 'a", b="' * 10_000,
    ],
)
def test_challenge_is_read_in_linear_time(header: str) -> None:
    """65 kB of blanks took a minute."""
    began = time.process_time()
    parse_challenge(header)
    assert time.process_time() - began < 10


def test_long_challenge_is_none(server: RegistryServer) -> None:
    """Then the refusal is the answer."""
    server.table[READ] = [refusal(401, WWW_Authenticate=bearer(server) + " " * 10_000)]
    fails(read(server.host), RegistryError, "answered 401")


def test_digest_is_asked_for_once(server: RegistryServer) -> None:
    """An index may name one manifest thousands of times; what a digest names never changes."""
    descriptor = server.hold_manifest("app", "latest", {})
    registry = client(server.host)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda _: registry.manifest("app", descriptor["digest"]), range(100)))
    assert ([descriptor["digest"]] * 100, 1) == ([found and found.digest for found in read], len(server.requests))


def test_digest_is_asked_for_again_where_who_asked_first_is_stopped() -> None:
    """A stop of one client is none of another over the same connections."""
    remembered, asked, waits = RememberedManifests(), threading.Event(), threading.Event()

    def stopped() -> Manifest:
        asked.set()
        assert waits.wait(10)
        time.sleep(0.1)
        raise StoppedError("GET x")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(remembered.get, ("app", DIGEST), stopped)
        assert asked.wait(10)
        second = pool.submit(remembered.get, ("app", DIGEST), lambda: MANIFEST)
        waits.set()
        assert (StoppedError, MANIFEST) == (type(first.exception(10)), second.result(10))


@pytest.mark.parametrize("digest", ["sha256:x", "../../other", "sha512:" + "0" * 128, "a b", "x\r\nX: y", ""])
def test_digest_that_is_none_is_never_asked_for(server: RegistryServer, digest: str) -> None:
    """It comes from a manifest, and would be a part of an address."""
    registry = client(server.host)
    for ask in (registry.has_manifest, registry.blob):
        with pytest.raises(MultiarchError) as caught:
            ask("app", digest)
        assert 1 == len(str(caught.value).splitlines())
    assert [path for path in server.asked if "x" not in path or " " in path] == []


# Time.


def dripping(head: bytes, piece: bytes) -> Callable[[bytes], Iterator[bytes]]:
    """Return a script that never ends, and never pauses for long."""

    def script(_: bytes) -> Iterator[bytes]:
        yield head
        while True:
            time.sleep(0.05)
            yield piece

    return script


DRIPS = {
    "status": dripping(b"HTTP/1.1 20", b"0"),
    "headers": dripping(OK, b"X: y\r\n"),
    "interim answers": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": dripping(OK + b"Content-Length: 1000000\r\n\r\n", b" "),
    "chunks": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "silence": dripping(b"", b""),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_request_has_a_deadline(monkeypatch: pytest.MonkeyPatch, drip: str) -> None:
    """Each byte that drips in gives a read another minute; the request as a whole has none to give."""
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0.4)
    with serving(DRIPS[drip]) as server:
        began = time.monotonic()
        fails(read(server.host), MultiarchError, "took longer than 0 s")
    assert 0.3 < time.monotonic() - began < 10


def test_blob_has_to_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large blob takes as long as it takes, but not at some bytes a minute."""
    monkeypatch.setattr(limits, "PROGRESS_SECONDS", 0.4)
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0.1)
    with serving(DRIPS["body"]) as server, client(server.host).open_blob("app", LARGE) as blob:
        began = time.monotonic()
        fails(blob.readall, MultiarchError, "bytes passed in 0 s")
    assert 0.3 < time.monotonic() - began < 10


def test_blob_that_grows_is_read_beyond_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only requests without a blob have one."""
    monkeypatch.setattr(limits, "PROGRESS_SECONDS", 0.2)
    monkeypatch.setattr(limits, "PROGRESS_BYTES", 10)
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0.1)
    content = b"x" * 60
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"

    def slow(_: bytes) -> Iterator[bytes]:
        yield OK + b"Content-Length: 60\r\n\r\n"
        for _number in range(12):
            time.sleep(0.05)
            yield b"xxxxx"

    with serving(slow) as server, client(server.host).open_blob("app", Descriptor("x", digest, 60)) as blob:
        assert content == blob.readall()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("drip", DRIPS)
@pytest.mark.parametrize("kind", ["manifest", "blob"])
def test_stop_ends_a_request(tmp_path: Path, drip: str, kind: str, tls: bool) -> None:
    """An interrupt, or the failure of another platform, ends everything within 2 s."""
    context = server_context(make_certificate(tmp_path)) if tls else None
    policy = Policy()
    with serving(DRIPS[drip], context) as server:
        host = server.host.replace("127.0.0.1", "0.0.0.0") if tls else server.host
        registry = Registry(host, policy, lambda _: None, insecure=tls)
        timer = threading.Timer(0.3, policy.stopped.set)
        timer.start()
        began = time.monotonic()
        with pytest.raises(MultiarchError) as caught:
            if kind == "blob":
                registry.open_blob("app", LARGE).readall()
            else:
                registry.manifest("app", "latest")
        assert time.monotonic() - began < 10
    timer.join()
    assert str(caught.value).endswith(": stopped")


def test_stop_ends_a_handshake() -> None:
    """A server may accept connections and say nothing."""
    policy = Policy()
    with serving(dripping(b"", b"")) as server:
        timer = threading.Timer(0.3, policy.stopped.set)
        timer.start()
        began = time.monotonic()
        registry = client(server.host.replace("127.0.0.1", "0.0.0.0"), policy)
        fails(lambda: registry.manifest("app", "x"), StoppedError, ": stopped$")
        assert time.monotonic() - began < 10
    timer.join()


# Nothing is written after a stop.


def test_copy_of_a_blob_ends_with_a_stop_and_nothing_is_written_after_it(server: RegistryServer) -> None:
    """A copy went on to its end for 25 s, and then the manifests were written."""
    policy = Policy()
    began = threading.Event()

    def slow(head: bytes) -> Iterable[bytes]:
        yield OK + b"Content-Length: %d\r\n\r\n" % (1 << 30)
        while True:
            began.set()
            time.sleep(0.01)
            yield b"x" * 1000

    with serving(slow) as origin, ThreadPoolExecutor(1) as pool:
        target, source = client(server.host, policy), client(origin.host, policy)
        copying = pool.submit(target.copy_blob, source, "app", "app", LARGE)
        began.wait(5)
        policy.stopped.set()
        assert isinstance(copying.exception(15), MultiarchError)
    asked = len(server.requests)
    for write in (lambda: target.put_manifest("app", "latest", MANIFEST), lambda: target.remove_tag("app", "latest")):
        fails(write, StoppedError, ": stopped$")
    fails(lambda: target.check_push("app"), StoppedError, ": stopped$")
    fails(lambda: target.copy_blob(target, "app", "app", LARGE), StoppedError, ": stopped$")
    assert asked == len(server.requests)
    # What puts tags back is not stopped by that.
    assert MANIFEST.digest == target.unstoppable().put_manifest("app", "latest", MANIFEST)


def test_failure_is_raised_and_not_the_stop_that_it_caused(server: RegistryServer) -> None:
    """A request that is stopped because another has failed says nothing, even where it ends first."""
    registry = client(server.host)

    def fail() -> None:
        registry.stop()
        time.sleep(0.2)
        raise RegistryError("PUT x", 403, "denied")

    def ask() -> None:
        time.sleep(0.1)
        registry.manifest("app", "latest")

    with pytest.raises(RegistryError, match="denied"):
        together([ask, fail])
