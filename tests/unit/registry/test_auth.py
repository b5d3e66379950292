"""Authorisation at a registry: every flow, the refusals, and a token server that stumbles."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from multiarch.errors import ConfigurationError, MultiarchError, RegistryError
from multiarch.retry import Policy
from tests.unit.registry_auth import (
    BASIC,
    IDENTITY,
    MANIFEST,
    PASSWORD,
    READ,
    REPLY,
    TOKEN,
    USER,
    authorizations,
    bearer,
    client,
    guard,
    log_in,
    log_in_by_helper,
    log_in_by_identity,
)
from tests.unit.registry_server import RESET, RegistryServer, Reply, json_reply, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.image.manifest import Manifest
    from tests.unit.registry_server import Request

pytestmark = pytest.mark.usefixtures("docker_config")


# The flows.


def test_registry_that_asks_for_nothing_gets_nothing(server: RegistryServer, docker_config: Path) -> None:
    """A public repository is read without a user, even where one has logged in."""
    log_in(docker_config, server)
    server.table[READ] = [REPLY]
    assert MANIFEST == client(server).manifest("app", "latest")
    assert [None] == authorizations(server)


def test_basic_sends_the_login_after_the_first_challenge(server: RegistryServer, docker_config: Path) -> None:
    """User and password are sent once they are asked for, and from then on without a refusal before."""
    log_in(docker_config, server)
    guard(server, f"Basic {BASIC}", 'Basic realm="the registry"')
    registry = client(server)
    assert [MANIFEST, MANIFEST] == [registry.manifest("app", "latest") for _ in range(2)]
    assert [None, f"Basic {BASIC}", f"Basic {BASIC}"] == authorizations(server)


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_bearer_asks_for_a_public_token_without_a_login(server: RegistryServer, key: str) -> None:
    """The token of a public repository is asked for without a user, and read under either of its names."""
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [json_reply({key: TOKEN})]
    assert MANIFEST == client(server).manifest("app", "latest")
    assert [READ, "GET /token", READ] == server.asked
    token = server.requests[1]
    assert {"service": "the service", "scope": "repository:app:pull"} == token.query
    assert "authorization" not in token.headers


def test_bearer_sends_the_login_to_the_token_server_alone(server: RegistryServer, docker_config: Path) -> None:
    """The registry sees only the token, and one token serves all reads of the repository."""
    log_in(docker_config, server)
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    registry = client(server)
    assert [MANIFEST, MANIFEST] == [registry.manifest("app", "latest") for _ in range(2)]
    assert [None, f"Basic {BASIC}", f"Bearer {TOKEN}", f"Bearer {TOKEN}"] == authorizations(server)


def test_identity_token_is_exchanged_by_the_refresh_grant(server: RegistryServer, docker_config: Path) -> None:
    """It is sent in a form and not in the address, which proxies log."""
    log_in_by_identity(docker_config, server)
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


def test_scope_of_the_challenge_is_asked_for(server: RegistryServer) -> None:
    """The registry knows best what a request needs: behind a proxy it may call the repository something else."""
    guard(server, f"Bearer {TOKEN}", bearer(server, "repository:mirror/app:pull"))
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    client(server).manifest("app", "latest")
    assert ["repository:mirror/app:pull"] == [request.query["scope"] for request in server.requests if request.query]


def test_next_repository_gets_a_token_of_its_own(server: RegistryServer) -> None:
    """The scope that one repository's challenge named must not leak into the token of another."""
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /v2/other/manifests/latest"] = server.table[READ]
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    registry = client(server)
    assert [MANIFEST, MANIFEST] == [registry.manifest(name, "latest") for name in ("app", "other")]
    assert ["repository:app:pull", "repository:other:pull"] == [r.query["scope"] for r in server.requests if r.query]


def test_writing_asks_for_a_wider_scope_than_reading(server: RegistryServer) -> None:
    """Where the registry names no scope, the token is asked for what the request needs."""
    challenge = f'Bearer realm="http://{server.host}/token"'
    guard(server, f"Bearer {TOKEN}", challenge)
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    registry = client(server)
    registry.manifest("app", "latest")
    registry.put_manifest("app", "latest", MANIFEST)
    assert ["repository:app:pull", "repository:app:pull,push"] == [r.query["scope"] for r in server.requests if r.query]


def test_password_of_any_letters_is_sent_as_utf_8(server: RegistryServer, docker_config: Path) -> None:
    """As Docker sends it, to the token server too; requests alone would write latin-1, and fail at the euro sign."""
    encoded = base64.b64encode("jérôme:pässwörd€".encode()).decode()
    docker_config.write_text(json.dumps({"auths": {server.host: {"auth": encoded}}}))
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    client(server).manifest("app", "latest")
    assert f"Basic {encoded}" == server.requests[1].headers["authorization"]


