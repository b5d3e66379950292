"""The order in which the lab makes things."""

from __future__ import annotations

from lab import kubernetes
from lab.plan import jobs_of


def test_part_that_is_made_on_first_need_needs_no_docker_host() -> None:
    """What it is made of comes before it, and the mirror that holds its images."""
    names = [job.name for job in jobs_of((kubernetes.PAUSE_IMAGE, kubernetes.PROGRAMS))]
    assert ["host-packages", "mirror", "debian-packages", "kubernetes/pause", "kubernetes-programs"] == names
