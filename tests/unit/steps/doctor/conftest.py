"""A project that could be released: a Docker host, a registry, base images and settings, each to be broken."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.image.manifest import OCI_INDEX
from tests.unit.docker_daemon import API, Daemon
from tests.unit.registry_server import RegistryServer, json_reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.project import Project
    from tests.unit.registry_server import Reply, Request

AMD64, ARM64 = ({"os": "linux", "architecture": name} for name in ("amd64", "arm64"))
BASE = "base:1"


class DoctorDaemon(Daemon):
    """A Docker daemon without containers and images, on another machine as far as a client can tell."""

    def __init__(self, server: RegistryServer) -> None:
        super().__init__(server)
        self.info: dict[str, Any] = {
            "Architecture": "x86_64",
            "ServerVersion": "28.2.2",
            "NCPU": 2,
            "MemTotal": 8 << 30,
        }
        self.ahead = 0.0
        server.table[f"GET {API}/info"] = [self._info]

    def _info(self, _: Request) -> Reply:
        now = datetime.now(timezone.utc).timestamp() + self.ahead
        time = datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        return json_reply({"SystemTime": time, **self.info})

    def _otherwise(self, request: Request) -> Reply:
        if "/images/" in request.path:
            return json_reply({"message": "No such image"}, 404)
        return super()._otherwise(request)


@dataclass
class Scene:
    """The project with what it needs.

    :ivar settings: the ``multiarch`` block.
    """

    project: Project
    registry: RegistryServer
    daemon: DoctorDaemon
    monkeypatch: pytest.MonkeyPatch
    settings: dict[str, Any] = field(default_factory=dict)

    def dockerfile(self, text: str) -> None:
        """Write the Dockerfile."""
        self.project.write(Dockerfile=text)

    def doctor(self, *words: str) -> tuple[int, list[str]]:
        """Run it; return its status and its lines."""
        self.project.write(invoke_yaml=json.dumps({"multiarch": self.settings}))
        done = self.project.run("doctor", *words)
        return done.status, done.out


@pytest.fixture
def scene(project: Project, server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A project without a fault that a test without Docker can see."""
    docker = RegistryServer()
    daemon = DoctorDaemon(docker)
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{docker.host}")
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    for platform in (AMD64, ARM64):
        image = server.hold_manifest("base", f"of-{platform['architecture']}", {"layers": [], "of": platform})
        index["manifests"].append({**image, "platform": platform})  # type: ignore[attr-defined]
    server.hold_manifest("base", "1", index, OCI_INDEX)
    server.hold_manifest("buildkit", "v0.32.2", index, OCI_INDEX)
    scene = Scene(project, server, daemon, monkeypatch)
    scene.settings = {
        "image": f"{server.host}/app",
        "platforms": ["linux/amd64"],
        "tags": ["latest"],
        "install": "pip install invoke-multiarch",
        "buildkit_image": f"{server.host}/buildkit:v0.32.2",
    }
    server.table["GET /v2/"] = [json_reply({})]
    scene.dockerfile(f"FROM {server.host}/{BASE}\n")
    docker.start()
    yield scene
    docker.stop()
