"""Archives of images (OCI image-spec, image-layout.md): those of several solves become one."""

from __future__ import annotations

import io
import json
import re
import tarfile
from typing import TYPE_CHECKING

from multiarch.errors import MultiarchError
from multiarch.formatting import one_line
from multiarch.image.manifest import OCI_INDEX, Descriptor, Manifest
from multiarch.paths import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_BLOB = re.compile(r"blobs/sha256/[0-9a-f]{64}")
_LARGEST_INDEX = 4 << 20  # bytes, as registries take them
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


def join_archives(archives: Sequence[Path], path: Path) -> str:
    """Write one archive with all images of several, under one index; return the digest of that.

    :param archives: as BuildKit writes them: each lists one index.
    :raises MultiarchError: one is not such an archive, or the new one cannot be written.
    """
    try:
        entries = [entry for archive in archives for entry in _entries(archive)]
        fields = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry.json for entry in entries]}
        index = Manifest(OCI_INDEX, json.dumps(fields, separators=(",", ":")).encode())
        listed = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [index.descriptor.json]}
        with replacing(path) as file, tarfile.open(fileobj=file, mode="w") as tar:
            _add(tar, "oci-layout", _LAYOUT)
            _add(tar, "index.json", json.dumps(listed, separators=(",", ":")).encode())
            _add(tar, _name(index.digest), index.body)
            written = {_name(index.digest)}
            for archive in archives:
                _copy(archive, tar, written)
    except (OSError, tarfile.TarError, ValueError, LookupError) as error:
        reason = one_line(str(getattr(error, "strerror", None) or error))
        raise MultiarchError(f"{path}: the images cannot be put into one archive: {reason}") from None
    return index.digest


def _entries(archive: Path) -> Iterator[Descriptor]:
    """Yield the entries of the index in an archive. :raises ValueError: there is none."""
    with tarfile.open(archive) as tar:
        (listed,) = Manifest(OCI_INDEX, _read(tar, "index.json")).entries
        index = Manifest(listed.media_type, _read(tar, _name(listed.digest)))
        if index.problem or not index.is_index or index.digest != listed.digest:
            raise ValueError(f"{archive.name} lists no index")
        yield from index.entries


def _copy(archive: Path, tar: tarfile.TarFile, written: set[str]) -> None:
    """Copy the blobs that are not written yet."""
    with tarfile.open(archive) as source:
        for member in source:
            if member.isreg() and _BLOB.fullmatch(member.name) and member.name not in written:
                tar.addfile(member, source.extractfile(member))
                written.add(member.name)


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    content = file.read(_LARGEST_INDEX + 1) if file else b""
    if len(content) > _LARGEST_INDEX:
        raise ValueError(f"{name} is larger than any index")
    return content


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


def _name(digest: str) -> str:
    algorithm, _, digits = digest.partition(":")
    return f"blobs/{algorithm}/{digits}"
