"""The order in which the lab makes things."""

from __future__ import annotations

from lab import distribution, kubernetes
from lab.paths import SOURCE
from lab.plan import PARTS, jobs_of


def test_part_that_is_made_on_first_need_needs_no_docker_host() -> None:
    """What it is made of comes before it, and the mirror that holds its images."""
    names = [job.name for job in jobs_of((kubernetes.PAUSE_IMAGE, kubernetes.PROGRAMS))]
    assert ["host-packages", "mirror", "debian-packages", "kubernetes/pause", "kubernetes-programs"] == names


def test_registry_3_is_made_on_first_need_alone() -> None:
    """It is built of its locked sources, without a Docker host, and is no part of one."""
    assert ["host-packages", "mirror", "distribution"] == [job.name for job in jobs_of((distribution.PART,))]
    assert distribution.PART not in PARTS
    locked = [name for name in distribution.PART.files if "h1:" in (SOURCE / name).read_text()]
    assert ["distribution/go.sum"] == locked
