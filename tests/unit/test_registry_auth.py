"""The registry client's authorisation: every flow, with the credentials that ``docker login`` stored, and none told."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from multiarch.errors import ConfigurationError, MultiarchError, RegistryError
from multiarch.image.manifest import OCI_MANIFEST, Manifest
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.unit.registry_server import RESET, RegistryServer, Reply, json_reply, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry_server import Request

USER, PASSWORD, IDENTITY, TOKEN = "somebody", "pass-w0rd:x", "identity-s3cret", "token-s3cret"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
MANIFEST = Manifest(OCI_MANIFEST, b"{}")
FOUND = Reply(200, MANIFEST.body, {"Content-Type": OCI_MANIFEST})
READ, WRITE = "GET /v2/app/manifests/latest", "PUT /v2/app/manifests/latest"
pytestmark = pytest.mark.usefixtures("docker_config")


def client(server: RegistryServer, shown: list[str] | None = None, policy: Policy | None = None) -> Registry:
    """Return a client with little patience; *shown* takes the lines of its retries."""
    waits = policy or Policy(seconds=5.0, attempts=4, first=0.001, longest=0.01)
    return Registry(server.host, waits, ([] if shown is None else shown).append)


def guard(server: RegistryServer, authorization: str, challenge: str) -> None:
    """Let the manifest be read and written only with *authorization*."""

    def react(request: Request) -> Reply:
        if request.headers.get("authorization") == authorization:
            return FOUND if request.verb == "GET" else Reply(201)
        return refusal(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=challenge)

    server.table[READ] = server.table[WRITE] = [react]


def bearer(server: RegistryServer, scope: str = "repository:app:pull") -> str:
    """Return the challenge of a registry whose tokens come from its own /token."""
    return f'Bearer realm="http://{server.host}/token",service="the service",scope="{scope}"'


def log_in(config: Path, server: RegistryServer) -> None:
    """Store a user and a password, as docker login does without a helper."""
    config.write_text(json.dumps({"auths": {server.host: {"auth": BASIC}}}))


def helper(config: Path, server: RegistryServer, monkeypatch: pytest.MonkeyPatch, answer: str, key: str) -> None:
    """Put a credential helper on PATH that prints *answer* for this server, and fails for any other."""
    directory = config.parent / "bin"
    directory.mkdir()
    program = directory / "docker-credential-tested"
    program.write_text(
        f"#!/bin/sh\nread -r asked\n"
        f"[ \"$1 $asked\" = 'get {server.host}' ] || {{ echo 'credentials not found'; exit 1; }}\n"
        f"{answer}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/bin:/usr/bin")
    config.write_text(json.dumps({"credHelpers": {server.host: "tested"}} if key == "credHelpers" else {key: "tested"}))


# The flows.


def test_anonymous(server: RegistryServer) -> None:
    """Who is not asked says nothing."""
    server.table[READ] = [FOUND]
    assert MANIFEST == client(server).manifest("app", "latest")
    assert [None] == [request.headers.get("authorization") for request in server.requests]


def test_basic(server: RegistryServer, docker_config: Path) -> None:
    """User and password of docker login are sent once they are asked for, and from then on."""
    log_in(docker_config, server)
    guard(server, f"Basic {BASIC}", 'Basic realm="the registry"')
    registry = client(server)
    assert [MANIFEST, MANIFEST] == [registry.manifest("app", "latest") for _ in range(2)]
    assert [None, f"Basic {BASIC}", f"Basic {BASIC}"] == [r.headers.get("authorization") for r in server.requests]


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_bearer_without_a_login(server: RegistryServer, key: str) -> None:
    """A public repository's token is asked for without a user, under either name that it goes by."""
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [json_reply({key: TOKEN})]
    assert MANIFEST == client(server).manifest("app", "latest")
    assert [READ, "GET /token", READ] == server.asked
    token = server.requests[1]
    assert {"service": "the service", "scope": "repository:app:pull"} == token.query
    assert "authorization" not in token.headers


def test_bearer_with_a_login(server: RegistryServer, docker_config: Path) -> None:
    """The login goes to the token server alone; one token serves all reads of the repository."""
    log_in(docker_config, server)
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    registry = client(server)
    assert [MANIFEST, MANIFEST] == [registry.manifest("app", "latest") for _ in range(2)]
    assert [None, f"Basic {BASIC}", f"Bearer {TOKEN}", f"Bearer {TOKEN}"] == [
        request.headers.get("authorization") for request in server.requests
    ]


