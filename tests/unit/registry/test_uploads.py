"""Blobs sent to a registry that does not take them at once, forgets them, or takes long to store them."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from multiarch.errors import InvalidAnswerError, RegistryError
from multiarch.image.manifest import Descriptor
from multiarch.registry import limits, uploads
from multiarch.registry.errors import UploadLostError
from multiarch.registry.uploads import Way
from tests.unit.registry_auth import client
from tests.unit.registry_server import EOF, RESET, RegistryServer, Reply, Request, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOB = os.urandom(5000)
UPLOADS = "/v2/app/blobs/uploads/"
ONE = f"{UPLOADS}one"


@pytest.fixture
def source() -> Iterator[RegistryServer]:
    """The registry that has the blob."""
    source = RegistryServer().start()
    source.hold_blob("app", BLOB)
    yield source
    source.stop()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of bytes in place of megabytes."""
    monkeypatch.setattr(uploads, "_CHUNKS", (2000, 1000, 500))


def copy(server: RegistryServer, source: RegistryServer, blob: bytes = BLOB) -> list[str]:
    """Copy the blob; return the requests that were sent for it."""
    descriptor = Descriptor("application/octet-stream", source.hold_blob("app", blob), len(blob))
    client(server).copy_blob(client(source), "app", "app", descriptor)
    assert blob == server.contents[f"/v2/app/blobs/{descriptor.digest}"][1]
    return requests(server)


def requests(server: RegistryServer) -> list[str]:
    """Return the requests by verb, with their ranges."""
    ranges = (request.headers.get("content-range", "") for request in server.requests)
    return [f"{request.verb} {part}".strip() for request, part in zip(server.requests, ranges, strict=True)]


def limit(server: RegistryServer, status: int, most: int, *verbs: str) -> None:
    """Let a registry refuse requests with a larger body."""

    def react(request: Request) -> Reply:
        is_fine = len(request.body) <= most
        return server.from_contents(request) if is_fine else refusal(status, "UNKNOWN", "too large")

    for verb in verbs:
        server.table[f"{verb} {ONE}"] = [react]


@pytest.mark.parametrize("status", [400, 405, 411, 413, 416, 501])
def test_blob_that_is_refused_at_once_is_sent_in_chunks(
    server: RegistryServer, source: RegistryServer, status: int
) -> None:
    """As Docker Hub does with large ones, and any proxy with a limit of its own."""
    limit(server, status, 0, "PUT")
    chunks = ["POST", "PATCH 0-1999", "PATCH 2000-3999", "PATCH 4000-4999", "PUT"]
    assert ["HEAD", "POST", "PUT", *chunks] == copy(server, source)


def test_way_is_remembered(server: RegistryServer, source: RegistryServer) -> None:
    """Each blob would be sent twice else; one that has no bytes is committed alone."""
    limit(server, 413, 0, "PUT")
    registry = client(server)
    for blob in (BLOB, BLOB[:10], b""):
        digest = source.hold_blob("app", blob)
        registry.copy_blob(client(source), "app", "app", Descriptor("x", digest, len(blob)))
        assert blob == server.contents[f"/v2/app/blobs/{digest}"][1]
    assert ["HEAD", "POST", "PATCH 0-9", "PUT", "HEAD", "POST", "PUT"] == requests(server)[-7:]


def test_chunks_become_smaller(server: RegistryServer, source: RegistryServer) -> None:
    """GitHub takes 4 MiB in a request, nginx one: what is accepted is not known before."""
    limit(server, 413, 500, "PUT", "PATCH")
    sent = copy(server, source)
    assert ["PATCH 0-1999", "PATCH 0-999", "PATCH 0-499", "PATCH 500-999"] == [s for s in sent if "PATCH" in s][:4]
    assert 4 == sent.count("POST")


def test_registry_says_how_small_a_chunk_may_be(server: RegistryServer, source: RegistryServer) -> None:
    """OCI-Chunk-Min-Length; and one that wants gigabytes in memory is not served."""
    limit(server, 413, 0, "PUT")

    def begin(request: Request) -> Reply:
        reply = server.from_contents(request)
        return Reply(reply.status, b"", {**reply.headers, "OCI-Chunk-Min-Length": minimum})

    server.table[f"POST {UPLOADS}"] = [begin]
    minimum = "3000"
    assert ["PATCH 0-2999", "PATCH 3000-4999"] == [s for s in copy(server, source) if "PATCH" in s]
    minimum = "9" * 12
    server.contents.clear()
    with pytest.raises(InvalidAnswerError, match=r"wants chunks of 9+ bytes, which is too much$"):
        copy(server, source)


@pytest.mark.parametrize("fault", [RESET, EOF, refusal(503), refusal(429, Retry_After="0")], ids=repr)
@pytest.mark.parametrize("is_taken", [True, False], ids=["taken", "lost"])
def test_chunk_is_sent_on_from_where_the_registry_is(
    server: RegistryServer, source: RegistryServer, fault: Reply, is_taken: bool
) -> None:
    """Whether the answer was lost or the chunk, the registry is asked; what came before is not sent again."""
    limit(server, 413, 0, "PUT")

    def fail(request: Request) -> Reply:
        if is_taken:
            server.from_contents(request)
        return fault

    server.table[f"PATCH {ONE}"] = [server.from_contents, fail, server.from_contents]
    again = [] if is_taken else ["PATCH 2000-3999"]
    expected = ["PATCH 0-1999", "PATCH 2000-3999", "GET", *again, "PATCH 4000-4999", "PUT"]
    assert expected == copy(server, source)[-len(expected) :]


