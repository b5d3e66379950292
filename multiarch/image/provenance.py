"""Provenance of an image: what its build took from elsewhere (in-toto statement, SLSA 0.2 and 1 as BuildKit writes it).

BuildKit names the images by package URLs (github.com/package-url/purl-spec, ``docker``): with a tag and the digest that
it had, or with a digest alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from msgspec import Struct

from multiarch.image.documents import parse_object
from multiarch.image.reference import ImageReference

if TYPE_CHECKING:
    from collections.abc import Sequence

PROVENANCE = "https://slsa.dev/provenance/"
LARGEST = 8 << 20  # bytes of a statement; one of mode=max has some hundred kilobytes
_MOST = 1000  # materials of a build
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PREFIX = "pkg:docker/"


class Material(Struct, frozen=True):
    """Something that a build took from elsewhere.

    :ivar name: as the provenance writes it.
    :ivar image: the image, without digest where it was named by a tag; None for what is no image.
    :ivar digest: what it was then.
    """

    name: str
    image: ImageReference | None
    digest: str


def read_materials(statement: bytes) -> tuple[Material, ...]:
    """Return what the build of an image took from elsewhere.

    :raises ValueError: the statement is no provenance, or is malformed.
    """
    kind, predicate = _predicate(statement)
    if kind.startswith(f"{PROVENANCE}v0."):
        materials = predicate.get("materials")
    else:
        definition = predicate.get("buildDefinition")
        if not isinstance(definition, dict):
            raise ValueError("it does not say what was built")
        materials = definition.get("resolvedDependencies")
    # BuildKit writes null for a build of nothing but the context.
    if materials is None:
        return ()
    if not isinstance(materials, list) or len(materials) > _MOST:
        raise ValueError("its materials are no list, or too many")
    return tuple(map(_material, materials))


def read_end(statement: bytes) -> str:
    """Return when the build of an image ended (RFC 3339), as it is written; empty where that is not said.

    It is the builder's clock, whatever times the image itself is given (SOURCE_DATE_EPOCH).

    :raises ValueError: the statement is no provenance.
    """
    kind, predicate = _predicate(statement)
    is_old = kind.startswith(f"{PROVENANCE}v0.")
    details = predicate if is_old else predicate.get("runDetails")
    name = "buildFinishedOn" if is_old else "finishedOn"
    metadata = details.get("metadata") if isinstance(details, dict) else None
    end = metadata.get(name) if isinstance(metadata, dict) else None
    return end if isinstance(end, str) else ""


def _predicate(statement: bytes) -> tuple[str, dict[str, Any]]:
    """Return the type of a statement's predicate, and the predicate. :raises ValueError: it is no provenance."""
    fields = parse_object(statement)
    kind, predicate = fields.get("predicateType"), fields.get("predicate")
    if not isinstance(kind, str) or not kind.startswith(PROVENANCE) or not isinstance(predicate, dict):
        raise ValueError("it is no provenance")
    return kind, predicate


def _material(value: Any) -> Material:
    uri = value.get("uri") if isinstance(value, dict) else None
    digests = value.get("digest") if isinstance(value, dict) else None
    if not isinstance(uri, str) or not isinstance(digests, dict):
        raise ValueError("a material has no address, or no digest")
    if not uri.startswith(_PREFIX):
        return Material(uri, None, "")
    digest = digests.get("sha256")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError(f"the digest of a material is none: {uri[:200]!r}")
    return Material(uri, _image(uri), f"sha256:{digest}")


def _image(uri: str) -> ImageReference:
    """Return the image that a package URL names. :raises ValueError: it names none."""
    place, _, query = uri.removeprefix(_PREFIX).partition("?")
    path, _, version = place.partition("@")
    pinned: Sequence[str] = parse_qs(query).get("digest", ())
    name = unquote(path) + (f":{unquote(version)}" if version else "") + (f"@{pinned[0]}" if pinned else "")
    return ImageReference.parse(name)
