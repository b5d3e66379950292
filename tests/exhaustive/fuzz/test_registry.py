"""Answers of registries, of any bytes: a result or an error of ours, and no secret in it."""

from __future__ import annotations

import json
import re
import time
import tracemalloc
import unicodedata
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiarch.image.manifest import Descriptor, Manifest, digest_of
from multiarch.registry.challenge import parse_challenge
from multiarch.registry.client import Registry
from multiarch.registry.destinations import Destinations
from multiarch.retry import Policy
from tests.exhaustive.fuzz.hostile_registry import DEEP, SECRETS, answers, bounded, echoed, outcome, server
from tests.exhaustive.fuzz.limits import fuzz

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.raw_server import RawServer

__all__ = ["bounded", "server"]
# An HTTP library may keep the socket of an answer that it could not read until garbage is collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def open_blob(registry: Registry) -> bytes:
    """Read a blob as a layer is read."""
    with registry.open_blob("app", Descriptor("x", digest_of(b"{}"), 2)) as blob:
        return blob.read()


OPERATIONS: dict[str, Callable[[Registry], object]] = {
    "manifest": lambda registry: registry.manifest("app", "latest"),
    "has manifest": lambda registry: registry.has_manifest("app", digest_of(b"{}")),
    "put manifest": lambda registry: registry.put_manifest("app", "latest", Manifest("x", b"{}")),
    "remove tag": lambda registry: registry.remove_tag("app", "latest"),
    "blob": lambda registry: registry.blob("app", digest_of(b"{}"), 2),
    "open blob": open_blob,
    "copy blob": lambda registry: registry.copy_blob(registry, "other", "app", Descriptor("x", digest_of(b"{}"), 2)),
    "check push": lambda registry: registry.check_push("app"),
}


def _always(reply: bytes, _: bytes) -> list[bytes]:
    return [reply]


@fuzz
@given(
    operation=st.sampled_from(sorted(OPERATIONS)), replies=st.lists(answers(), min_size=1, max_size=4), at=st.booleans()
)
def test_any_answer_is_a_result_or_an_error(
    server: RawServer, docker_config: Path, operation: str, replies: list[bytes], at: bool
) -> None:
    """Each request of an operation gets one of these; a challenge before them sends the secrets first."""
    docker_config.write_text(json.dumps({"auths": {server.host: {"auth": SECRETS[1]}}}))
    queue = [
        *([b'HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'] if at else []),
        *replies,
    ]
    queue = [reply.replace(b"HOST", server.host.encode()) for reply in queue]
    server.script = lambda head: [
        echoed(queue.pop(0), head) if queue else b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"
    ]
    registry = Registry(server.host, Policy(attempts=1), lambda _: None)
    outcome(lambda: OPERATIONS[operation](registry))


@fuzz
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(["Basic", "Bearer", " ", ",", "=", '"', "\\", "realm", 'realm="x"', "\t", "é", "\x00"]),
            max_size=60,
        ).map("".join),
    ).map(lambda text: text * 100)
)
def test_any_challenge_is_read(header: str) -> None:
    """Names and values are texts, whatever the header holds."""
    began = time.monotonic()
    schemes = parse_challenge(header)
    assert time.monotonic() - began < 10
    assert all(name == name.lower() and isinstance(values, dict) for name, values in schemes.items())


@fuzz
@given(
    st.one_of(
        st.text(max_size=30),
        st.lists(
            st.sampled_from(
                [
                    "http://",
                    "https://",
                    "//",
                    "/",
                    "\\",
                    "@",
                    ":",
                    "?",
                    "#",
                    "[",
                    "]",
                    "127.0.0.1",
                    "localhost",
                    "8.8.8.8",
                    ".",
                    "%",
                    "a",
                    "é",
                    "80",
                ]
            ),
            max_size=10,
        ).map("".join),
    )
)
def test_any_location_is_followed_by_the_policy_or_refused(location: str) -> None:
    """What is followed has TLS, no user, and is not on this machine."""
    destinations = Destinations("registry.example.com", insecure=False)
    base = "https://registry.example.com/v2/"
    targets: list[str] = []
    outcome(lambda: targets.append(destinations.follow("GET x", base, location)))
    outcome(lambda: destinations.check_realm("token", base, location))
    for target in targets:
        assert target.startswith("https://")
        place = target.split("/")[2]
        assert "@" not in place
        assert not re.fullmatch(
            r"(127(\.\d+)*|localhost|\[::1\])\.?(:\d*)?", unicodedata.normalize("NFKC", place).lower()
        )


def test_memory_of_a_case_is_bounded(server: RawServer) -> None:
    """The deepest nesting and the longest number are no exception."""
    tracemalloc.start()
    try:
        for body in (DEEP, b'{"token": ' * 10_000, b"9" * 60_000):
            reply = b"HTTP/1.1 400 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            server.script = partial(_always, reply)
            outcome(lambda: Registry(server.host, Policy(attempts=1), lambda _: None).manifest("app", "latest"))
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
