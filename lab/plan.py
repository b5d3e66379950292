"""The parts and daemons of the lab, each after those that it needs."""

from __future__ import annotations

from lab import binfmt, buildkit, busybox, daemons, debs, packages, registry
from lab.jobs import Job
from lab.published import MIRROR_JOB

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