def test_bearer_with_an_identity_token(server: RegistryServer, docker_config: Path) -> None:
    """An identity token is exchanged by the refresh grant, in a form and not in the address."""
    docker_config.write_text(json.dumps({"auths": {server.host: {"auth": "", "identitytoken": IDENTITY}}}))
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["POST /token"] = [json_reply({"access_token": TOKEN})]
    assert MANIFEST == client(server).manifest("app", "latest")
    token = server.requests[1]
    assert ("POST", {}, None) == (token.verb, token.query, token.headers.get("authorization"))
    assert {
        "grant_type": "refresh_token",
        "refresh_token": IDENTITY,
        "service": "the service",
        "scope": "repository:app:pull",
        "client_id": "multiarch",
    } == token.form


def test_the_scope_of_the_challenge_is_asked_for(server: RegistryServer) -> None:
    """The registry knows best what a request needs: one behind a proxy may call the repository something else."""
    guard(server, f"Bearer {TOKEN}", bearer(server, "repository:mirror/app:pull"))
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    client(server).manifest("app", "latest")
    assert ["repository:mirror/app:pull"] == [request.query["scope"] for request in server.requests if request.query]


def test_the_next_repository_has_a_token_of_its_own(server: RegistryServer) -> None:
    """What one repository's challenge named does not leak into the token of another."""
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /v2/other/manifests/latest"] = server.table[READ]
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    registry = client(server)
    assert [MANIFEST, MANIFEST] == [registry.manifest(name, "latest") for name in ("app", "other")]
    assert ["repository:app:pull", "repository:other:pull"] == [r.query["scope"] for r in server.requests if r.query]


