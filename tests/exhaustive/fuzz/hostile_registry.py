"""Pieces of hostile answers, a server that gives them, and what may come of them."""

from __future__ import annotations

import base64
import json
import re
import resource
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from multiarch.errors import MultiarchError
from tests.unit.raw_server import RawServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST = 20.0  # seconds of one case
MOST_MEMORY = 300 << 20  # bytes of all cases
SECRETS = ("pass-w0rd:x", base64.b64encode(b"somebody:pass-w0rd:x").decode(), "t0ken-of-the-server")

# Pieces of answers.

STATUSES = st.one_of(
    st.sampled_from([b"200 OK", b"401 Unauthorized", b"404 Not Found", b"307 X", b"302 X", b"503 X", b"429 X"]),
    st.sampled_from(
        [b"0 X", b"999 X", b"1000 X", b"101 X", b"102 X", b"204 X", b"206 X", b"304 X", b"-1 X", b"x", b""]
    ),
    st.binary(max_size=8),
)
VALUES = st.one_of(
    st.binary(max_size=12), st.sampled_from([b"0", b"-1", b"9" * 5000, b"1e9", b"\xff\xfe", b"\x00", b" "])
)
DEEP = b"[" * 60_000
HEADERS = st.one_of(
    st.tuples(
        st.sampled_from([b"Content-Length", b"Transfer-Encoding", b"Content-Encoding", b"Content-Type", b"Set-Cookie"]),
        st.one_of(
            VALUES, st.sampled_from([b"chunked", b"gzip", b"application/json; charset=lies", b"utf-7", b"identity"])
        ),
    ),
    st.tuples(
        st.just(b"Location"),
        st.one_of(
            VALUES,
            st.sampled_from(
                [b"http://[", b"//", b"http://a..b/", b"http://" + b"a" * 70 + b".b/", b"/v2/x", b"http://x:y/"]
            ),
            st.sampled_from(
                [b"http://169.254.169.254/", b"ftp://x", b"\xe2\x82\xac", b"?", b"#", b"http://u:p@127.0.0.1/"]
            ),
        ),
    ),
    st.tuples(
        st.just(b"WWW-Authenticate"),
        st.one_of(
            VALUES,
            st.sampled_from(
                [b"Basic", b'Basic realm="x"', b'Bearer realm="/token"', b'Bearer realm="http://["', b"Bearer"]
            ),
            st.just(b'Bearer realm="http://HOST/token",scope="\xff",service="\xc3\xa9"'),
        ),
    ),
    st.tuples(st.sampled_from([b"Retry-After", b"Docker-Content-Digest", b"Content-Range", b"Connection"]), VALUES),
    st.tuples(st.binary(max_size=6), VALUES),
)
JSONS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
OBJECTS = st.dictionaries(
    st.sampled_from(["token", "access_token", "expires_in", "errors", "code", "message", "config", "layers", "digest"]),
    st.one_of(JSONS, st.lists(st.dictionaries(st.sampled_from(["code", "message"]), JSONS), max_size=2)),
).map(lambda value: json.dumps(value).encode())
BODIES = st.one_of(
    st.binary(max_size=40),
    OBJECTS,
    st.sampled_from(
        [DEEP, b'{"token": "' + SECRETS[2].encode() + b'"}', b'{"token": "a\\nb"}', b'{"token": "\\ud800"}']
    ),
    st.sampled_from(
        [
            b'{"expires_in": 1e999, "token": "x"}',
            b"9" * 6000,
            b"5\r\nhello\r\n0\r\n\r\n",
            b"ffffffffffff\r\n",
            b"\xef\xbb\xbf{}",
        ]
    ),
    st.just(b'{"errors": [{"code": "ECHO", "message": "you sent ECHO"}]}'.ljust(200)),
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Return the bytes of an answer, most of which look like one."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60))
    body = draw(BODIES)
    headers = draw(st.lists(HEADERS, max_size=4))
    if draw(st.booleans()):
        headers.append((b"Content-Length", str(len(body)).encode()))
    lines = [b"HTTP/1.1 " + draw(STATUSES), *(name + b": " + value for name, value in headers)]
    return b"\r\n".join([*lines, b"", body])


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    """A server whose answers each case sets."""
    server = RawServer(lambda _: [])
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Measure the memory of all cases of a test."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MOST_MEMORY


def echoed(reply: bytes, head: bytes) -> bytes:
    """Return an answer that says what was sent as the Authorization of a request, as some servers do."""
    sent = re.search(rb"(?i)authorization: (?:Basic|Bearer) ([^\r]*)", head)
    text = sent[1] if sent else b"nothing"
    # The length may be wrong then, as it may be in any other answer.
    return reply.replace(b"ECHO", text)


def outcome(function: Callable[[], object]) -> None:
    """Check that a function ends soon, in a result or in an error of ours of one line without secrets."""
    began = time.monotonic()
    try:
        function()
    except MultiarchError as error:
        text = str(error)
        assert 1 == len(text.splitlines()), text
        assert [] == [secret for secret in SECRETS if secret in text], text
        assert len(text) < 4000, text
    assert time.monotonic() - began < LONGEST
