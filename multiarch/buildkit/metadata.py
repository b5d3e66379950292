"""The metadata file of a solve (``buildctl build --metadata-file``): the digest of what was exported."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LARGEST = 1 << 20  # bytes; it holds a few digests


class _Metadata(msgspec.Struct):
    digest: str | None = msgspec.field(name="containerimage.digest", default=None)


def read_digest(file: Path) -> str:
    """Return the digest of the image that was exported. :raises ValueError: there is none, in a few words."""
    try:
        with file.open("rb") as stream:
            text = stream.read(_LARGEST + 1)
    except OSError as error:
        raise ValueError(f"its metadata cannot be read ({error.strerror})") from None
    if len(text) > _LARGEST:
        raise ValueError(f"its metadata has more than {_LARGEST} bytes")
    try:
        digest = msgspec.json.decode(text, type=_Metadata).digest
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ValueError("its metadata is not what buildctl writes") from None
    if not digest:
        raise ValueError("its metadata names no digest (containerimage.digest)")
    if not _DIGEST.fullmatch(digest):
        raise ValueError("its metadata names a digest that is none (containerimage.digest)")
    return digest
