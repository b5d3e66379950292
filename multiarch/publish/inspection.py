"""Tables of what is under the published tags; nothing is written."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import asdict

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
# What is known of them, as data: whether it is signed; None for all else.
_KNOWN = {"yes": True, "no": False}
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


class Line(Struct, frozen=True):
    """A line of what is shown. :ivar json: the same as fields; none for the head of a table."""

    text: str
    json: Mapping[str, Any]

    def __str__(self) -> str:
        return self.text


class _Row(Struct, frozen=True):
    """An image that is listed.

    :ivar platform: as it is shown; empty where none is known.
    :ivar size: bytes, as it travels; None, as the number of layers, where the registry does not have it.
    """

    platform: str
    digest: str
    size: int | None
    layers: int | None
    attestations: tuple[str, ...] = ()

    @property
    def cells(self) -> tuple[str, ...]:
        content = ("missing", _NOTHING) if self.layers is None else (size(self.size), str(self.layers))
        return (self.platform or _NOTHING, self.digest, *content, ", ".join(self.attestations) or _NOTHING)


class _Entry(Struct, frozen=True):
    """A descriptor in an index, and the manifest that it points to; None where the registry does not have it."""

    descriptor: Descriptor
    manifest: Manifest | None


def inspect(
    settings: Settings,
    registries: Mapping[str, Registry],
    states: Callable[[Sequence[ImageReference]], Sequence[str]] | None = None,
) -> list[Line]:
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
) -> list[Line]:
    """Return the lines about one tag.

    :raises NotPublishedError: nothing is under it. :raises UnreadableTagError: what is there is not well-formed.
    """
    manifest = registry.manifest(tag.repository, tag.tag)
    if manifest is None:
        raise NotPublishedError(tag)
    if manifest.is_index and manifest.problem:
        raise UnreadableTagError(tag, f"{manifest.media_type} ({manifest.problem})")
    if manifest.is_index:
        rows = _rows(manifest, tag.repository, registry)
    else:
        platforms = ", ".join(map(str, read_platforms(manifest, tag.repository, registry)))
        rows = [_Row(platforms, manifest.digest, *_content(manifest))]
    digests = [manifest.digest, *(row.digest for row in rows)]
    signed = _signed(tag.with_tag(""), digests, states) if states else [None] * len(digests)
    return _lines(tag, manifest, rows, signed)


def _signed(
    repository: ImageReference, digests: Sequence[str], states: Callable[[Sequence[ImageReference]], Sequence[str]]
) -> list[str | None]:
    """Return what is known of the signature of each digest."""
    # Of an entry whose digest has no form, or is of another algorithm, nothing can be asked.
    asked = dict.fromkeys(digest for digest in digests if _SIGNABLE.fullmatch(digest))
    known = dict(zip(asked, states([repository.with_digest(digest) for digest in asked]), strict=True))
    return [known.get(digest, _MALFORMED) for digest in digests]


def _lines(tag: ImageReference, manifest: Manifest, rows: Sequence[_Row], signed: Sequence[str | None]) -> list[Line]:
    """Return the lines of one tag. :param signed: of the tag and of each row; None where nothing is signed."""
    media_type, own = _valid(manifest.media_type, _MEDIA_TYPE), signed[0]
    first = f"{tag.with_digest(manifest.digest)}  {media_type}"
    fields = {"tag": str(tag), "digest": manifest.digest, "media_type": media_type, "signed": _KNOWN.get(own or "")}
    table = [(*row.cells, *([state] if state else [])) for row, state in zip(rows, signed[1:], strict=True)]
    head, *texts = columns([(*_HEAD, *([_SIGNED] if own else [])), *table])
    return [
        Line(f"{first}  {_SIGNED.lower()}: {own}" if own else first, fields),
        Line(head, {}),
        *(
            Line(text, {"tag": str(tag), **asdict(row), "signed": _KNOWN.get(state or "")})
            for text, row, state in zip(texts, rows, signed[1:], strict=True)
        ),
    ]


def _rows(index: Manifest, repository: str, registry: Registry) -> list[_Row]:
    """Return a row for each image of an index, with the kinds of its attestations."""

    def read(descriptor: Descriptor) -> _Entry:
        return _Entry(descriptor, registry.manifest(repository, descriptor.digest))

    entries = each(read, index.entries, on_failure=registry.stop)
    predicates: dict[str | None, list[str]] = {}
    for entry in entries:
        if entry.descriptor.is_attestation and entry.manifest is not None:
            predicates.setdefault(entry.descriptor.attested_digest, []).extend(_predicates(entry.manifest))
    return [
        _Row(
            _platform(entry.descriptor),
            _valid(entry.descriptor.digest, _DIGEST),
            *_content(entry.manifest),
            tuple(predicates.get(entry.descriptor.digest, [])),
        )
        for entry in entries
        if not entry.descriptor.is_attestation
    ]


def _platform(descriptor: Descriptor) -> str:
    """Return the platform as the index writes it; empty where it writes none."""
    platform = descriptor.platform or {}
    parts = [platform[key] for key in ("os", "architecture", "variant") if platform.get(key)]
    return "/".join(_valid(part, _PLATFORM_PART) for part in parts)


def _content(manifest: Manifest | None) -> tuple[int | None, int | None]:
    """Return the size of an image as it travels, and the number of its layers."""
    return (manifest.size, len(manifest.layers)) if manifest else (None, None)


def _predicates(manifest: Manifest) -> list[str]:
    types = [_valid(layer.annotations.get(PREDICATE_TYPE) or "unknown", _URI) for layer in manifest.layers]
    return [next((name for start, name in _SHORT.items() if kind.startswith(start)), kind) for kind in types]


def _valid(value: object, form: re.Pattern[str]) -> str:
    """Return a value that has its form; a question mark for any other."""
    return value if isinstance(value, str) and form.fullmatch(value) else _MALFORMED
