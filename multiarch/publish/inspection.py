"""What is published: the index under each tag as a table, read without writing anything."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from multiarch.formatting import columns, size
from multiarch.image.manifest import REFERENCE_DIGEST, is_attestation
from multiarch.publish.errors import NotPublishedError
from multiarch.publish.staged import read_platforms
from multiarch.registry.client import stopping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.settings import Settings
    from multiarch.image.manifest import Descriptor, Manifest
    from multiarch.image.reference import ImageReference
    from multiarch.registry.client import Registry

_HEAD = ("PLATFORM", "DIGEST", "SIZE", "LAYERS", "ATTESTATIONS")
_PREDICATE = "in-toto.io/predicate-type"
# What predicates are called in short (BuildKit, docs/attestations).
_CALLED = {"https://slsa.dev/provenance/": "provenance", "https://spdx.dev/Document": "sbom"}


def inspect(settings: Settings, registries: Mapping[str, Registry]) -> list[str]:
    """Return, for each tag, a line with its digest and type, and a table of its platforms.

    :raises NotPublishedError: nothing is under a tag.
    """
    tags = [image.with_tag(tag) for image in settings.publish.images for tag in settings.publish.tags]
    with ThreadPoolExecutor(max_workers=len(tags)) as pool, stopping(registries.values()):
        shown = list(pool.map(lambda tag: _shown(tag, registries[tag.registry]), tags))
    return [line for lines in shown for line in lines]


def commands(settings: Settings) -> list[list[str]]:
    """Return the equivalent commands."""
    tags = [image.with_tag(tag) for image in settings.publish.images for tag in settings.publish.tags]
    return [
        ["docker", "manifest", "inspect", *settings.publish.insecure_flag(tag), "--verbose", str(tag)] for tag in tags
    ]


def _shown(tag: ImageReference, registry: Registry) -> list[str]:
    found = registry.manifest(tag.repository, tag.tag)
    if found is None:
        raise NotPublishedError(tag)
    entries = found.entries if found.is_index else [found.descriptor]
    with ThreadPoolExecutor(max_workers=len(entries) + 1) as pool:
        plain = pool.submit(read_platforms, found, tag.repository, registry) if not found.is_index else None
        held = list(pool.map(lambda entry: registry.manifest(tag.repository, entry["digest"]), entries))
    told: dict[str, list[str]] = {}
    for entry, manifest in zip(entries, held, strict=True):
        if is_attestation(entry) and manifest is not None:
            told.setdefault(entry["annotations"].get(REFERENCE_DIGEST, ""), []).extend(_predicates(manifest))
    rows = [_HEAD]
    for entry, manifest in zip(entries, held, strict=True):
        if not is_attestation(entry):
            name = ", ".join(map(str, plain.result())) or "-" if plain else _name(entry)
            rows.append((name, entry["digest"], *_content(manifest), ", ".join(told.get(entry["digest"], [])) or "-"))
    return [f"{tag.with_digest(found.digest)}  {found.media_type}", *columns(rows)]


def _name(entry: Descriptor) -> str:
    platform = entry.get("platform") or {}
    return "/".join(str(platform[key]) for key in ("os", "architecture", "variant") if platform.get(key)) or "-"


def _content(manifest: Manifest | None) -> tuple[str, str]:
    """Return size and number of layers, as they travel: compressed."""
    if manifest is None:
        return "missing", "-"
    return size(manifest.size), str(len(manifest.layers))


def _predicates(manifest: Manifest) -> list[str]:
    types = [str((layer.get("annotations") or {}).get(_PREDICATE) or "unknown") for layer in manifest.layers]
    return [next((name for start, name in _CALLED.items() if kind.startswith(start)), kind) for kind in types]