def test_registry_that_takes_a_part_of_a_chunk_gets_the_rest(server: RegistryServer, source: RegistryServer) -> None:
    """Its Range says what it has."""
    limit(server, 413, 0, "PUT")

    def take_half(request: Request) -> Reply:
        half = Request(request.verb, request.path, request.query, request.headers, request.body[:700])
        return server.from_contents(half)

    server.table[f"PATCH {ONE}"] = [take_half, server.from_contents]
    sent = [s for s in copy(server, source) if "PATCH" in s]
    assert ["PATCH 0-1999", "PATCH 700-1999", "PATCH 2000-3999", "PATCH 4000-4999"] == sent


@pytest.mark.parametrize(
    "answer", [refusal(404, "BLOB_UPLOAD_UNKNOWN"), Reply(202, headers={"Range": "0-99999"})], ids=repr
)
def test_upload_that_a_registry_forgets_begins_anew(
    server: RegistryServer, source: RegistryServer, answer: Reply
) -> None:
    """As where it was started again, or where another one behind the same name is asked."""
    limit(server, 413, 0, "PUT")
    server.table[f"PATCH {ONE}"] = [server.from_contents, answer, server.from_contents]
    assert 3 == copy(server, source).count("POST")


def test_registry_that_loses_everything_is_told_so(server: RegistryServer, source: RegistryServer) -> None:
    """In one line, after the last attempt."""
    limit(server, 413, 0, "PUT")
    server.table[f"PATCH {ONE}"] = [Reply(202, headers={"Range": "0-0"})]
    with pytest.raises(UploadLostError, match=r"lost an upload: it has 0 bytes after 2000 were sent; what stands"):
        copy(server, source)


def test_blob_that_is_cut_off_twice_is_sent_in_chunks(
    server: RegistryServer, source: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some proxies answer nothing, and close the connection: the same request would be cut off for ever."""
    large = os.urandom(8 << 20)
    monkeypatch.setattr(uploads, "_CHUNKS", (4 << 20, 1 << 20))
    server.largest = 5 << 20
    sent = copy(server, source, large)
    assert ["PATCH 0-4194303", "PATCH 4194304-8388607", "PUT"] == sent[-3:]


@pytest.mark.parametrize("answer", [refusal(504), refusal(502), EOF], ids=repr)
def test_blob_whose_commit_was_not_awaited_is_not_sent_again(
    server: RegistryServer, source: RegistryServer, answer: Reply
) -> None:
    """A proxy gives up after a minute; the registry behind it does not."""

    def commit(request: Request) -> Reply:
        server.from_contents(request)
        return answer

    server.table[f"PUT {ONE}"] = [commit]
    assert ["HEAD", "POST", "PUT", "HEAD"] == copy(server, source)


def test_blob_that_is_only_accepted_is_awaited(server: RegistryServer, source: RegistryServer) -> None:
    """202: a manifest that names it would be refused."""

    def accept(request: Request) -> Reply:
        server.from_contents(request)
        return Reply(202)

    server.table[f"PUT {ONE}"] = [accept]
    digest = source.hold_blob("app", BLOB)
    absent = refusal(404, "BLOB_UNKNOWN")
    server.table[f"HEAD /v2/app/blobs/{digest}"] = [absent, absent, absent, server.from_contents]
    assert ["HEAD", "POST", "PUT", "HEAD", "HEAD", "HEAD"] == copy(server, source)


@pytest.mark.parametrize("in_chunks", [False, True])
def test_commit_may_take_long(
    server: RegistryServer, source: RegistryServer, monkeypatch: pytest.MonkeyPatch, in_chunks: bool
) -> None:
    """Longer than any other answer may, and than a blob may stand still."""
    for name in ("PROGRESS_SECONDS", "REQUEST_SECONDS"):
        monkeypatch.setattr(limits, name, 0.3)
    if in_chunks:
        limit(server, 413, 0, "PUT")

    def commit(request: Request) -> Reply:
        if in_chunks and request.body:
            return refusal(413)
        threading.Event().wait(0.8)
        return server.from_contents(request)

    server.table[f"PUT {ONE}"] = [commit]
    assert (2 if in_chunks else 1) == copy(server, source).count("PUT")


@pytest.mark.parametrize(
    ("way", "size", "status", "code", "other"),
    [
        (Way(), 5000, 413, "", Way(2000)),
        (Way(), 501, 400, "", Way(2000)),
        (Way(), 500, 413, "", None),
        (Way(), 5000, 400, "DIGEST_INVALID", None),
        (Way(), 5000, 403, "DENIED", None),
        (Way(), 5000, 500, "", None),
        (Way(2000), 5000, 413, "", Way(1000)),
        (Way(2000), 900, 413, "", Way(500)),
        (Way(2000), 5000, 400, "", None),
        (Way(500), 5000, 413, "", None),
    ],
)
def test_which_refusals_ask_for_another_way(way: Way, size: int, status: int, code: str, other: Way | None) -> None:
    """Those of the size or the kind of request; what is wrong with the blob or the user stays so."""
    assert other == way.other(RegistryError("PUT r/app", status, code), size, 0)
