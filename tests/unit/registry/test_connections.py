"""Connections to a registry that is not on loopback: TLS, its certificates, and what is declared insecure.

``0.0.0.0`` leads to this machine, and is no loopback address by its name.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.errors import ConfigurationError, RegistryUnreachableError
from multiarch.image.manifest import OCI_MANIFEST, Manifest
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.unit.certificates import make_certificate, server_context
from tests.unit.raw_server import serving
from tests.unit.registry_server import RegistryServer, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.raw_server import RawServer

MANIFEST = Manifest(OCI_MANIFEST, b"{}")
REPLY = Reply(200, MANIFEST.body, {"Content-Type": OCI_MANIFEST})


def client(
    server: RegistryServer | RawServer, *, insecure: bool = False, declared: Callable[[], bool] = lambda: False
) -> Registry:
    """Return a client that calls the server by an address that is not a loopback address."""
    host = server.host.replace("127.0.0.1", "0.0.0.0")
    policy = Policy(seconds=5.0, attempts=3, first=0.001, longest=0.01)
    return Registry(host, policy, print, insecure=insecure, declared=declared)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, in an environment without proxies and bundles."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate, in the file ``ca.crt``; its key is in ``ca.key``."""
    return make_certificate(tmp_path)


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[RegistryServer]:
    """A registry that speaks TLS."""
    server = RegistryServer(server_context(certificate))
    server.table["GET /v2/app/manifests/latest"] = [REPLY]
    yield server.start()
    server.stop()


def test_unknown_certificate_is_a_permanent_fault(tls_server: RegistryServer) -> None:
    """A certificate that nobody vouches for stays so, and the error is one line."""
    with pytest.raises(RegistryUnreachableError, match="certificate verify failed") as caught:
        client(tls_server).manifest("app", "latest")
    assert 1 == len(str(caught.value).splitlines())
    host = tls_server.host.replace("127.0.0.1", "0.0.0.0")
    remedy = f"; put its CA into /etc/docker/certs.d/{host}/ca.crt, or name it in insecure_registries"
    assert (False, True) == (caught.value.transient, str(caught.value).endswith(remedy))


class Garbling(ssl.SSLSocket):
    """A socket that writes beside TLS what begins no answer."""

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Write bytes."""
        if data.startswith(b"HTTP/"):
            super().sendall(data, flags)
        else:
            socket.socket.sendall(self, data)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
def test_connection_that_is_garbled_is_tried_again(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """Behind a handshake it is no fault of a certificate, whatever a proxy writes in the place of an answer."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = server_context(certificate)
    context.sslsocket_class = Garbling
    with serving(lambda _: (begun, b"502 Bad Gateway\r\n"), context) as server:
        with pytest.raises(RegistryUnreachableError, match=r"wrong version number .*; is it running") as caught:
            client(server).manifest("app", "latest")
        assert (True, 3) == (caught.value.transient, len(server.heads))


class Lingering(ssl.SSLSocket):
    """A socket that is not closed before what it has refused is read."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands."""
        try:
            super().do_handshake(block)
        except ssl.SSLError:
            time.sleep(0.3)
            raise


def test_registry_that_wants_a_certificate_is_a_permanent_fault(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of TLS 1.3, it says so behind the handshake (RFC 8446, section 4.4.2.4)."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = server_context(certificate)
    context.verify_mode, context.sslsocket_class = ssl.CERT_REQUIRED, Lingering
    context.load_verify_locations(certificate)
    with serving(lambda _: [], context) as server:
        with pytest.raises(RegistryUnreachableError, match="alert certificate required") as caught:
            client(server).manifest("app", "latest")
        assert (False, []) == (caught.value.transient, server.heads)


def test_certificates_of_docker_are_trusted(tls_server: RegistryServer, certificate: Path, home: Path) -> None:
    """A registry that Docker reaches (certs.d) must not need another setting here."""
    folder = home / ".config/docker/certs.d" / tls_server.host.replace("127.0.0.1", "0.0.0.0")
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(certificate.read_bytes())
    registry = client(tls_server)
    with registry.expecting(2):
        assert [MANIFEST] * 2 == [registry.manifest("app", "latest") for _ in range(2)]


def test_broken_certificate_is_named(tls_server: RegistryServer, home: Path) -> None:
    """The error has the path of the file, and not only OpenSSL's words."""
    folder = home / ".config/docker/certs.d" / tls_server.host.replace("127.0.0.1", "0.0.0.0")
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"ca\.crt: cannot be used for TLS with 0\.0\.0\.0"):
        client(tls_server).manifest("app", "latest")


