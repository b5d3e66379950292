"""What the steps of a run share, with a scripted Docker daemon and a registry without TLS."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from multiarch.config.load import load
from multiarch.config.project import Project
from multiarch.display.progress import Progress
from multiarch.errors import MultiarchError, RegistryUnreachableError
from multiarch.image.manifest import OCI_MANIFEST
from multiarch.run import Run
from tests.unit.docker_daemon import API, Daemon
from tests.unit.registry_server import RegistryServer, json_reply

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def daemon() -> Iterator[RegistryServer]:
    """The daemon that DOCKER_HOST names."""
    server = RegistryServer()
    Daemon(server)
    yield server.start()
    server.stop()


@pytest.mark.parametrize(
    ("registries", "is_insecure"), [({"Secure": False}, True), ({"Secure": True}, False), ({}, False)]
)
def test_what_docker_does_not_verify_we_do_not(
    server: RegistryServer,
    daemon: RegistryServer,
    monkeypatch: pytest.MonkeyPatch,
    registries: dict[str, bool],
    is_insecure: bool,
) -> None:
    """One word of the daemon for our client and for BuildKit's; without Docker nothing is insecure by itself."""
    host = server.host.replace("127.0.0.1", "0.0.0.0")
    server.hold_manifest("app", "latest", {})
    config = {"IndexConfigs": {host: registries}} if registries else {}
    daemon.table[f"GET {API}/info"] = [json_reply({"Architecture": "x86_64", "RegistryConfig": config})]
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{daemon.host}" if registries else "tcp://127.0.0.1:1")
    settings = load({"image": f"{host}/app", "platforms": ["arm64"], "retry_seconds": 0}, {}, {})
    run = Run(Project.of(settings), Progress(io.StringIO()))
    if is_insecure:
        manifest = run.registries[host].manifest("app", "latest")
        assert manifest and OCI_MANIFEST == manifest.media_type
        assert (host,) == run.client(Path("/buildctl")).insecure
    else:
        with pytest.raises(RegistryUnreachableError):
            run.registries[host].manifest("app", "latest")
        assert () == run.client(Path("/buildctl")).insecure
    if registries:
        run.host.client.close()


def test_check_that_passes_proves_the_right_to_push(server: RegistryServer) -> None:
    """Of the first repository, which BuildKit pushes to; not before, and not of another."""
    settings = load({"images": [f"{server.host}/app", f"{server.host}/b"], "platforms": ["arm64"]}, {}, {})
    run = Run(Project.of(settings), Progress(io.StringIO()))
    client = run.client(Path("/buildctl"))
    first, second = run.push_checks(settings.publish.images)
    second()
    assert not client.may_push()
    first()
    assert client.may_push()


def test_what_is_aside_outlasts_a_build_that_fails() -> None:
    """What was built is under its staging tag when the release ends, so that --resume finds it."""
    settings = load({"image": "registry.example.com/app", "platforms": ["arm64"]}, {}, {})
    run, written = Run(Project.of(settings), Progress(io.StringIO())), threading.Event()

    def write() -> None:
        if not run.aside.stopped.wait(0.05):
            written.set()

    def build() -> None:
        run.aside.begin(write)
        raise MultiarchError("RUN make")

    with pytest.raises(MultiarchError, match=r"^RUN make$"), run.aside:
        run.together([build])
    assert written.is_set()
