"""Where requests and credentials go: to the registry and its token server, wherever else an answer leads."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.errors import InvalidAnswerError, MultiarchError, RegistryError, RegistryUnreachableError
from multiarch.image.manifest import OCI_MANIFEST, Descriptor
from multiarch.registry.client import Registry
from multiarch.registry.destinations import Destinations, Reach, reach_of
from multiarch.retry import Policy
from tests.unit.certificates import make_certificate, server_context
from tests.unit.registry_auth import (
    BASIC,
    IDENTITY,
    MANIFEST,
    READ,
    REPLY,
    TOKEN,
    authorizations,
    bearer,
    client,
    guard,
    log_in,
    log_in_by_identity,
)
from tests.unit.registry_server import RegistryServer, Reply, json_reply, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("docker_config")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, in an environment without proxies."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def elsewhere() -> Iterator[RegistryServer]:
    """Another server."""
    server = RegistryServer().start()
    yield server
    server.stop()


def remote(server: RegistryServer, docker_config: Path | None = None) -> Registry:
    """Return a client of a registry that is not on loopback by its name, and was declared insecure."""
    host = server.host.replace("127.0.0.1", "0.0.0.0")
    if docker_config:
        docker_config.write_text(json.dumps({"auths": {host: {"auth": BASIC}}}))
    return Registry(host, Policy(attempts=1), print, insecure=True)


def one_line(error: MultiarchError) -> str:
    """Return the text of an error, which has one line."""
    assert 1 == len(str(error).splitlines())
    return str(error)


# The policy.


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("127.0.0.1", Reach.LOOPBACK),
        ("127.8.8.8", Reach.LOOPBACK),
        ("0.0.0.0", Reach.LOOPBACK),
        ("0.1.2.3", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("::", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("::127.0.0.1", Reach.LOOPBACK),
        ("64:ff9b::127.0.0.1", Reach.LOOPBACK),
        ("2002:7f00:1::", Reach.LOOPBACK),
        ("224.0.0.1", Reach.LOOPBACK),
        ("169.254.169.254", Reach.LINK),
        ("fe80::1%eth0", Reach.LINK),
        ("10.0.0.1", Reach.PRIVATE),
        ("172.16.0.1", Reach.PRIVATE),
        ("192.168.0.1", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("fd00::1", Reach.PRIVATE),
        ("::ffff:10.0.0.1", Reach.PRIVATE),
        ("8.8.8.8", Reach.PUBLIC),
        ("2606:4700::1111", Reach.PUBLIC),
    ],
)
def test_reach_of_an_address(address: str, reach: Reach) -> None:
    """Addresses within addresses count as the inner one."""
    assert reach == reach_of(address)


PLACES = {
    "loopback": "http://127.0.0.1:5001/v2/",
    "link": "https://169.254.1.1/v2/",
    "private": "https://10.1.1.1/v2/",
    "public": "https://8.8.8.8/v2/",
    "name": "https://registry.example.com/v2/",
}


@pytest.mark.parametrize(
    ("own", "allowed"),
    [
        ("loopback", {"loopback", "private", "public", "name"}),
        ("link", {"link", "private", "public", "name"}),
        ("private", {"private", "public", "name"}),
        ("public", {"public", "name"}),
        ("name", {"public", "name"}),
    ],
)
def test_registry_leads_to_networks_that_it_is_in(own: str, allowed: set[str]) -> None:
    """A registry on the internet has no business on this machine or in this network."""
    url = PLACES[own]
    destinations = Destinations(url.split("/")[2], insecure=False)
    followed = set()
    for place, target in PLACES.items():
        try:
            destinations.follow("GET x", url, target.replace("http:", "https:") + "other")
        except InvalidAnswerError:
            continue
        followed.add(place)
    assert allowed == followed


@pytest.mark.parametrize(
    "location",
    [
        *("https://127.1/", "https://0x7f.1/", "https://2130706433/", "https://017700000001/", "https://[::1]/"),
        *("https://localhost/", "https://LOCALHOST./", "https://a.localhost:2375/", "https://[::ffff:7f00:1]/"),
        *("http://registry.example.com/v2/x", "http://8.8.8.8/", "//127.0.0.1/", "file:///etc/passwd", "gopher://x/"),
        *("https://user:secret@8.8.8.8/", "https://secret@8.8.8.8/", "https://8.8.8.8:99999/", "https://8.8.8.8:x/"),
        *("https://[8.8.8.8/", "https://a..b/", f"https://{'a' * 64}.b/", "https://a b/"),
        *("https://127.0.0.%31/", "https://10.0.0.%31/", "https://loc%61lhost/", "https://a.loc%61lhost/"),
        *("https://8.8.8.8%2elocalhost/", "https://8.8.8.8%/", "https://8.8.8.8%eth0/"),
        *("https://8.8.8.8\\@127.0.0.1/", "https://8.8.8.8/\r\nX: y", "\x00", "https://8.8.8.8/" + "x" * 9000, ""),
    ],
)
def test_location_that_is_refused(location: str) -> None:
    """In whatever way an address is written, and whatever it is in place of an address."""
    destinations = Destinations("registry.example.com", insecure=False)
    with pytest.raises(InvalidAnswerError) as caught:
        destinations.follow("GET x", "https://registry.example.com/v2/", location)
    assert "secret" not in one_line(caught.value)


@pytest.mark.parametrize(
    ("server", "insecure", "realm"),
    [
        ("registry.example.com", False, "https://auth.example.com/token"),
        ("10.0.0.1:5000", False, "https://10.0.0.2/token"),
        ("127.0.0.1:5000", False, "http://127.0.0.1:5001/token"),
        ("127.0.0.1:5000", False, "http://localhost:5001/token"),
        ("localhost:5000", False, "https://auth.example.com/token"),
        ("10.0.0.1:5000", True, "http://10.0.0.1:5001/token"),
    ],
)
def test_realm_that_is_asked(server: str, insecure: bool, realm: str) -> None:
    """Over TLS, on loopback with its registry, or where the user declared that there is no TLS."""
    Destinations(server, insecure=insecure).check_realm("token", f"http://{server}/v2/", realm)


@pytest.mark.parametrize(
    ("server", "insecure", "realm"),
    [
        ("registry.example.com", False, "http://registry.example.com/token"),
        ("registry.example.com", False, "http://localhost:5001/token"),
        ("registry.example.com", False, "https://localhost:5001/token"),
        ("registry.example.com", False, "https://10.0.0.1/token"),
        ("registry.example.com", False, "/token"),
        ("registry.example.com", False, "https://me:secret@auth.example.com/token"),
        ("10.0.0.1:5000", True, "http://10.0.0.2/token"),
        ("10.0.0.1:5000", True, "http://auth.example.com/token"),
        ("10.0.0.1:5000", True, "http://127.0.0.1/token"),
        ("127.0.0.1:5000", False, "http://auth.example.com/token"),
        ("127.0.0.1:5000", False, "http://10.0.0.1/token"),
    ],
)
def test_realm_that_is_not_asked(server: str, insecure: bool, realm: str) -> None:
    """Neither with a password nor without one."""
    with pytest.raises(InvalidAnswerError) as caught:
        Destinations(server, insecure=insecure).check_realm("token", f"https://{server}/v2/", realm)
    assert "secret" not in one_line(caught.value)


# The wire: tokens.


def test_token_server_that_redirects_is_not_followed(
    server: RegistryServer, elsewhere: RegistryServer, docker_config: Path
) -> None:
    """307 repeats the form, with the identity token in it, wherever it leads."""
    log_in_by_identity(docker_config, server)
    guard(server, f"Bearer {TOKEN}", bearer(server))
    elsewhere.table["POST /token"] = [json_reply({"token": TOKEN})]
    server.table["POST /token"] = [Reply(307, headers={"Location": f"http://{elsewhere.host}/token"})]
    with pytest.raises(RegistryError, match=r"^token for .* answered 307") as caught:
        client(server).manifest("app", "latest")
    assert ([], False) == (elsewhere.requests, IDENTITY in one_line(caught.value))


def test_password_for_loopback_goes_through_no_proxy(
    server: RegistryServer, elsewhere: RegistryServer, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment names a proxy for the internet; what is on this machine stays on it."""
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://{elsewhere.host}")
    log_in(docker_config, server)
    guard(server, f"Bearer {TOKEN}", bearer(server).replace("127.0.0.1", "localhost"))
    server.table["GET /token"] = [json_reply({"token": TOKEN})]
    assert MANIFEST == client(server).manifest("app", "latest")
    assert [] == elsewhere.requests


