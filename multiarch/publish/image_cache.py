"""What was found out about images before, kept in the user's cache: under a digest, content never changes.

It spares a release whose images are the same as yesterday's from reading their layers again.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from multiarch.config.checkout import REVISION
from multiarch.image.elf import Elf
from multiarch.image.programs import Program
from multiarch.paths import cache_directory, replacing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Of how images are looked into: another one looks again.
_VERSION = "2"
# Of an image's config, what its entry in an index says (image-spec, image-index.md).
CONFIG_PLATFORM = ("architecture", "os", "variant", "os.version", "os.features")


def recall(digest: str) -> tuple[dict[str, Any], tuple[Program, ...]] | None:
    """Return what the gates want of an image's config, and the programs that it starts; None when nobody has looked."""
    try:
        kept = json.loads(_path(digest).read_text())
        programs = tuple(Program(path, Elf(*elf)) for path, elf in kept["programs"])
        return dict(kept["config"]), programs
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(digest: str, config: Mapping[str, Any], programs: Sequence[Program]) -> None:
    """Keep them; but not what could not be looked at, as it may be another time."""
    if not all(program.elf for program in programs):
        return
    revision = ((config.get("config") or {}).get("Labels") or {}).get(REVISION)
    labelled = {"config": {"Labels": {REVISION: revision}}} if revision else {}
    kept = {
        "config": {key: config[key] for key in CONFIG_PLATFORM if config.get(key)} | labelled,
        "programs": [(program.path, program.elf) for program in programs],
    }
    path = _path(digest)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, mode=0o600) as file:
            file.write(json.dumps(kept).encode())


def _path(digest: str) -> Path:
    return cache_directory() / "images" / _VERSION / f"{digest.replace(':', '-')}.json"
