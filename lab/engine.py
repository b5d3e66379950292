"""The Docker host that answers on this machine, whoever's it is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.paths import DATA_ROOT

_DEFAULT = "unix:///var/run/docker.sock"
# Small, official and in the mirror: if this can be pulled, anything can.
_PROBE = "busybox"
_TIMEOUT = 60


@dataclass(frozen=True)
class Engine:
    """A Docker host that answers."""

    address: str
    ours: bool
    client: Any

    def cannot_pull(self) -> str | None:
        """Return why the host cannot pull, or None if it can: it looks an image up where it would pull it from."""
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
