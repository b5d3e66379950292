"""On-disk cache of inspected images, keyed by manifest digest.

It spares a release of the same images as yesterday's from reading their layers again.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from multiarch.config.checkout import REVISION
from multiarch.image.documents import are_texts, parse_config, parse_object
from multiarch.image.elf import Elf
from multiarch.image.manifest import PLATFORM_FIELDS
from multiarch.image.marks import FloatABI, Marks
from multiarch.image.program import Program
from multiarch.paths import cache_directory, replacing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Cache format version; raise it when the inspection of images changes.
_VERSION = "5"
_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")


class InspectedImage(Struct, frozen=True):
    """The config of an image, and the programs that it starts.

    :ivar config: as config.md of the image-spec has it; from the cache, what gates, index and trials need.
    :ivar programs: the first is the one that the image starts with.
    """

    config: Mapping[str, Any]
    programs: tuple[Program, ...]


def recall(digest: str) -> InspectedImage | None:
    """Return the image with this manifest; None when it is not in the cache."""
    try:
        kept = parse_object(_path(digest).read_bytes())
        config = parse_config(json.dumps(kept["config"]).encode())
        programs = tuple(map(_program, kept["programs"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return InspectedImage(config, programs) if programs else None


def remember(digest: str, image: InspectedImage) -> None:
    """Keep an image, unless a layer of it was not read: next time it may be."""
    if any(program.is_unread for program in image.programs):
        return
    inner = image.config.get("config") or {}
    revision = (inner.get("Labels") or {}).get(REVISION)
    run = {"Labels": {REVISION: revision}} if revision else {}
    run |= {key: inner[key] for key in ("Entrypoint", "OnBuild") if inner.get(key)}
    kept = {
        "config": {key: image.config[key] for key in PLATFORM_FIELDS if image.config.get(key)}
        | ({"config": run} if run else {}),
        "programs": [_kept(program) for program in image.programs],
    }
    path = _path(digest)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, mode=0o600) as file:
            file.write(json.dumps(kept).encode())


def _kept(program: Program) -> dict[str, Any]:
    """Return a program as it is written."""
    marks = program.marks
    abi = marks.float_abi.value if marks.float_abi else ""
    about = {"note": program.note, "fault": program.fault, "certain": program.is_certain}
    return {
        "path": program.path,
        "elf": program.elf,
        "marks": [marks.loader, marks.arm_version, abi, marks.x86_level, marks.problem],
        **about,
    }


def _program(kept: Mapping[str, Any]) -> Program:
    """Return a program as it was read. :raises ValueError: it is none."""
    loader, version, abi, level, problem = kept["marks"]
    is_number = isinstance(level, int) and (version is None or isinstance(version, int))
    if not (
        is_number and isinstance(kept["certain"], bool) and are_texts([loader, problem, kept["note"], kept["fault"]])
    ):
        raise ValueError("no program")
    elf = _elf(*kept["elf"]) if kept["elf"] else None
    marks = Marks(loader, version, FloatABI(abi) if abi else None, level, problem)
    return Program(str(kept["path"]), elf, kept["note"], kept["fault"], marks, is_certain=kept["certain"])


def _elf(bits: object, endianness: object, machine: object) -> Elf:
    """Return the marks that were kept. :raises ValueError: they are none."""
    order = next((order for order in _ORDERS if order == endianness), None)
    if not (isinstance(bits, int) and isinstance(machine, int) and order):
        raise ValueError("no ELF header")
    return Elf(bits, order, machine)


def _path(digest: str) -> Path:
    return cache_directory() / "images" / _VERSION / f"{digest.replace(':', '-')}.json"
