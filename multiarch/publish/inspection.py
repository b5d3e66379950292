"""Tables of what is under the published tags; nothing is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from multiarch.concurrency import each
from multiarch.formatting import columns, size
from multiarch.image.manifest import PREDICATE_TYPE
from multiarch.image.provenance import PROVENANCE
from multiarch.publish.errors import NotPublishedError, UnreadableTagError
from multiarch.publish.staged import read_platforms
from multiarch.registry.client import stop_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multiarch.config.settings import Settings
    from multiarch.image.manifest import Descriptor, Manifest
    from multiarch.image.reference import ImageReference
    from multiarch.registry.client import Registry

_HEAD = ("PLATFORM", "DIGEST", "SIZE", "LAYERS", "ATTESTATIONS")
# Of each image and of the index itself, where the settings have something signed.
_SIGNED = "SIGNED"
# The short names of predicates, by the beginnings of their types (BuildKit, docs/attestations).
_SHORT = {PROVENANCE: "provenance", "https://spdx.dev/Document": "sbom"}
_NOTHING = "-"
# What stands for a value that does not have the form of its kind: a row has the cells that it seems to have.
_MALFORMED = "?"
# Digests of all registered algorithms (image-spec, descriptor.md, "Digests").
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]{32,128}")
_SIGNABLE = re.compile(r"sha256:[0-9a-f]{64}")
_PLATFORM_PART = re.compile(r"[a-z0-9._-]{1,64}")
# RFC 6838, section 4.2 ("restricted-name").
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(f"{_NAME}/{_NAME}")
# RFC 3986, section 2, without what divides the cells of a row: blanks and commas.
_URI = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:/?#\[\]@!$&'()*+;=%-]{0,254}")


@dataclass(frozen=True)
class _Entry:
    """A descriptor in an index, and the manifest that it points to; None where the registry does not have it."""

    descriptor: Descriptor
    manifest: Manifest | None


def inspect(
    settings: Settings,
    registries: Mapping[str, Registry],
    states: Callable[[Sequence[ImageReference]], Sequence[str]] | None = None,
) -> list[str]:
    """Return, for each tag, a line with its digest and media type, and a table of its platforms.

    :param states: returns what is known of the signatures of images; None where nothing is signed.
    :raises NotPublishedError: nothing is under a tag. :raises UnreadableTagError: what is there is not well-formed.
    """
    tables = each(
        lambda tag: _table(tag, registries[tag.registry], states),
        settings.publish.references,
        on_failure=partial(stop_all, registries.values()),
    )
    return [line for table in tables for line in table]


def commands(settings: Settings) -> list[list[str]]:
    """Return the equivalent commands."""
    return [
        ["docker", "manifest", "inspect", *settings.publish.insecure_flag(tag), "--verbose", str(tag)]
        for tag in settings.publish.references
    ]


def _table(
    tag: ImageReference, registry: Registry, states: Callable[[Sequence[ImageReference]], Sequence[str]] | None
) -> list[str]:
    manifest = registry.manifest(tag.repository, tag.tag)
    if manifest is None:
        raise NotPublishedError(tag)
    if manifest.is_index and manifest.problem:
        raise UnreadableTagError(tag, f"{manifest.media_type} ({manifest.problem})")
    if manifest.is_index:
        rows = _rows(manifest, tag.repository, registry)
    else:
        platforms = ", ".join(map(str, read_platforms(manifest, tag.repository, registry)))
        rows = [(platforms or _NOTHING, manifest.digest, *_content(manifest), _NOTHING)]
    line = f"{tag.with_digest(manifest.digest)}  {_valid(manifest.media_type, _MEDIA_TYPE)}"
    table: list[tuple[str, ...]] = [_HEAD, *rows]
    if states is None:
        return [line, *columns(table)]
    repository = tag.with_tag("")
    digests = [manifest.digest, *(row[1] for row in rows)]
    # Of an entry whose digest has no form, or is of another algorithm, nothing can be asked.
    asked = dict.fromkeys(digest for digest in digests if _SIGNABLE.fullmatch(digest))
    known = dict(zip(asked, states([repository.with_digest(digest) for digest in asked]), strict=True))
    signed = [known.get(digest, _MALFORMED) for digest in digests]
    extended = [(*row, text) for row, text in zip(table, (_SIGNED, *signed[1:]), strict=True)]
    return [f"{line}  {_SIGNED.lower()}: {signed[0]}", *columns(extended)]


def _rows(index: Manifest, repository: str, registry: Registry) -> list[tuple[str, ...]]:
    def read(descriptor: Descriptor) -> _Entry:
        return _Entry(descriptor, registry.manifest(repository, descriptor.digest))

    entries = each(read, index.entries, on_failure=registry.stop)
    predicates: dict[str | None, list[str]] = {}
    for entry in entries:
        if entry.descriptor.is_attestation and entry.manifest is not None:
            predicates.setdefault(entry.descriptor.attested_digest, []).extend(_predicates(entry.manifest))
    return [
        (
            _platform(entry.descriptor),
            _valid(entry.descriptor.digest, _DIGEST),
            *_content(entry.manifest),
            ", ".join(predicates.get(entry.descriptor.digest, [])) or _NOTHING,
        )
        for entry in entries
        if not entry.descriptor.is_attestation
    ]


def _platform(descriptor: Descriptor) -> str:
    """Return the platform as the index writes it."""
    platform = descriptor.platform or {}
    parts = [platform[key] for key in ("os", "architecture", "variant") if platform.get(key)]
    return "/".join(_valid(part, _PLATFORM_PART) for part in parts) or _NOTHING


def _content(manifest: Manifest | None) -> tuple[str, str]:
    """Return the size of an image as it travels, and the number of its layers."""
    return (size(manifest.size), str(len(manifest.layers))) if manifest else ("missing", _NOTHING)


def _predicates(manifest: Manifest) -> list[str]:
    types = [_valid(layer.annotations.get(PREDICATE_TYPE) or "unknown", _URI) for layer in manifest.layers]
    return [next((name for start, name in _SHORT.items() if kind.startswith(start)), kind) for kind in types]


def _valid(value: object, form: re.Pattern[str]) -> str:
    """Return a value that has its form; a question mark for any other."""
    return value if isinstance(value, str) and form.fullmatch(value) else _MALFORMED
