"""The parts and daemons of the lab, each after those that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import binfmt, buildkit, busybox, daemons, debs, packages, registry
from lab.jobs import Job
from lab.published import MIRROR_JOB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.parts import Part

PARTS = (
    # First, because compiling takes longest: everything else happens meanwhile.
    buildkit.PROGRAMS,
    buildkit.CNI,
    binfmt.PROGRAM,
    debs.DEBS,
    buildkit.ROOT,
    busybox.BUSYBOX,
    busybox.ARMHF_BUSYBOX,
    registry.REGISTRY,
    binfmt.TONISTIIGI,
    binfmt.LINUXKIT,
    buildkit.DOCKERFILE,
    buildkit.BUILDKIT,
)

_INSTALL = Job("host-packages", due=lambda: bool(packages.missing()), work=packages.install)
_MIRROR = Job(MIRROR_JOB, lambda: not daemons.MIRROR.up(), daemons.start_mirror, needs=("host-packages",))
_DOCKERD = Job("dockerd", lambda: not daemons.DOCKERD.up(), daemons.start_dockerd, needs=("host-packages",))


def jobs() -> list[Job]:
    """Return the jobs of the lab."""
    first, *others = (part.job() for part in PARTS)
    return [first, _INSTALL, _MIRROR, _DOCKERD, *others]


def jobs_of(parts: Iterable[Part]) -> list[Job]:
    """Return the jobs of parts that are made on first need, with those that they need, and without a Docker host."""
    wanted: dict[str, Part] = {}

    def add(part: Part) -> None:
        for needed in part.needs:
            add(needed)
        wanted.setdefault(part.name, part)

    for part in parts:
        add(part)
    return [_INSTALL, _MIRROR, *(part.job() for part in wanted.values())]
