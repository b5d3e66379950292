"""Destination of a CI's releases: a repository in a registry that wants a login, and its content."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.integration.conftest import MACHINES
from tests.integration.docker_host import docker
from tests.integration.test_publishing import PASSWORD, USER, _htpasswd, _log_in

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.integration.conftest import RegistryContainer

REVISION = "org.opencontainers.image.revision"
SECRETS = {"DOCKER_USERNAME": USER, "DOCKER_PASSWORD": PASSWORD}


@dataclass(frozen=True)
class Destination:
    """A repository of an image, and the DOCKER_CONFIG of somebody who may pull from it."""

    image: str
    docker_config: Path

    @classmethod
    def at(cls, registry: RegistryContainer, name: str, directory: Path) -> Destination:
        """Start a registry, and log in to it with files in a *directory*."""
        registry.options = _htpasswd(directory)
        registry.start()
        config = directory / "docker"
        config.mkdir()
        _log_in(config, registry.host, "config")
        return cls(f"{registry.host}/team/{name}", config)

    def digest(self) -> str:
        """Return the digest under the tag, nothing where there is no tag."""
        words = (sys.executable, "-m", "invoke", "manifest", "--inspect", "--image", self.image)
        env = {**os.environ, "DOCKER_CONFIG": str(self.docker_config)}
        done = subprocess.run(words, env=env, capture_output=True, text=True)
        return done.stdout.splitlines()[0].partition("@")[2].split()[0] if done.returncode == 0 else ""

    def machines(self, platforms: Iterable[str] = MACHINES) -> dict[str, str]:
        """Return what ``uname -m`` says on some platforms of the tag."""
        words = ("--config", str(self.docker_config), "run", "--rm", "--quiet", "--pull", "always")
        return {p: docker(*words, "--platform", p, f"{self.image}:latest", "uname", "-m") for p in platforms}

    def published_digest(self, output: str) -> str:
        """Return the one digest of the tag in the output of a job."""
        (digest,) = set(re.findall(rf"{re.escape(self.image)}:latest@(sha256:[0-9a-f]{{64}})", output))
        return str(digest)

    def revisions(self, digest: str) -> list[str]:
        """Return the commit of each image of an index."""
        index = self._read("manifests", digest)
        images = [self._read("manifests", e["digest"]) for e in index["manifests"] if e["platform"]["os"] == "linux"]
        configs = [self._read("blobs", image["config"]["digest"]) for image in images]
        return [config["config"]["Labels"][REVISION] for config in configs]

    def layers(self, reference: str) -> dict[str, list[str]]:
        """Return the digests of the layers of each platform's image, of a tag or a digest."""
        index = self._read("manifests", reference)
        images = [entry for entry in index["manifests"] if entry["platform"]["os"] == "linux"]
        return {
            f"linux/{entry['platform']['architecture']}": [
                layer["digest"] for layer in self._read("manifests", entry["digest"])["layers"]
            ]
            for entry in images
        }

    def _read(self, kind: str, digest: str) -> Any:
        host, _, repository = self.image.partition("/")
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
        headers = {"Authorization": f"Basic {login}", "Accept": accept}
        request = urllib.request.Request(f"http://{host}/v2/{repository}/{kind}/{digest}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def remove_buildkit(*_: object) -> None:
    """Remove the server and its cache, as a CI removes the machine of a job."""
    docker("rm", "--force", "--volumes", "buildkit")
    subprocess.run(["docker", "volume", "rm", "buildkit-state"], capture_output=True)
