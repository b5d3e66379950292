"""The registry of the distribution project, version 3, built from its own source: made on first need.

Debian has 2.8, which deletes by digest alone; this one deletes tags too. Neither has the referrers API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import golang
from lab.errors import LabError
from lab.parts import Part
from lab.paths import SOURCE

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "v3.1.2"

_MODULE = "github.com/distribution/distribution/v3"
_PROGRAM = "registry"
_LDFLAGS = f"-s -w -X {_MODULE}/version.version={VERSION}"


def _make(folder: Path) -> str:
    go = golang.build(SOURCE / "distribution", [f"{_MODULE}/cmd/{_PROGRAM}"], folder, _LDFLAGS)
    return f"{VERSION} (go {go})"


def _intact(folder: Path) -> bool:
    return (folder / _PROGRAM).is_file()


PART = Part(
    name="distribution",
    make=_make,
    recipe=(VERSION, _LDFLAGS),
    files=("distribution/go.mod", "distribution/go.sum"),
    intact=_intact,
)


def program() -> Path:
    """Return the path of the registry (``registry serve CONFIG``), after it was built where it is missing.

    :raises LabError: its sources cannot be fetched or compiled, or the cache is not ours.
    """
    from lab.jobs import run_jobs
    from lab.lock import alone

    if not PART.fresh():
        try:
            with alone():
                run_jobs([PART.job()])
        except PermissionError as error:
            raise LabError(f"{PART.name} cannot be built into {PART.folder}: do this once as root") from error
    return PART.folder / _PROGRAM
