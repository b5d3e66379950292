"""Images that tests make: layers as tars, with programs that are no more than headers."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from multiarch.image.elf import ELF, Elf
from multiarch.image.layers import Layer
from multiarch.image.program import Program
from multiarch.image.programs import started_programs

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Link:
    """A symbolic or hard link in a layer."""

    to: str
    hard: bool = False


Files = dict[str, bytes | Link | None]
DIRECTORY = None
EMPTY = b""
AMD64, ARM64 = (ELF[name].header() + b"\0" * 44 for name in ("amd64", "arm64"))
# A directory with a program of arm64 in it.
LOWER: Files = {"app": DIRECTORY, "app/bin": DIRECTORY, "app/bin/server": ARM64}


def noise(size: int) -> bytes:
    """Return bytes that cannot be compressed, the same ones every time."""
    return hashlib.shake_128(b"noise").digest(size)


def tar(files: Files) -> bytes:
    """Return a layer with these entries, in this order."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, what in files.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o755
            if isinstance(what, Link):
                member.type, member.linkname = tarfile.LNKTYPE if what.hard else tarfile.SYMTYPE, what.to
            elif what is DIRECTORY:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(what)
            archive.addfile(member, io.BytesIO(what) if isinstance(what, bytes) else None)
    return written.getvalue()


def layer_of(blob: bytes) -> Layer:
    """Return a reader of a layer."""
    return Layer(partial(io.BytesIO, blob))


def programs_of(config: Mapping[str, Any], *layers: Files | bytes) -> tuple[Program, ...]:
    """Return the programs of an image with this config.

    :param layers: the lowest first.
    """
    blobs = [layer if isinstance(layer, bytes) else tar(layer) for layer in layers]
    return started_programs({"config": config}, [*map(layer_of, blobs)])


def entrypoint(*words: str) -> dict[str, Any]:
    """Return the config of an image that starts with *words*."""
    return {"Entrypoint": [*words]}


def at(path: str, header: bytes = ARM64) -> tuple[Program, ...]:
    """Return the one program of an image: that at *path*."""
    return (Program(path, Elf.parse(header)),)


def missing(path: str) -> tuple[Program, ...]:
    """Return the program of an image that has nothing at *path*."""
    return (Program(path, note=f"{path} is not in its layers"),)
