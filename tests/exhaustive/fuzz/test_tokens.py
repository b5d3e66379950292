"""Answers of token servers, of any bytes: a token that a header can hold, or an error of ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.exhaustive.fuzz.hostile_registry import BODIES, SECRETS, answers, bounded, echoed, outcome, server
from tests.exhaustive.fuzz.limits import fuzz

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.raw_server import RawServer

__all__ = ["bounded", "server"]
# An HTTP library may keep the socket of an answer that it could not read until garbage is collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@fuzz
@given(body=BODIES, status=st.sampled_from([200, 200, 200, 201, 307, 400, 503]), again=answers())
def test_any_token_is_used_or_refused(
    server: RawServer, docker_config: Path, body: bytes, status: int, again: bytes
) -> None:
    """What the token server says is put into a header of the next request, or is an error."""
    docker_config.write_text(json.dumps({"auths": {server.host: {"auth": SECRETS[1]}}}))
    challenge = f'Bearer realm="http://{server.host}/token"'.encode()

    def script(head: bytes) -> list[bytes]:
        if head.startswith(b"GET /token"):
            return [b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)), body]
        if b"authorization:" in head.lower():
            return [echoed(again, head)]
        return [b"HTTP/1.1 401 X\r\nWWW-Authenticate: " + challenge + b"\r\nContent-Length: 0\r\n\r\n"]

    server.script = script
    registry = Registry(server.host, Policy(attempts=1), lambda _: None)
    outcome(lambda: registry.manifest("app", "latest"))
