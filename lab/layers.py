"""Image layers: tar archives that come out the same, byte by byte, whenever they are made."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# The time of every file and image we make: any fixed one will do.
EPOCH = 1_700_000_000
# Fast rather than small: the layers travel over loopback only.
_LEVEL = 1


@dataclass(frozen=True)
class Layer:
    """A compressed layer on disk, with the names that manifests and configs know it by."""

    path: Path
    digest: str
    size: int
    diff_id: str


@dataclass(frozen=True)
class Entry:
    """One file, directory or link of a layer."""

    info: tarfile.TarInfo
    content: bytes | Path = b""


def file(name: str, content: bytes | Path, mode: int = 0o644) -> Entry:
    """Return a file whose content is given or read from a path."""
    entry = Entry(_info(name, tarfile.REGTYPE, mode), content)
    entry.info.size = content.stat().st_size if isinstance(content, Path) else len(content)
    return entry


def program(name: str, content: bytes | Path) -> Entry:
    """Return an executable file."""
    return file(name, content, 0o755)


def directory(name: str, mode: int = 0o755) -> Entry:
    """Return a directory."""
    return Entry(_info(name, tarfile.DIRTYPE, mode))


def symlink(name: str, target: str) -> Entry:
    """Return a symbolic link."""
    return _link(name, tarfile.SYMTYPE, target)


def hard_link(name: str, target: str) -> Entry:
    """Return another name for a file that comes earlier in the layer."""
    return _link(name, tarfile.LNKTYPE, target)


def write_layer(path: Path, entries: Iterable[Entry]) -> Layer:
    """Write the entries, in their order, as a layer."""
    plain = path.with_suffix(".tar")
    with tarfile.open(plain, "w", format=tarfile.GNU_FORMAT) as archive:
        for entry in entries:
            if isinstance(entry.content, Path):
                with entry.content.open("rb") as content:
                    archive.addfile(entry.info, content)
            else:
                archive.addfile(entry.info, io.BytesIO(entry.content))
    layer = compress(plain, path)
    plain.unlink()
    return layer


def compress(archive: Path, path: Path) -> Layer:
    """Make a layer of a tar archive that is there already."""
    with (
        archive.open("rb") as source,
        path.open("wb") as target,
        # No name and no time in the header, or it would differ from run to run.
        gzip.GzipFile(filename="", mode="wb", fileobj=target, compresslevel=_LEVEL, mtime=0) as packed,
    ):
        shutil.copyfileobj(source, packed, 1 << 20)
    return Layer(path, _sha256(path), path.stat().st_size, _sha256(archive))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{_digest(stream)}"


def _digest(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _info(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, EPOCH
    return info


def _link(name: str, kind: bytes, target: str) -> Entry:
    entry = Entry(_info(name, kind, 0o777))
    entry.info.linkname = target
    return entry
