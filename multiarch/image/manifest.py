"""Manifests, indexes and the descriptors in them, as registries hold them (OCI image-spec 1.1, Docker's schema 2)."""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from multiarch.image.documents import PLATFORM, are_texts, maps_texts, parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
IMAGE_CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
INDEXES = (OCI_INDEX, DOCKER_LIST)
IMAGES = (OCI_MANIFEST, DOCKER_MANIFEST)
MANIFESTS = (*INDEXES, *IMAGES)
# The fields of an image's config that are those of its platform in an index (image-spec, image-index.md).
PLATFORM_FIELDS = ("architecture", "os", "variant", "os.version", "os.features")
# Annotations of an attestation's descriptor (BuildKit, docs/attestations/attestation-storage.md).
_REFERENCE_TYPE = "vnd.docker.reference.type"
_ATTESTATIONS = "attestation-manifest"
# The annotation of an attestation's layer that says what it is (the same document).
PREDICATE_TYPE = "in-toto.io/predicate-type"
_REFERENCE_DIGEST = "vnd.docker.reference.digest"
# The registered algorithms (image-spec, descriptor.md, "Digests").
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
# RFC 6838, section 4.2, with room for parameters; without blanks and control characters at least.
_MEDIA_TYPE = re.compile(r"[!-~][ -~]{0,254}")
_LONGEST_SHOWN = 80  # characters of a document's words in an error
_LARGEST_SIZE = (1 << 63) - 1  # bytes; sizes are int64 (descriptor.md)
# Descriptors of one document. All known platforms with their attestations are 60; Linux stacks 500 layers at most.
MOST_DESCRIPTORS = 500


def _plain_type(text: str) -> str:
    """Return a media type without its parameters, in lower case."""
    return text.partition(";")[0].strip().lower()


