"""Images: layers and a configuration, described and published the way registries want them (OCI)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from lab.layers import EPOCH, Layer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.mirror import Mirror

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

_CREATED = datetime.fromtimestamp(EPOCH, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Image:
    """One platform's image; `config` is the part that docker inspect shows as Config."""

    platform: str
    layers: tuple[Layer, ...]
    config: Mapping[str, object]

    def config_bytes(self) -> bytes:
        """Return the image's configuration file."""
        return _json(
            {
                **platform_fields(self.platform),
                "created": _CREATED,
                "config": dict(self.config),
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
                "history": [{"created": _CREATED, "created_by": "multiarch lab"} for _ in self.layers],
            }
        )

    def manifest_bytes(self) -> bytes:
        """Return the image's manifest."""
        layers = [{"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in self.layers]
        return _json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": _descriptor(CONFIG, self.config_bytes()),
                "layers": layers,
            }
        )


def platform_fields(platform: str) -> dict[str, str]:
    """Split a platform such as linux/arm/v7 into the fields of a descriptor."""
    return dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))


def index_bytes(images: Sequence[Image]) -> bytes:
    """Return the index that lists the images by platform."""
    manifests = [
        {**_descriptor(MANIFEST, image.manifest_bytes()), "platform": platform_fields(image.platform)}
        for image in images
    ]
    return _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})


def publish(mirror: Mirror, repository: str, tags: Sequence[str], images: Sequence[Image]) -> str:
    """Upload the images and put their index under every tag; return the digest of the index."""
    for image in images:
        for layer in image.layers:
            mirror.put_blob(repository, layer.digest, layer.path)
        mirror.put_blob(repository, _digest(image.config_bytes()), image.config_bytes())
        manifest = image.manifest_bytes()
        mirror.put_manifest(repository, _digest(manifest), MANIFEST, manifest)
    index = index_bytes(images)
    for tag in tags:
        mirror.put_manifest(repository, tag, INDEX, index)
    return _digest(index)


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode()
