"""The Docker host that answers on this machine: the lab's, or another."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.paths import DATA_ROOT

_DEFAULT = "unix:///var/run/docker.sock"
# Small, official and in the mirror: where it can be pulled, others can.
_PROBE = "busybox"
_TIMEOUT = 60  # seconds; a busy Docker host answers late


@dataclass(frozen=True)
class Engine:
    """A Docker host that answers.

    :ivar is_labs: whether the lab started it.
    """

    address: str
    is_labs: bool
    client: Any

    def cannot_pull(self) -> str | None:
        """Return why the host cannot pull, None where it can: it looks an image up where it would pull it from."""
        import docker.errors
        import requests

        try:
            self.client.inspect_distribution(_PROBE)
        except (docker.errors.APIError, requests.RequestException) as error:
            return str(getattr(error, "explanation", None) or error)
        return None


def find() -> Engine | None:
    """Return the Docker host that answers, as DOCKER_HOST or the default socket say; None if there is none."""
    address = os.environ.get("DOCKER_HOST") or _DEFAULT
    if address == _DEFAULT and not Path(address.removeprefix("unix://")).exists():
        return None
    import docker
    import docker.errors
    import requests

    try:
        client = docker.APIClient(base_url=address, version="auto", timeout=_TIMEOUT)
        information = client.info()
    except (docker.errors.DockerException, requests.RequestException) as error:
        if "Permission denied" in str(error):
            raise LabError(f"permission denied on {address}: run as root, or join the group docker") from error
        if address != _DEFAULT:
            raise LabError(f"DOCKER_HOST={address} does not answer: unset it for the lab's own Docker host") from error
        return None
    return Engine(address, information.get("DockerRootDir") == str(DATA_ROOT), client)
