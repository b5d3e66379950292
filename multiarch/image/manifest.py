"""What registries hold: manifests and indexes, as their very bytes (OCI image-spec 1.1, Docker's schema 2).

Manifest, index, descriptor and digest are the words of the specification.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = (OCI_INDEX, DOCKER_LIST)
MANIFESTS = (*INDEXES, OCI_MANIFEST, DOCKER_MANIFEST)
# Of an entry that is not an image but tells of one (BuildKit, docs/attestations/attestation-storage.md).
REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"
Descriptor = dict[str, Any]


def digest_of(content: bytes) -> str:
    """Return ``sha256:`` and the hash of the bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Manifest:
    """A manifest or index as it was read or is to be written: the very bytes, so that the digest stays theirs."""

    media_type: str
    body: bytes

    @cached_property
    def digest(self) -> str:
        """The digest of the bytes."""
        return digest_of(self.body)

    @cached_property
    def json(self) -> dict[str, Any]:
        """The parsed body; empty when it is no JSON object."""
        try:
            parsed = json.loads(self.body)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests instead of being one."""
        return self.media_type in INDEXES

    @property
    def descriptor(self) -> Descriptor:
        """What points to it (image-spec, descriptor.md)."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.body)}

    @property
    def entries(self) -> list[Descriptor]:
        """The descriptors that an index lists; none of what is no index."""
        return self._descriptors("manifests") if self.is_index else []

    @property
    def config(self) -> Descriptor | None:
        """The descriptor of an image's config; None of what is no image."""
        found = self.json.get("config")
        return found if isinstance(found, dict) and isinstance(found.get("digest"), str) else None

    @property
    def layers(self) -> list[Descriptor]:
        """The descriptors of an image's layers, the lowest first."""
        return self._descriptors("layers")

    @property
    def size(self) -> int:
        """The bytes of an image as it travels: its config and its layers, compressed."""
        parts = [*self.layers, *([self.config] if self.config else [])]
        return sum(int(part.get("size") or 0) for part in parts)

    def _descriptors(self, key: str) -> list[Descriptor]:
        found = self.json.get(key)
        return found if isinstance(found, list) and all(map(_is_descriptor, found)) else []


def _is_descriptor(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("digest"), str)
        and isinstance(value.get("size"), int)
        and value["size"] >= 0
        and all(isinstance(value.get(key) or {}, dict) for key in ("platform", "annotations"))
    )


def is_attestation(entry: Descriptor) -> bool:
    """Tell whether an entry of an index is no image but tells of one."""
    return REFERENCE_TYPE in (entry.get("annotations") or {})
