"""Debian's image: made on first need, and only where the Docker host is the lab's."""

from __future__ import annotations

import pytest

from lab import debian
from lab.engine import Engine
from lab.errors import LabError
from lab.plan import PARTS, jobs_of


def test_image_is_made_on_first_need_alone() -> None:
    """It takes minutes, and a Docker host does not need it; it comes after what it is made of."""
    roots = ["debian-root-amd64", "debian-root-arm64", "debian-root-armhf"]
    assert ["host-packages", "mirror", *roots, "library/debian"] == [job.name for job in jobs_of((debian.IMAGE,))]
    assert debian.IMAGE not in PARTS


def test_root_waits_for_its_emulator() -> None:
    """Its packages' scripts are programs of its platform."""
    assert ("host-packages", "emulators") == debian.ROOTS["armhf"].job().needs


class Host:
    """What a Docker host answers about an image."""

    def __init__(self, *, pulls: bool) -> None:
        self._pulls = pulls

    def inspect_distribution(self, _: str) -> None:
        """Find the image, or fail as a host without a way to its registry."""
        import requests

        if not self._pulls:
            raise requests.ConnectionError("no route to host")


@pytest.mark.parametrize("pulls", [True, False])
def test_another_docker_host_is_left_alone(pulls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that can pull has all it needs; one that cannot is not fed by the lab, and says so before anything runs."""
    host = Engine("unix:///other.sock", False, Host(pulls=pulls))
    monkeypatch.setattr("lab.engine.find", lambda: host)
    monkeypatch.setattr("lab.jobs.run_jobs", lambda _: pytest.fail("something was made"))
    if pulls:
        debian.prepare()
        return
    expected = "unix:///other.sock is not the lab's and cannot pull debian:bookworm-slim: no route to host"
    with pytest.raises(LabError, match=expected):
        debian.prepare()
