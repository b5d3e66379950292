"""Cosign, and a registry with the referrers API to sign in, built from their own sources: made on first need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import golang
from lab.errors import LabError
from lab.parts import Part
from lab.paths import SOURCE

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "v3.1.2"

_PACKAGES = ("github.com/sigstore/cosign/v3/cmd/cosign", "./referrers")
# Go notes the version of a program of another module nowhere where this one looks for it.
_LDFLAGS = f"-s -w -X sigs.k8s.io/release-utils/version.gitVersion={VERSION}"


def _make(folder: Path) -> str:
    go = golang.build(SOURCE / "cosign", list(_PACKAGES), folder, _LDFLAGS)
    return f"{VERSION} (go {go})"


def _intact(folder: Path) -> bool:
    return (folder / "cosign").is_file() and (folder / "referrers").is_file()


PART = Part(
    name="cosign",
    make=_make,
    recipe=(VERSION, _LDFLAGS, *_PACKAGES),
    files=("cosign/go.mod", "cosign/go.sum", "cosign/referrers/main.go"),
    intact=_intact,
)


def is_cached() -> bool:
    """Whether it is there; it takes minutes to make."""
    return PART.fresh()


def folder() -> Path:
    """Return the folder with the programs ``cosign`` and ``referrers ADDRESS``, after they were built where missing.

    :raises LabError: their sources cannot be fetched or compiled, or the cache is not ours.
    """
    from lab.jobs import run_jobs
    from lab.lock import alone

    if not is_cached():
        try:
            with alone():
                run_jobs([PART.job()])
        except PermissionError as error:
            raise LabError(f"{PART.name} cannot be built into {PART.folder}: do this once as root") from error
    return PART.folder