def test_remote_registry_names_no_token_server_on_this_machine(
    server: RegistryServer, elsewhere: RegistryServer, docker_config: Path
) -> None:
    """Any local process may listen on localhost, and would get the password."""
    for host in (elsewhere.host, elsewhere.host.replace("127.0.0.1", "localhost")):
        challenge = f'Bearer realm="http://{host}/token"'
        server.table[READ] = [refusal(401, WWW_Authenticate=challenge)]
        with pytest.raises(InvalidAnswerError, match="a network that this registry is not in"):
            remote(server, docker_config).manifest("app", "latest")
    assert ([], {None}) == (elsewhere.requests, set(authorizations(server)))


@pytest.mark.parametrize("token", ["a\r\nX-Evil: s3cret", "s3cret\n", "a s3cret", "s3crét", "s3cret\x00", "\ud83d"])
def test_token_that_no_header_can_hold_is_not_shown(server: RegistryServer, token: str) -> None:
    """The HTTP library would print the header in its error."""
    guard(server, f"Bearer {TOKEN}", bearer(server))
    server.table["GET /token"] = [json_reply({"token": token})]
    with pytest.raises(RegistryError, match="without a token in it") as caught:
        client(server).manifest("app", "latest")
    assert "s3cr" not in one_line(caught.value)