def test_bundle_is_trusted(tls_server: RegistryServer, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REQUESTS_CA_BUNDLE adds certificates, as behind the proxy of a company; a missing file is named."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert MANIFEST == client(tls_server).manifest("app", "latest")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.none")
    with pytest.raises(ConfigurationError, match=r"^REQUESTS_CA_BUNDLE: /\S+/ca\.crt\.none cannot be used"):
        client(tls_server).manifest("app", "latest")


def test_insecure_registry_with_tls_is_not_verified(tls_server: RegistryServer) -> None:
    """Its certificate may be anyone's, as for Docker's insecure registries."""
    assert MANIFEST == client(tls_server, insecure=True).manifest("app", "latest")


def test_insecure_registry_without_tls_is_asked_plainly(server: RegistryServer) -> None:
    """Plain HTTP is spoken to no other registry, even when it has no TLS."""
    server.table["GET /v2/app/manifests/latest"] = [REPLY]
    assert MANIFEST == client(server, insecure=True).manifest("app", "latest")
    count = len(server.requests)
    with pytest.raises(RegistryUnreachableError):
        client(server).manifest("app", "latest")
    assert count == len(server.requests)


def answer(asked: list[bool], insecure: bool) -> bool:
    """Answer whether Docker takes a registry for insecure, and take note of it."""
    asked.append(insecure)
    return insecure


def test_registry_that_docker_does_not_verify_is_insecure(tls_server: RegistryServer, server: RegistryServer) -> None:
    """With TLS or without; Docker is asked once, however many requests meet the fault at the same time."""
    server.table["GET /v2/app/manifests/latest"] = [REPLY]
    for each in (tls_server, server):
        asked: list[bool] = []
        registry = client(each, declared=partial(answer, asked, True))
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _, registry=registry: registry.manifest("app", "latest"), range(4)))
        assert ([MANIFEST] * 4, [True]) == (found, asked)


def test_docker_is_not_asked_about_a_registry_that_answers(tls_server: RegistryServer, certificate: Path) -> None:
    """It costs a connection to the Docker host, which `manifest` need not have; nor a second time after a no."""
    asked: list[bool] = []
    registry = client(tls_server, declared=partial(answer, asked, False))
    for _ in range(2):
        with pytest.raises(RegistryUnreachableError, match="certificate verify failed"):
            registry.manifest("app", "latest")
    assert [False] == asked
    folder = certificate.parent / ".config/docker/certs.d" / tls_server.host.replace("127.0.0.1", "0.0.0.0")
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(certificate.read_bytes())
    assert MANIFEST == client(tls_server, declared=partial(answer, asked, True)).manifest("app", "latest")
    assert [False] == asked


def test_client_that_is_made_meanwhile_is_insecure_too(tls_server: RegistryServer) -> None:
    """While another thread asks what Docker says of the registry."""
    asked, go = threading.Event(), threading.Event()

    def declared() -> bool:
        asked.set()
        return go.wait(10)

    registry = client(tls_server, declared=declared)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(registry.manifest, "app", "latest")
        assert asked.wait(10)
        asked.clear()
        made = pool.submit(registry.apart, Policy(attempts=1))
        time.sleep(0.05)
        go.set()
        assert MANIFEST == first.result()
    assert (MANIFEST, False) == (made.result().manifest("app", "latest"), asked.is_set())


def test_more_requests_than_expected_connect_by_themselves(server: RegistryServer) -> None:
    """The number is a guess: no request may depend on it, within the context or after it."""
    server.table["GET /v2/app/manifests/latest"] = [REPLY]
    registry = Registry(server.host, Policy(attempts=1), print)
    with registry.expecting(3):
        threads = [threading.Thread(target=registry.manifest, args=("app", "latest")) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert 5 == len(server.requests)
    assert MANIFEST == registry.manifest("app", "latest")


def test_request_fails_as_usual_where_no_connection_was_begun() -> None:
    """Beginning them ahead must not hide that nobody listens."""
    server = RegistryServer()
    try:
        registry = Registry(server.host, Policy(attempts=1), print)
        with registry.expecting(3), pytest.raises(RegistryUnreachableError, match="Connection refused"):
            registry.manifest("app", "latest")
    finally:
        server.stop()