def test_writing_asks_for_more_than_reading(server: RegistryServer) -> None:
    """Where the registry names no scope, the token is asked for what the request needs."""
    challenge = f'Bearer realm="http://{server.host}/token"'
    guard(server, f"Bearer {TOKEN}", challenge)
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    registry = client(server)
    registry.manifest("app", "latest")
    registry.put_manifest("app", "latest", MANIFEST)
    assert ["repository:app:pull", "repository:app:pull,push"] == [r.query["scope"] for r in server.requests if r.query]


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_credential_helper(
    server: RegistryServer, docker_config: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """User and password come from the helper that the Docker configuration names."""
    answer = json.dumps({"ServerURL": server.host, "Username": USER, "Secret": PASSWORD})
    helper(docker_config, server, monkeypatch, f"echo '{answer}'", key)
    guard(server, f"Basic {BASIC}", 'Basic realm="the registry"')
    assert MANIFEST == client(server).manifest("app", "latest")


def test_a_credential_helper_with_an_identity_token(
    server: RegistryServer, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helper marks an identity token by the user `<token>`."""
    answer = json.dumps({"ServerURL": server.host, "Username": "<token>", "Secret": IDENTITY})
    helper(docker_config, server, monkeypatch, f"echo '{answer}'", "credHelpers")
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["POST /token"] = [json_reply({"access_token": TOKEN})]
    assert MANIFEST == client(server).manifest("app", "latest")
    assert IDENTITY == server.requests[1].form["refresh_token"]


def test_a_helper_that_knows_no_login_is_no_error(
    server: RegistryServer, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without credentials in the store the token is asked for anonymously."""
    helper(docker_config, server, monkeypatch, "echo 'credentials not found in native keychain'; exit 1", "credsStore")
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    assert MANIFEST == client(server).manifest("app", "latest")


@pytest.mark.parametrize("answer", [None, "echo 'the keychain is locked'; exit 1"])
def test_a_helper_that_fails_is_named(
    server: RegistryServer, docker_config: Path, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    """A helper that is not there, or fails, is one line that says which registry it was needed for."""
    if answer is None:
        docker_config.write_text(json.dumps({"credHelpers": {server.host: "absent"}}))
    else:
        helper(docker_config, server, monkeypatch, answer, "credHelpers")
    guard(server, f"Basic {BASIC}", 'Basic realm="the registry"')
    with pytest.raises(ConfigurationError, match=f"the credential helper for {server.host} failed") as caught:
        client(server).manifest("app", "latest")
    assert 1 == len(str(caught.value).splitlines())
    assert [READ] == server.asked


# Refusals.


def test_an_expired_token_is_renewed_once(server: RegistryServer) -> None:
    """A token that served before and is refused now is replaced, without a retry."""
    shown: list[str] = []
    guard(server, "Bearer first", bearer(server))
    server.table["GET /token"] = [json_reply({"token": "first"}), json_reply({"token": "second"})]
    registry = client(server, shown)
    registry.manifest("app", "latest")
    guard(server, "Bearer second", bearer(server))
    assert MANIFEST == registry.manifest("app", "latest")
    assert ([READ, "GET /token", READ] * 2, []) == (server.asked, shown)


@pytest.mark.parametrize(
    ("challenge", "asked"), [("Bearer", [READ, "GET /token", READ]), ("Basic", [READ, READ]), ("", [READ, READ])]
)
def test_a_refusal_takes_one_try_and_one_token(
    server: RegistryServer, docker_config: Path, challenge: str, asked: list[str]
) -> None:
    """401 after what the registry asked for was sent is the answer, and says how to log in."""
    log_in(docker_config, server)
    shown: list[str] = []
    header = bearer(server) if challenge == "Bearer" else f'{challenge} realm="the registry"' if challenge else ""
    server.table[READ] = [refusal(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=header)]
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    with pytest.raises(RegistryError) as caught:
        client(server, shown).manifest("app", "latest")
    assert (
        f"GET {server.host}/app/manifests/latest: the registry answered 401 UNAUTHORIZED: authentication required;"
        f" log in with: docker login {server.host}"
    ) == str(caught.value)
    assert (asked, []) == (server.asked, shown)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refused_token_takes_one_try(server: RegistryServer, status: int) -> None:
    """What the token server refuses is not asked for again."""
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [json_reply({"details": "incorrect username or password"}, status)]
    with pytest.raises(RegistryError, match=f"^token for {server.host}: the registry answered {status} "):
        client(server).manifest("app", "latest")
    assert [READ, "GET /token"] == server.asked


@pytest.mark.parametrize("answer", [Reply(200, b"<html>a captive portal</html>"), json_reply([]), json_reply({})])
def test_an_answer_that_is_no_token_is_one_line(server: RegistryServer, answer: Reply) -> None:
    """A token server that answers with something else is an error for the user, not a fault of the program."""
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [answer]
    with pytest.raises(MultiarchError) as caught:
        client(server).manifest("app", "latest")
    assert 1 == len(str(caught.value).splitlines())


# Faults that pass.


@pytest.mark.parametrize("fault", [*(refusal(code) for code in (429, 500, 502, 503, 504)), RESET])
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_a_token_server_that_stumbles_is_outlasted(
    server: RegistryServer, docker_config: Path, fault: Reply, verb: str
) -> None:
    """The token request is retried like any other, by either grant, and each retry is shown."""
    login = {"identitytoken": IDENTITY, "auth": ""} if verb == "POST" else {"auth": BASIC}
    docker_config.write_text(json.dumps({"auths": {server.host: login}}))
    shown: list[str] = []
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table[f"{verb} /token"] = [fault, fault, json_reply({"token": TOKEN})]
    assert MANIFEST == client(server, shown).manifest("app", "latest")
    assert [READ, *[f"{verb} /token"] * 3, READ] == server.asked
    assert [True, True] == [f"failed, next in 0.0 s: token for {server.host}: " in line for line in shown]


def test_a_token_server_that_stays_down_is_given_up_within_the_attempts(server: RegistryServer) -> None:
    """The attempts of the policy bound the token request; they are not multiplied by those around it."""
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [refusal(503)]
    with pytest.raises(RegistryError, match="503"):
        client(server, policy=Policy(seconds=5.0, attempts=3, first=0.001, longest=0.002)).manifest("app", "latest")
    assert 3 == server.asked.count("GET /token")


def test_a_token_server_that_stays_down_is_given_up_in_time_by_all(server: RegistryServer) -> None:
    """Several requests at once wait for a token together, not one after the other."""
    guard(server, f"Bearer {TOKEN}", bearer(server))

    def slow(_: Request) -> Reply:
        time.sleep(0.05)
        return refusal(503)

    server.table["GET /token"] = [slow]
    registry = client(server, policy=Policy(seconds=0.1, attempts=1000, first=0.01, longest=0.01))
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(registry.manifest, "app", "latest") for _ in range(8)]
        failed = [future.exception() for future in asked]
    assert [RegistryError] * 8 == [type(error) for error in failed]
    assert time.monotonic() - began < 0.38  # one after the other, even one request of each takes longer


def test_one_token_serves_all_threads(server: RegistryServer) -> None:
    """Requests that are refused at the same time fetch one token between them."""
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    registry = client(server)
    together = threading.Barrier(8)

    def read() -> Manifest | None:
        together.wait(5)
        return registry.manifest("app", "latest")

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(read) for _ in range(8)]
    assert [MANIFEST] * 8 == [future.result() for future in futures]
    assert 1 == server.asked.count("GET /token")


# Secrets.


def test_a_redirect_elsewhere_is_followed_without_the_token(server: RegistryServer) -> None:
    """Blobs often lie with another host, which must not see the registry's token."""
    elsewhere = RegistryServer().start()
    try:
        digest = elsewhere.hold_blob("app", b"config")
        path = f"/v2/app/blobs/{digest}"

        def react(request: Request) -> Reply:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return refusal(401, WWW_Authenticate=bearer(server))
            return Reply(307, headers={"Location": f"http://{elsewhere.host}{path}"})

        server.table[f"GET {path}"] = [react]
        server.table["GET /token"] = [json_reply({"token": TOKEN})]
        assert b"config" == client(server).blob("app", digest)
        assert [None] == [request.headers.get("authorization") for request in elsewhere.requests]
    finally:
        elsewhere.stop()


def test_whom_a_redirect_leads_to_gets_no_credentials(server: RegistryServer, docker_config: Path) -> None:
    """A host that a registry sends us on to may not ask for the login, nor name who should be asked."""
    log_in(docker_config, server)
    elsewhere = RegistryServer().start()
    try:
        elsewhere.table[READ] = [refusal(401, WWW_Authenticate=bearer(elsewhere))]
        elsewhere.table["GET /token"] = [json_reply({"token": TOKEN})]
        server.table[READ] = [Reply(307, headers={"Location": f"http://{elsewhere.host}/v2/app/manifests/latest"})]
        with pytest.raises(RegistryError, match="answered 401"):
            client(server).manifest("app", "latest")
        assert ([READ], [None]) == (
            elsewhere.asked,
            [request.headers.get("authorization") for request in elsewhere.requests],
        )
    finally:
        elsewhere.stop()


def test_a_password_of_any_letters(server: RegistryServer, docker_config: Path) -> None:
    """Sent as UTF-8, as Docker does, to the token server too."""
    encoded = base64.b64encode("jérôme:pässwörd€".encode()).decode()
    docker_config.write_text(json.dumps({"auths": {server.host: {"auth": encoded}}}))
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    client(server).manifest("app", "latest")
    assert f"Basic {encoded}" == server.requests[1].headers["authorization"]


def test_a_helper_that_prints_something_else_is_named(
    server: RegistryServer, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no JSON is no login: one line."""
    helper(docker_config, server, monkeypatch, "echo hello", "credHelpers")
    guard(server, f"Basic {BASIC}", 'Basic realm="the registry"')
    with pytest.raises(ConfigurationError, match=f"the credential helper for {server.host} failed"):
        client(server).manifest("app", "latest")


@pytest.mark.parametrize("grant", ["basic", "password", "identity", "helper"])
@pytest.mark.parametrize("end", ["refused", "down", "reset"])
def test_secrets_are_never_told(
    server: RegistryServer,
    docker_config: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    grant: str,
    end: str,
) -> None:
    """Neither errors, with their whole tracebacks, nor retry lines, nor any library's log at DEBUG hold a secret."""
    caplog.set_level(logging.DEBUG)
    if grant == "identity":
        docker_config.write_text(json.dumps({"auths": {server.host: {"auth": "", "identitytoken": IDENTITY}}}))
    elif grant == "helper":
        answer = json.dumps({"ServerURL": server.host, "Username": USER, "Secret": PASSWORD})
        helper(docker_config, server, monkeypatch, f"echo '{answer}'", "credsStore")
    else:
        log_in(docker_config, server)
    challenge = 'Basic realm="the registry"' if grant == "basic" else bearer(server)
    fault = {"refused": refusal(403), "down": refusal(503), "reset": RESET}[end]
    unauthorised = refusal(401, WWW_Authenticate=challenge)
    token = json_reply({"token": TOKEN})
    # The token server stumbles as well, after the secrets have come to it.
    server.table["GET /token"] = server.table["POST /token"] = [fault if end != "refused" else token, token]
    server.table[WRITE] = [unauthorised, fault]
    shown: list[str] = []
    with pytest.raises(MultiarchError) as caught:
        client(server, shown).put_manifest("app", "latest", MANIFEST)
    sent = [f"{request.headers} {request.body!r}" for request in server.requests]
    told = "\n".join([*traceback.format_exception(caught.value), *shown, caplog.text])
    secrets = [PASSWORD, BASIC, IDENTITY, TOKEN]
    assert any(secret in text for secret in secrets for text in sent), "no secret was ever sent: this shows nothing"
    assert "/v2/app/manifests/latest" in caplog.text, "nothing was logged: this shows nothing"
    assert [] == [secret for secret in secrets if secret in told]
