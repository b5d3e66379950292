"""Manifests, indexes and the descriptors in them, as registries hold them (OCI image-spec 1.1, Docker's schema 2)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = (OCI_INDEX, DOCKER_LIST)
MANIFESTS = (*INDEXES, OCI_MANIFEST, DOCKER_MANIFEST)
# The fields of an image's config that are those of its platform in an index (image-spec, image-index.md).
PLATFORM_FIELDS = ("architecture", "os", "variant", "os.version", "os.features")
# Annotations of an attestation's descriptor (BuildKit, docs/attestations/attestation-storage.md).
_REFERENCE_TYPE = "vnd.docker.reference.type"
_REFERENCE_DIGEST = "vnd.docker.reference.digest"


def digest_of(content: bytes) -> str:
    """Return ``sha256:`` and the hash of the bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Descriptor:
    """What points to a manifest, a config or a layer (image-spec, descriptor.md).

    :ivar size: in bytes.
    :ivar platform: the platform of an entry of an index, as it is written; None where there is none.
    :ivar urls: where a layer is that may not be distributed.
    :ivar fields: all fields as they were read, also those that have no meaning here, for `json`.
    """

    media_type: str
    digest: str
    size: int
    platform: Mapping[str, Any] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    urls: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, value: object) -> Descriptor | None:
        """Return the descriptor that a part of a JSON document is; None when it is none."""
        if not isinstance(value, dict):
            return None
        digest, size, urls = value.get("digest"), value.get("size"), value.get("urls")
        platform, annotations = value.get("platform") or None, value.get("annotations") or {}
        if not (isinstance(digest, str) and isinstance(size, int) and size >= 0):
            return None
        if not (isinstance(platform, dict | None) and isinstance(annotations, dict)):
            return None
        elsewhere = tuple(map(str, urls)) if isinstance(urls, list) else ()
        return cls(str(value.get("mediaType") or ""), digest, size, platform, annotations, elsewhere, value)

    @property
    def json(self) -> dict[str, Any]:
        """The object to write; of a descriptor that was read, the same with its fields in the same order."""
        known = {
            "mediaType": self.media_type or None,
            "digest": self.digest,
            "size": self.size,
            "platform": self.platform,
            "annotations": self.annotations or None,
            "urls": self.urls or None,
        }
        return {**self.fields, **{key: value for key, value in known.items() if value is not None}}

    @property
    def is_index(self) -> bool:
        """Whether it points to an index."""
        return self.media_type in INDEXES

    @property
    def is_attestation(self) -> bool:
        """Whether it points to attestations, not to an image."""
        return _REFERENCE_TYPE in self.annotations

    @property
    def attested_digest(self) -> str | None:
        """The digest of the image that the attestations are about; None where there is none."""
        return self.annotations.get(_REFERENCE_DIGEST)


@dataclass(frozen=True)
class Manifest:
    """A manifest or index: the very bytes that were read or are to be written, so that the digest stays theirs."""

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
    def is_malformed(self) -> bool:
        """Whether layers are listed that are not as image-spec's manifest.md has them."""
        return bool(self.json.get("layers")) and not self.layers

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor that points to it."""
        return Descriptor(self.media_type, self.digest, len(self.body))

    @cached_property
    def entries(self) -> tuple[Descriptor, ...]:
        """The descriptors that an index lists; none of what is no index, or of one that is malformed."""
        return self._descriptors("manifests") if self.is_index else ()

    @cached_property
    def config(self) -> Descriptor | None:
        """The descriptor of an image's config; None of what is no image."""
        value = self.json.get("config")
        return Descriptor.parse({"size": 0, **value}) if isinstance(value, dict) else None

    @cached_property
    def layers(self) -> tuple[Descriptor, ...]:
        """The descriptors of an image's layers, the lowest first; none where any is malformed."""
        return self._descriptors("layers")

    @property
    def size(self) -> int:
        """The bytes of an image as it travels: its config and its layers, compressed."""
        return sum(layer.size for layer in self.layers) + (self.config.size if self.config else 0)

    def _descriptors(self, key: str) -> tuple[Descriptor, ...]:
        values = self.json.get(key)
        descriptors = tuple(map(Descriptor.parse, values)) if isinstance(values, list) else ()
        well_formed = tuple(descriptor for descriptor in descriptors if descriptor)
        return well_formed if len(well_formed) == len(descriptors) else ()
