"""Two registries with a release staged in the first, to be published under six tags."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from multiarch.config.load import load
from multiarch.image.manifest import OCI_INDEX, OCI_MANIFEST
from multiarch.publish.publication import publish_matrix
from multiarch.registry.client import Registry
from multiarch.retry import Policy

if TYPE_CHECKING:
    from multiarch.publish.tags import PublishedTag
    from tests.unit.registry_server import RegistryServer

TAGS = ("latest", "1.4", "1.4.2")
ATTEMPTS = 3
PATIENCE = Policy(seconds=5.0, attempts=ATTEMPTS, first=0.0001, longest=0.0005)


@dataclass
class World:
    """Two registries: the first holds what was staged, both hold some of the tags from a release before."""

    first: RegistryServer
    second: RegistryServer
    platforms: tuple[str, ...] = ("amd64", "arm64")
    patience: Policy = PATIENCE
    lines: list[str] = field(default_factory=list)
    client: type[Registry] = Registry

    @property
    def servers(self) -> tuple[RegistryServer, RegistryServer]:
        """Both."""
        return self.first, self.second

    @property
    def tags(self) -> dict[str, bytes | None]:
        """What is under the six tags."""
        return {
            f"{server.host}/app:{tag}": server.contents.get(f"/v2/app/manifests/{tag}", (None, None))[1]
            for server in self.servers
            for tag in TAGS
        }

    def stage(self, word: str) -> None:
        """Put the images of the platforms into the first registry, with attestations."""
        for architecture in self.platforms:
            config = json.dumps({"os": "linux", "architecture": architecture, "word": word}).encode()
            layer = self.first.hold_blob("app", f"{architecture} {word}".encode())
            described = {"digest": self.first.hold_blob("app", config), "size": len(config)}
            layers = [{"digest": layer, "size": len(f"{architecture} {word}"), "mediaType": "tar"}]
            body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": layers}
            image = self.first.hold_manifest("app", f"{word}-{architecture}", body)
            attestation = self.first.hold_manifest("app", f"{word}-{architecture}-attestation", {**body, "layers": []})
            note = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}
            entries = [image, {**attestation, "annotations": note}]
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
            self.first.hold_manifest("app", f"latest-{architecture}", index, OCI_INDEX)

    def forget(self) -> None:
        """Hold nothing, and do as registries do."""
        for server in self.servers:
            server.contents.clear()
            server.requests.clear()
            server.table = {}

    def publish(self) -> tuple[PublishedTag, ...]:
        """Publish what is staged under all six tags."""
        block = {"image": [f"{server.host}/app" for server in self.servers], "tags": list(TAGS)}
        settings = load({**block, "platforms": list(self.platforms)}, {}, {})
        policy = replace(self.patience, stopped=threading.Event())
        clients = {server.host: self.client(server.host, policy, self.lines.append) for server in self.servers}
        return publish_matrix(settings, clients, say=self.lines.append).tags


BEFORE = {"no tag yet": (), "every tag": TAGS, "some tags": ("latest", "1.4")}


def released_before(world: World, tags: tuple[str, ...]) -> None:
    """Put an older index under these tags, in both registries."""
    for server in world.servers:
        for tag in tags:
            server.hold_manifest("app", tag, {"manifests": [], "of": "before"}, OCI_INDEX)