def digest_of(content: bytes) -> str:
    """Return ``sha256:`` and the hash of the bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _is_platform(value: object) -> bool:
    return isinstance(value, dict) and all(
        value.get(key) is None or is_valid(value[key]) for key, is_valid in PLATFORM.items()
    )


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_SIZE


def _problem(value: object) -> str:
    """Return what is wrong with a part of a document that should be a descriptor; nothing where it is one."""
    if not isinstance(value, dict):
        return "is no object"
    if not (isinstance(value.get("digest"), str) and _DIGEST.fullmatch(value["digest"])):
        return "has no valid digest"
    if not _is_size(value.get("size")):
        return "has no valid size"
    media_type = value.get("mediaType") or "none"
    if not (isinstance(media_type, str) and _MEDIA_TYPE.fullmatch(media_type)):
        return "has no valid media type"
    checks = (("platform", _is_platform), ("annotations", maps_texts), ("urls", are_texts))
    return next((f"has no valid {key}" for key, is_valid in checks if value.get(key) and not is_valid(value[key])), "")


class Descriptor(Struct, frozen=True):
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
    fields: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: object) -> Descriptor | None:
        """Return the descriptor that a part of a JSON document is; None when it is none."""
        if _problem(value) or not isinstance(value, dict):
            return None
        platform, annotations, urls = value.get("platform"), value.get("annotations"), value.get("urls")
        return cls(
            value.get("mediaType") or "",
            value["digest"],
            value["size"],
            platform or None,
            annotations or {},
            tuple(urls or ()),
            value,
        )

    @property
    def json(self) -> dict[str, Any]:
        """The object to write; of a descriptor that was read, the same with its fields in the same order."""
        known = {
            "mediaType": self.media_type or None,
            "digest": self.digest,
            "size": self.size,
            "platform": self.platform,
            "annotations": self.annotations or None,
            "urls": list(self.urls) or None,
        }
        return {**self.fields, **{key: value for key, value in known.items() if value is not None}}

    @property
    def is_index(self) -> bool:
        """Whether it points to an index."""
        return self.media_type in INDEXES

    @property
    def is_attestation(self) -> bool:
        """Whether it points to attestations, not to an image; nothing but what is of no platform does."""
        platform = self.platform or {}
        is_of_none = [platform.get(key) for key in ("os", "architecture")] == ["unknown", "unknown"]
        return is_of_none and self.annotations.get(_REFERENCE_TYPE) == _ATTESTATIONS

    @property
    def attested_digest(self) -> str | None:
        """The digest of the image that the attestations are about; None where there is none."""
        return self.annotations.get(_REFERENCE_DIGEST)


class Manifest(Struct, frozen=True, dict=True):
    """A manifest or index: the very bytes that were read or are to be written, so that the digest stays theirs."""

    media_type: str
    body: bytes

    @classmethod
    def read(cls, content_type: str, body: bytes) -> Manifest:
        """Return a manifest as a registry sent it: of the type that it is, whatever the registry calls it.

        :param content_type: of the answer; its case and its parameters do not matter (RFC 9110, section 8.3.1).
        """
        named = _plain_type(content_type)
        try:
            fields = parse_object(body)
        except ValueError:
            return cls(named, body)
        has_entries, has_layers = (isinstance(fields.get(key), list) for key in ("manifests", "layers"))
        declared = _plain_type(fields["mediaType"]) if isinstance(fields.get("mediaType"), str) else ""
        if has_entries == has_layers:  # neither, or both: what is wrong with it, `problem` says
            return cls(declared if declared in MANIFESTS else named, body)
        fitting = INDEXES if has_entries else IMAGES
        known = [name for name in (declared, named) if name in fitting]
        # Another type that somebody declared is not ours to correct.
        return cls(known[0] if known else declared or fitting[0], body)

    @cached_property
    def digest(self) -> str:
        """The digest of the bytes."""
        return digest_of(self.body)

    @cached_property
    def json(self) -> dict[str, Any]:
        """The parsed body; empty when it is no JSON object."""
        try:
            return parse_object(self.body)
        except ValueError:
            return {}

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests instead of being one."""
        return self.media_type in INDEXES

    @cached_property
    def problem(self) -> str:
        """What is not as image-spec's manifest.md and image-index.md have it; nothing where all is well."""
        try:
            fields = parse_object(self.body)
        except ValueError as error:
            return str(error)
        return self._ambiguity(fields) or self._problem_of_fields(fields)

    def _ambiguity(self, fields: Mapping[str, Any]) -> str:
        """Return what makes one document two things to two programs (CVE-2021-41190, GHSA-mc8v-mgrf-8f4m)."""
        if (named := fields.get("mediaType")) and self.media_type:
            if not isinstance(named, str):
                return "its media type is no text"
            if _plain_type(named) != _plain_type(self.media_type):
                return f"its own media type is {named[:_LONGEST_SHOWN]!a}"
        if fields.get("manifests") is not None and any(fields.get(key) is not None for key in ("layers", "config")):
            return "it has both manifests and layers or a config"
        return ""

    def _problem_of_fields(self, fields: Mapping[str, Any]) -> str:
        if self.is_index:
            return self._problem_of_list("manifests", fields.get("manifests"))
        config = fields.get("config")
        if config is not None and (problem := _problem(config)):
            return f"its config {problem}"
        return self._problem_of_list("layers", fields.get("layers") or [])

    @staticmethod
    def _problem_of_list(key: str, values: object) -> str:
        if not isinstance(values, list):
            return f"it has no {key}"
        if len(values) > MOST_DESCRIPTORS:
            return f"it has {len(values)} {key}, more than {MOST_DESCRIPTORS}"
        problems = ((number, _problem(value)) for number, value in enumerate(values, 1))
        return next((f"number {number} of its {key} {problem}" for number, problem in problems if problem), "")

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor that points to it."""
        return Descriptor(self.media_type, self.digest, len(self.body))

    @cached_property
    def entries(self) -> tuple[Descriptor, ...]:
        """The descriptors that an index lists; none of what is no index, or of one that has a problem."""
        return self._descriptors("manifests") if self.is_index else ()

    @cached_property
    def config(self) -> Descriptor | None:
        """The descriptor of an image's config; None of what is no image, or of one that has a problem."""
        return None if self.problem else Descriptor.parse(self.json.get("config"))

    @cached_property
    def layers(self) -> tuple[Descriptor, ...]:
        """The descriptors of an image's layers, the lowest first; none of one that has a problem."""
        return self._descriptors("layers")

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations; none where they are malformed."""
        annotations = self.json.get("annotations")
        return annotations if isinstance(annotations, dict) and maps_texts(annotations) else {}

    @property
    def size(self) -> int:
        """The bytes of an image as it travels: its config and its layers, compressed."""
        return sum(layer.size for layer in self.layers) + (self.config.size if self.config else 0)

    def _descriptors(self, key: str) -> tuple[Descriptor, ...]:
        values = None if self.problem else self.json.get(key)
        return tuple(filter(None, map(Descriptor.parse, values))) if isinstance(values, list) else ()
