"""Images under staging tags, as tests put them there, and their publication."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.load import load
from multiarch.image.elf import ELF
from multiarch.image.manifest import OCI_INDEX, OCI_MANIFEST
from multiarch.publish import publication
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.unit.images import tar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multiarch.config.settings import Settings
    from multiarch.errors import MultiarchError
    from multiarch.image.platform import Platform
    from multiarch.publish.tags import PublishedTag
    from tests.unit.registry_server import RegistryServer


ATTESTS = "vnd.docker.reference.type"


def settings_for(*names: str, **more: Any) -> Settings:
    """Return settings for images *names* and the platforms of `matrix`, by default those of the document."""
    return load({"image": list(names), "platforms": ["amd64", "arm64", "arm/v7"], **more}, {}, {})


def registry_of(server: RegistryServer) -> Registry:
    """Return a client with little patience."""
    return Registry(server.host, Policy(seconds=5.0, attempts=4, first=0.001, longest=0.01), print)


def publish(
    server: RegistryServer, settings: Settings, digests: Mapping[Platform, str] | None = None, **more: Any
) -> tuple[PublishedTag, ...]:
    """Run the step."""
    parts = [publication.Part(settings, digests)]
    return publication.publish(parts, {server.host: registry_of(server)}, say=print, **more)[0].tags


def config_of(server: RegistryServer, config: object) -> dict[str, Any]:
    """Put a config into the repository `app`; return its descriptor."""
    body = json.dumps(config).encode()
    return {"digest": server.hold_blob("app", body), "size": len(body)}


def image(server: RegistryServer, config: dict[str, Any], tag: str, kind: str = OCI_MANIFEST) -> dict[str, Any]:
    """Put an image with this config into the repository `app`; return its descriptor."""
    body = {"schemaVersion": 2, "mediaType": kind, "config": config_of(server, config), "layers": []}
    return server.hold_manifest("app", tag, body, kind)


def attested(server: RegistryServer, config: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    """Put an image with an attestation under *tag*, as BuildKit pushes it; return the descriptors of its index."""
    plain = image(server, config, f"{tag}-image")
    attestation = server.hold_manifest("app", f"{tag}-attestation", {"layers": [], "for": tag})
    entries = [
        {**plain, "platform": {"os": config["os"], "architecture": config["architecture"]}},
        {
            **attestation,
            "annotations": {ATTESTS: "attestation-manifest", "vnd.docker.reference.digest": plain["digest"]},
            "platform": {"os": "unknown", "architecture": "unknown"},
        },
    ]
    server.hold_manifest("app", tag, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}, OCI_INDEX)
    return entries


AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64"}
ARM = {"os": "linux", "architecture": "arm", "variant": "v7"}


def index_of(server: RegistryServer, tag: str = "latest") -> dict[str, Any]:
    """Return what is published under *tag*."""
    parsed: dict[str, Any] = json.loads(server.contents[f"/v2/app/manifests/{tag}"][1])
    return parsed


def refused(server: RegistryServer, error: type[MultiarchError], settings: Settings | None = None) -> str:
    """Return the line with which publishing is refused; nothing was written."""
    with pytest.raises(error) as caught:
        publish(server, settings or settings_for(f"{server.host}/app"))
    assert [] == [asked for asked in server.asked if asked.startswith("PUT")]
    assert 1 == len(str(caught.value).splitlines())
    return str(caught.value)


def listed(
    server: RegistryServer, tag: str, *entries: dict[str, Any], kind: str = OCI_INDEX, **more: Any
) -> dict[str, Any]:
    """Put an index into the repository `app`; return its descriptor."""
    return server.hold_manifest("app", tag, {"schemaVersion": 2, "mediaType": kind, "manifests": entries, **more}, kind)


def only_arm64(server: RegistryServer, **more: Any) -> Settings:
    """Return the settings of a matrix of one platform."""
    return settings_for(f"{server.host}/app", platforms=["arm64"], **more)


GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def layered(
    server: RegistryServer,
    tag: str,
    config: dict[str, Any],
    *files: Mapping[str, bytes],
    compress: Callable[[bytes], bytes] = gzip.compress,
    media_type: str = GZIP,
) -> list[dict[str, Any]]:
    """Put an image with real layers under a staging tag; return the descriptors of its layers, the lowest first."""
    layers = []
    for layer in files:
        blob = compress(tar({**layer}))
        layers.append({"mediaType": media_type, "digest": server.hold_blob("app", blob), "size": len(blob)})
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config_of(server, config), "layers": layers}
    server.hold_manifest("app", tag, body)
    return layers


STARTS = {**ARM64, "config": {"Entrypoint": ["/app/server"]}}
PROGRAM = {name: ELF[name].header() + b"\0" * 1000 for name in ("amd64", "arm64")}
# A file that is larger than the first part of a layer that is read, also when it is compressed.
MUCH = {"much": hashlib.shake_128(b"much").digest(1_500_000)}
