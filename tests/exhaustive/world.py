"""Two registries with a release staged in the first, to be published under six tags."""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from multiarch.config.load import load
from multiarch.display.progress import Progress
from multiarch.image.manifest import OCI_INDEX, OCI_MANIFEST
from multiarch.interrupts import nothing
from multiarch.publish.publication import publish_matrix
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from multiarch.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from multiarch.publish.publication import Published
    from multiarch.publish.tags import PublishedTag
    from tests.unit.registry_server import RegistryServer

BROKEN = ("closed", "full")
TAGS = ("latest", "1.4", "1.4.2")
ATTEMPTS = 3
PATIENCE = Policy(seconds=5.0, attempts=ATTEMPTS, first=0.0001, longest=0.0005)


@contextmanager
def broken(kind: str) -> Iterator[TextIO]:
    """Yield a stream that takes nothing: a pipe whose reader has left, or a file on a full disk."""
    if kind == "closed":
        reader, writer = os.pipe()
        os.close(reader)
        stream = os.fdopen(writer, "w")
    else:
        stream = open("/dev/full", "w")  # noqa: SIM115 (closed below)
    with stream:
        yield stream


@dataclass
class World:
    """Two registries: the first holds what was staged, both hold some of the tags from a release before."""

    first: RegistryServer
    second: RegistryServer
    platforms: tuple[str, ...] = ("amd64", "arm64")
    patience: Policy = PATIENCE
    lines: list[str] = field(default_factory=list)
    client: type[Registry] = Registry
    stderr: str = "read"

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

    def publish(
        self, on_moved: Callable[[], object] = nothing, stopped: threading.Event | None = None
    ) -> tuple[PublishedTag, ...]:
        """Publish what is staged under all six tags; *stopped* is set to end it, as a signal does."""
        block = {"image": [f"{server.host}/app" for server in self.servers], "tags": list(TAGS)}
        settings = load({**block, "platforms": list(self.platforms)}, {}, {})
        policy = replace(self.patience, stopped=stopped or threading.Event())

        def publish(say: Callable[[str], None], trace: Trace | None) -> Published:
            clients = {server.host: self.client(server.host, policy, say, trace=trace) for server in self.servers}
            return publish_matrix(settings, clients, say=say, on_moved=on_moved)

        if self.stderr == "read":
            return publish(self.lines.append, None).tags
        # Each request writes a line.
        with broken(self.stderr) as stream:
            progress = Progress(stream, heartbeat=0)
            with progress.detached():
                return publish(progress.say, Trace(progress.say)).tags


BEFORE = {"no tag yet": (), "every tag": TAGS, "some tags": ("latest", "1.4")}


def released_before(world: World, tags: tuple[str, ...]) -> None:
    """Put an older index under these tags, in both registries."""
    for server in world.servers:
        for tag in tags:
            server.hold_manifest("app", tag, {"manifests": [], "of": "before"}, OCI_INDEX)
