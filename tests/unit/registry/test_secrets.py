"""Secrets at a registry: other hosts do not get them, and neither errors nor logs hold them."""

from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING

import pytest

from multiarch.errors import MultiarchError, RegistryError
from tests.unit.registry_auth import (
    BASIC,
    IDENTITY,
    MANIFEST,
    PASSWORD,
    READ,
    TOKEN,
    USER,
    WRITE,
    authorizations,
    bearer,
    client,
    log_in,
    log_in_by_helper,
    log_in_by_identity,
)
from tests.unit.registry_server import RESET, RegistryServer, Reply, json_reply, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.registry_server import Request

pytestmark = pytest.mark.usefixtures("docker_config")


@pytest.fixture
def elsewhere() -> Iterator[RegistryServer]:
    """Another host, that the registry redirects to."""
    server = RegistryServer().start()
    yield server
    server.stop()


def test_redirect_is_followed_without_the_token(server: RegistryServer, elsewhere: RegistryServer) -> None:
    """Blobs often lie with another host, which must not see the registry's token."""
    digest = elsewhere.hold_blob("app", b"config")
    path = f"/v2/app/blobs/{digest}"

    def react(request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return refusal(401, WWW_Authenticate=bearer(server))
        return Reply(307, headers={"Location": f"http://{elsewhere.host}{path}"})

    server.table[f"GET {path}"] = [react]
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    assert b"config" == client(server).blob("app", digest)
    assert [None] == authorizations(elsewhere)


def test_host_of_a_redirect_gets_no_credentials(
    server: RegistryServer, elsewhere: RegistryServer, docker_config: Path
) -> None:
    """It may not ask for the login, nor name a token server to send it to."""
    log_in(docker_config, server)
    elsewhere.table[READ] = [refusal(401, WWW_Authenticate=bearer(elsewhere))]
    elsewhere.table["GET /token"] = [json_reply({"token": TOKEN})]
    server.table[READ] = [Reply(307, headers={"Location": f"http://{elsewhere.host}/v2/app/manifests/latest"})]
    with pytest.raises(RegistryError, match="answered 401"):
        client(server).manifest("app", "latest")
    assert ([READ], [None]) == (elsewhere.asked, authorizations(elsewhere))


@pytest.mark.parametrize("grant", ["basic", "password", "identity", "helper"])
@pytest.mark.parametrize("end", ["refused", "down", "reset"])
def test_no_output_holds_a_secret(
    server: RegistryServer,
    docker_config: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    grant: str,
    end: str,
) -> None:
    """The log of a CI is public: errors with their tracebacks, lines of retries, and any library's log at DEBUG."""
    caplog.set_level(logging.DEBUG)
    if grant == "identity":
        log_in_by_identity(docker_config, server)
    elif grant == "helper":
        answer = json.dumps({"ServerURL": server.host, "Username": USER, "Secret": PASSWORD})
        log_in_by_helper(docker_config, server, monkeypatch, f"echo '{answer}'", "credsStore")
    else:
        log_in(docker_config, server)
    challenge = 'Basic realm="the registry"' if grant == "basic" else bearer(server)
    fault = {"refused": refusal(403), "down": refusal(503), "reset": RESET}[end]
    unauthorised = refusal(401, WWW_Authenticate=challenge)
    token = json_reply({"token": TOKEN})
    # The token server stumbles as well, after it has got the secrets.
    server.table["GET /token"] = server.table["POST /token"] = [fault if end != "refused" else token, token]
    server.table[WRITE] = [unauthorised, fault]
    shown: list[str] = []
    with pytest.raises(MultiarchError) as caught:
        client(server, shown).put_manifest("app", "latest", MANIFEST)
    sent = [f"{request.headers} {request.body!r}" for request in server.requests]
    output = "\n".join([*traceback.format_exception(caught.value), *shown, caplog.text])
    secrets = [PASSWORD, BASIC, IDENTITY, TOKEN]
    assert any(secret in text for secret in secrets for text in sent), "no secret was sent: this shows nothing"
    assert "/v2/app/manifests/latest" in caplog.text, "nothing was logged: this shows nothing"
    assert [] == [secret for secret in secrets if secret in output]
