"""A Docker host with TLS: the files of a context, and no others, decide whom it is."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from multiarch.docker_host import DockerHost
from multiarch.errors import NoDockerError
from multiarch.retry import Policy
from tests.unit.certificates import make_certificate, server_context
from tests.unit.docker_daemon import Daemon
from tests.unit.registry_server import RegistryServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RegistryServer]:
    """A daemon that speaks TLS, with the certificate ``ca.crt``."""
    server = RegistryServer(server_context(make_certificate(tmp_path)))
    Daemon(server)
    yield server.start()
    server.stop()


def host_of(
    server: RegistryServer, directory: Path, ca: bytes, monkeypatch: pytest.MonkeyPatch, **more: bool
) -> DockerHost:
    """Return the Docker host of a context with a CA; the environment has another one."""
    digest = hashlib.sha256(b"box").hexdigest()
    meta, tls = (directory / "contexts" / kind / digest for kind in ("meta", "tls"))
    (tls / "docker").mkdir(parents=True)
    (tls / "docker/ca.pem").write_bytes(ca)
    meta.mkdir(parents=True)
    endpoint = {"Host": f"tcp://{server.host.replace('127.0.0.1', '0.0.0.0')}", **more}
    (meta / "meta.json").write_text(json.dumps({"Name": "box", "Endpoints": {"docker": endpoint}}))
    (directory / "other").mkdir()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(make_certificate(directory / "other")))
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    monkeypatch.setenv("DOCKER_CONTEXT", "box")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return DockerHost(Policy(attempts=1), print)


def test_ca_of_a_context_is_trusted(daemon: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever bundle the environment has for the web."""
    host = host_of(daemon, tmp_path, (tmp_path / "ca.crt").read_bytes(), monkeypatch)
    assert "aarch64" == host.machine
    host.client.close()


def test_other_certificate_is_refused(daemon: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line."""
    (tmp_path / "foreign").mkdir()
    foreign = make_certificate(tmp_path / "foreign").read_bytes()
    with pytest.raises(NoDockerError, match="certificate verify failed") as caught:
        host_of(daemon, tmp_path, foreign, monkeypatch).client.ping()
    assert 1 == len(str(caught.value).splitlines())


def test_context_may_skip_the_verification(
    daemon: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its maker has said (docker context create --docker skip-tls-verify)."""
    host = host_of(daemon, tmp_path, b"", monkeypatch, SkipTLSVerify=True)
    with pytest.warns(Warning, match="Unverified HTTPS request"):
        assert "aarch64" == host.machine
    host.client.close()
