"""The Debian packages whose files go into images, downloaded once for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import packages
from lab.parts import Part

if TYPE_CHECKING:
    from pathlib import Path

_ARCHITECTURES = tuple(packages.PORTS)


def _make(folder: Path) -> str:
    packages.download([f"busybox-static:{port}" for port in _ARCHITECTURES] + ["qemu-user-static"], folder)
    return f"{len(list(folder.glob('*.deb')))} packages"


DEBS = Part(
    name="debian-packages",
    make=_make,
    recipe=("busybox-static", "qemu-user-static", packages.SUITE, packages.ARCHIVE, *_ARCHITECTURES),
)