def test_registry_that_repeats_a_secret_does_not_get_it_shown(server: RegistryServer, docker_config: Path) -> None:
    """Some registries explain a refusal with what they were sent."""
    log_in(docker_config, server)
    guard(server, "Basic of somebody else", 'Basic realm="x"')
    server.table[READ] = [
        refusal(401, WWW_Authenticate='Basic realm="x"'),
        lambda request: refusal(403, "DENIED", f"not with {request.headers.get('authorization')}"),
    ]
    with pytest.raises(RegistryError, match=r"not with Basic \*\*\*") as caught:
        client(server).manifest("app", "latest")
    assert BASIC not in one_line(caught.value)


# The wire: redirects.


@pytest.mark.parametrize("entry", ["machine 127.0.0.1", "default"])
def test_netrc_adds_no_credentials(server: RegistryServer, elsewhere: RegistryServer, home: Path, entry: str) -> None:
    """The file of another program has passwords for hosts, and a default for all that are not in it."""
    (home / ".netrc").write_text(f"{entry} login somebody password s3cret\n")
    (home / ".netrc").chmod(0o600)
    elsewhere.table["GET /there"] = [REPLY]
    server.table[READ] = [Reply(307, headers={"Location": f"http://{elsewhere.host}/there"})]
    assert MANIFEST == client(server).manifest("app", "latest")
    assert ([None], [None]) == (authorizations(server), authorizations(elsewhere))


def test_cookies_are_not_kept(server: RegistryServer) -> None:
    """They would tell other hosts what was asked before."""
    server.table[READ] = [Reply(200, MANIFEST.body, {"Content-Type": OCI_MANIFEST, "Set-Cookie": "a=b"})]
    registry = client(server)
    registry.manifest("app", "latest")
    registry.manifest("app", "latest")
    assert ["cookie" in request.headers for request in server.requests] == [False, False]


def test_redirects_end(server: RegistryServer) -> None:
    """Five are followed: a blob takes one or two."""
    path = READ.removeprefix("GET ")
    server.table[READ] = [Reply(307, headers={"Location": path})]
    with pytest.raises(InvalidAnswerError, match="redirects more than 5 times"):
        client(server).manifest("app", "latest")
    assert 6 == len(server.requests)


@pytest.mark.parametrize("status", [301, 302, 303])
def test_write_is_not_turned_into_a_read(server: RegistryServer, status: int) -> None:
    """Those statuses ask for GET, whose answer would be taken for a success."""
    server.table["PUT /v2/app/manifests/latest"] = [Reply(status, headers={"Location": "/v2/"})]
    server.table["GET /v2/"] = [Reply(200)]
    with pytest.raises(RegistryError, match=str(status)):
        client(server).put_manifest("app", "latest", MANIFEST)
    assert 1 == len(server.requests)