# Credential helpers.


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_helper_is_asked_for_the_login(
    server: RegistryServer, docker_config: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """User and password come from the helper that Docker's configuration names, for one registry or for all."""
    answer = json.dumps({"ServerURL": server.host, "Username": USER, "Secret": PASSWORD})
    log_in_by_helper(docker_config, server, monkeypatch, f"echo '{answer}'", key)
    guard(server, f"Basic {BASIC}", 'Basic realm="the registry"')
    assert MANIFEST == client(server).manifest("app", "latest")


def test_helper_marks_an_identity_token_by_its_user(
    server: RegistryServer, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user `<token>` means that the secret is an identity token, which goes by the refresh grant."""
    answer = json.dumps({"ServerURL": server.host, "Username": "<token>", "Secret": IDENTITY})
    log_in_by_helper(docker_config, server, monkeypatch, f"echo '{answer}'", "credHelpers")
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["POST /token"] = [json_reply({"access_token": TOKEN})]
    assert MANIFEST == client(server).manifest("app", "latest")
    assert IDENTITY == server.requests[1].form["refresh_token"]


def test_helper_without_a_login_for_the_registry_is_no_error(
    server: RegistryServer, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public repositories are read anonymously, whatever else the store holds."""
    answer = "echo 'credentials not found in native keychain'; exit 1"
    log_in_by_helper(docker_config, server, monkeypatch, answer, "credsStore")
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    assert MANIFEST == client(server).manifest("app", "latest")


@pytest.mark.parametrize("answer", ["echo 'the keychain is locked'; exit 1", "echo hello"], ids=["fails", "no JSON"])
def test_helper_that_fails_is_named(
    server: RegistryServer, docker_config: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """One line says for which registry it was asked, and the registry is not asked again."""
    log_in_by_helper(docker_config, server, monkeypatch, answer, "credHelpers")
    guard(server, f"Basic {BASIC}", 'Basic realm="the registry"')
    with pytest.raises(ConfigurationError, match=f"the credential helper for {server.host} failed") as caught:
        client(server).manifest("app", "latest")
    assert 1 == len(str(caught.value).splitlines())
    assert [READ] == server.asked


def test_missing_helper_is_named(server: RegistryServer, docker_config: Path) -> None:
    """A configuration that was copied from another machine names helpers that this one does not have."""
    docker_config.write_text(json.dumps({"credHelpers": {server.host: "absent"}}))
    guard(server, f"Basic {BASIC}", 'Basic realm="the registry"')
    with pytest.raises(ConfigurationError, match=f"the credential helper for {server.host} failed") as caught:
        client(server).manifest("app", "latest")
    assert 1 == len(str(caught.value).splitlines())
    assert [READ] == server.asked


# Refusals.


def test_expired_token_is_renewed_without_a_retry(server: RegistryServer) -> None:
    """A token that served before and is refused now has expired: it is replaced at once, and no line is shown."""
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
def test_second_refusal_is_the_answer(
    server: RegistryServer, docker_config: Path, challenge: str, asked: list[str]
) -> None:
    """401 after the registry got what it asked for is final, and the error says how to log in."""
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
def test_refused_token_takes_one_request(server: RegistryServer, status: int) -> None:
    """The token server has looked at the login: asking again may lock the account."""
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [json_reply({"details": "incorrect username or password"}, status)]
    with pytest.raises(RegistryError, match=f"^token for {server.host}: the registry answered {status} "):
        client(server).manifest("app", "latest")
    assert [READ, "GET /token"] == server.asked


@pytest.mark.parametrize("answer", [Reply(200, b"<html>a captive portal</html>"), json_reply([]), json_reply({})])
def test_answer_without_a_token_is_one_line(server: RegistryServer, answer: Reply) -> None:
    """A token server that answers with something else is an error for the user, not a fault of the program."""
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [answer]
    with pytest.raises(MultiarchError) as caught:
        client(server).manifest("app", "latest")
    assert 1 == len(str(caught.value).splitlines())


# Transient faults.


@pytest.mark.parametrize("fault", [*(refusal(code) for code in (429, 500, 502, 503, 504)), RESET])
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_token_request_is_retried(server: RegistryServer, docker_config: Path, fault: Reply, verb: str) -> None:
    """By either grant, like any other request, and each retry is shown."""
    store = log_in_by_identity if verb == "POST" else log_in
    store(docker_config, server)
    shown: list[str] = []
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table[f"{verb} /token"] = [fault, fault, json_reply({"token": TOKEN})]
    assert MANIFEST == client(server, shown).manifest("app", "latest")
    assert [READ, *[f"{verb} /token"] * 3, READ] == server.asked
    assert [True, True] == [f"failed, next in 0.0 s: token for {server.host}: " in line for line in shown]


def test_attempts_bound_the_token_request(server: RegistryServer) -> None:
    """They are not multiplied by those of the request that needs the token."""
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [refusal(503)]
    with pytest.raises(RegistryError, match="503"):
        client(server, policy=Policy(seconds=5.0, attempts=3, first=0.001, longest=0.002)).manifest("app", "latest")
    assert 3 == server.asked.count("GET /token")


def test_threads_wait_for_a_failing_token_server_together(server: RegistryServer) -> None:
    """Several requests at once share its refusals: they give up together, and not one after the other."""
    guard(server, f"Bearer {TOKEN}", bearer(server))

    def slow(_: Request) -> Reply:
        time.sleep(0.05)
        return refusal(503)

    server.table["GET /token"] = [slow]
    registry = client(server, policy=Policy(seconds=0.1, attempts=1000, first=0.01, longest=0.01))
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(registry.manifest, "app", "latest") for _ in range(8)]
        errors = [future.exception() for future in futures]
    assert [RegistryError] * 8 == [type(error) for error in errors]
    assert server.asked.count("GET /token") < 8  # each alone asks at least once


def test_threads_share_one_token(server: RegistryServer) -> None:
    """Requests that are refused at the same time fetch one token between them."""
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    registry = client(server)
    together = Barrier(8)

    def read() -> Manifest | None:
        together.wait(5)
        return registry.manifest("app", "latest")

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(read) for _ in range(8)]
    assert [MANIFEST] * 8 == [future.result() for future in futures]
    assert 1 == server.asked.count("GET /token")
