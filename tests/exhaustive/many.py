"""Three targets to be published under 24 tags of three repositories, which two registries hold."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.config.project import load_project
from multiarch.image.manifest import OCI_INDEX, OCI_MANIFEST
from multiarch.publish.publication import Part, publish
from multiarch.registry.client import Registry
from tests.exhaustive.world import PATIENCE

if TYPE_CHECKING:
    from multiarch.publish.tags import PublishedTag
    from multiarch.retry import Policy
    from tests.unit.registry_server import RegistryServer

TARGETS = ("app", "worker", "tools")
EXISTING = ("latest", "1", "1.4", "edge")
NEW = ("1.4.2", "v1", "v1.4", "stable")
TAGS = (*EXISTING, *NEW)


@dataclass
class ManyTags:
    """The registries: *first* holds app and worker, *second* holds tools, each with its staged images."""

    first: RegistryServer
    second: RegistryServer
    platforms: tuple[str, ...] = ("amd64",)
    policy: Policy = PATIENCE
    lines: list[str] = field(default_factory=list)

    @property
    def servers(self) -> tuple[RegistryServer, RegistryServer]:
        """Both."""
        return self.first, self.second

    def server(self, target: str) -> RegistryServer:
        """Return the registry of a target."""
        return self.second if target == "tools" else self.first

    @property
    def references(self) -> list[tuple[RegistryServer, str]]:
        """The registry and the path of each of the 24 tags."""
        return [(self.server(target), f"/v2/{target}/manifests/{tag}") for target in TARGETS for tag in TAGS]

    @property
    def tags(self) -> dict[str, bytes | None]:
        """What is under the 24 tags."""
        return {
            f"{server.host}/{path.removeprefix('/v2/').replace('/manifests/', ':')}": server.contents.get(
                path, (None, None)
            )[1]
            for server, path in self.references
        }

    @property
    def block(self) -> dict[str, Any]:
        """The settings, as invoke.yaml has them."""
        targets = {target: {"image": f"{self.server(target).host}/{target}"} for target in TARGETS}
        return {"platforms": list(self.platforms), "tags": list(TAGS), "retry_seconds": 5, "targets": targets}

    def renew(self, word: str = "new") -> None:
        """Hold what a release before has left, and new images staged; do as registries do."""
        for server in self.servers:
            server.contents.clear()
            server.requests.clear()
            server.table = {}
            server.otherwise = server.from_contents
        for target in TARGETS:
            for tag in EXISTING:
                old = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "of": f"{target} before"}
                self.server(target).hold_manifest(target, tag, old, OCI_INDEX)
        self.stage(word)

    def stage(self, word: str) -> dict[str, str]:
        """Put the images of the platforms where the build of each target leaves them.

        :returns: by target, the digest of an index of all of them, as one solve pushes it.
        """
        digests = {}
        for target in TARGETS:
            server, entries = self.server(target), []
            for architecture in self.platforms:
                config = json.dumps({"os": "linux", "architecture": architecture, "of": f"{target} {word}"}).encode()
                described = {"digest": server.hold_blob(target, config), "size": len(config)}
                body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": []}
                image = server.hold_manifest(target, f"latest-{architecture}", body)
                entries.append({**image, "platform": {"os": "linux", "architecture": architecture}})
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
            digests[target] = server.hold_manifest(target, "pushed", index, OCI_INDEX)["digest"]
        return digests

    def publish(self) -> tuple[PublishedTag, ...]:
        """Publish all targets."""
        project = load_project(self.block, {}, {}, directory=Path("/somewhere"))
        policy = replace(self.policy, stopped=threading.Event())
        clients = {one.host: Registry(one.host, policy, self.lines.append) for one in self.servers}
        published = publish([Part(target.settings) for target in project.targets], clients, say=self.lines.append)
        return tuple(tag for one in published for tag in one.tags)