def test_remote_registry_does_not_lead_to_this_machine(server: RegistryServer, elsewhere: RegistryServer) -> None:
    """The HTTP services of a machine trust whatever runs on it."""
    server.table[READ] = [Reply(307, headers={"Location": f"http://{elsewhere.host}/v2/"})]
    with pytest.raises(InvalidAnswerError, match="a network that this registry is not in"):
        remote(server).manifest("app", "latest")
    assert [] == elsewhere.requests


def test_redirect_of_an_insecure_registry_is_verified(server: RegistryServer, tmp_path: Path) -> None:
    """The user declared one host, and no other."""
    other = RegistryServer(server_context(make_certificate(tmp_path))).start()
    try:
        place = f"https://{other.host.replace('127.0.0.1', '0.0.0.0')}/v2/"
        server.table[READ] = [Reply(307, headers={"Location": place})]
        with pytest.raises(RegistryUnreachableError, match="certificate verify failed"):
            remote(server).manifest("app", "latest")
        assert [] == other.requests
    finally:
        other.stop()


# The wire: uploads and names.


@pytest.mark.parametrize("place", ["http://{}/", "http://localhost:1/", "http://169.254.169.254/", "http://[::1]/"])
def test_upload_does_not_lead_to_this_machine(server: RegistryServer, elsewhere: RegistryServer, place: str) -> None:
    """DELETE and PUT, with bytes of the registry's choice."""
    server.table["POST /v2/app/blobs/uploads/"] = [Reply(202, headers={"Location": place.format(elsewhere.host)})]
    digest = elsewhere.hold_blob("app", b"x")
    registry = remote(server)
    registry.check_push("app")
    with pytest.raises(InvalidAnswerError, match="the registry leads to "):
        registry.copy_blob(client(elsewhere), "app", "app", Descriptor("x", digest, 1))
    assert {"GET"} >= {request.verb for request in elsewhere.requests}


def test_upload_does_not_leave_tls(tmp_path: Path, server: RegistryServer) -> None:
    """Neither the bytes nor the address with its signature."""
    secure = RegistryServer(server_context(make_certificate(tmp_path))).start()
    try:
        place = f"http://{server.host.replace('127.0.0.1', '0.0.0.0')}/upload"
        secure.table["POST /v2/app/blobs/uploads/"] = [Reply(202, headers={"Location": place})]
        digest = server.hold_blob("app", b"x")
        with pytest.raises(InvalidAnswerError, match="which has no TLS"):
            remote(secure).copy_blob(client(server), "app", "app", Descriptor("x", digest, 1))
        assert {"GET"} >= {request.verb for request in server.requests}
    finally:
        secure.stop()


def resolving(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> list[str]:
    """Let names have addresses, one after the other; return the list of the names that are asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def answer(host: str, *args: Any, **options: Any) -> Any:
        if host not in names:
            return real(host, *args, **options)
        asked.append(host)
        address = names[host].pop(0) if len(names[host]) > 1 else names[host][0]
        return real(address, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


def test_name_of_an_internal_address_is_not_connected_to(
    server: RegistryServer, elsewhere: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a name stands for is known only when it is looked up."""
    resolving(monkeypatch, {"innocent.example.com": ["127.0.0.1"]})
    port = elsewhere.host.partition(":")[2]
    server.table[READ] = [Reply(307, headers={"Location": f"http://innocent.example.com:{port}/"})]
    with pytest.raises(InvalidAnswerError, match=r"leads to innocent\.example\.com is an address of a network"):
        remote(server).manifest("app", "latest")
    assert [] == elsewhere.requests


def test_address_that_was_checked_is_connected_to(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second look-up could answer something else."""
    asked = resolving(monkeypatch, {"changing.example.com": ["127.0.0.1", "192.0.2.1"]})
    port = server.host.partition(":")[2]
    server.table["GET /there"] = [REPLY]
    server.table[READ] = [Reply(307, headers={"Location": f"http://changing.example.com:{port}/there"})]
    assert MANIFEST == client(server).manifest("app", "latest")
    assert ["changing.example.com"] == asked


def test_registry_does_not_come_nearer_by_another_answer_of_dns() -> None:
    """Its own name may not move to a private address to be allowed others."""
    destinations = Destinations("registry.example.com", insecure=False)
    for address in ("8.8.8.8", "10.0.0.1"):
        info = (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))
        destinations.permitted("registry.example.com", [info])
    with pytest.raises(InvalidAnswerError):
        destinations.follow("GET x", "https://registry.example.com/", "https://10.0.0.2/")
