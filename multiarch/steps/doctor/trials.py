"""Trials: the programs of architectures, run for real on the Docker host, in an image that goes with them.

The image is made of the programs alone and pulled from nowhere. Nothing else is in it, so an emulator runs there only
where its entry of binfmt_misc has the F flag, as it must be for a build.
"""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multiarch.errors import DockerNotFoundError
from multiarch.steps.doctor.programs import Outcome, outcome, program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multiarch.docker_host import DockerHost

_SECONDS = 6  # seconds that a program may take, which ends at once
_REFUSED = ("exec format error", "no such file or directory", "permission denied", "operation not permitted")
_MARK = "LABEL multiarch.doctor=trial"  # for whoever meets an image that a killed run has left


class Trial(Struct, frozen=True):
    """How the program of an architecture ended. :ivar problem: why it failed."""

    outcome: Outcome
    problem: str = ""


def run_programs(host: DockerHost, architectures: Sequence[str]) -> dict[str, Trial]:
    """Return how the program of each architecture ends in a container; nothing of it stays.

    :raises DockerError: the host makes no such image or container.
    """
    from multiarch.concurrency import each

    with _image(host, architectures) as image:
        trials = each(partial(_run, host, image), architectures)
    return dict(zip(architectures, trials, strict=True))


@contextmanager
def _image(host: DockerHost, architectures: Sequence[str]) -> Iterator[str]:
    """Make an image of the programs alone; yield its id, and remove it."""
    archive = _archive(architectures)

    def make() -> str:
        said = host.client.api.import_image_from_data(archive, changes=[_MARK])
        # One JSON object a line; the last one has the id.
        return str(json.loads(said.strip().splitlines()[-1])["status"])

    image = str(host.run("make an image of test programs", make))
    try:
        yield image
    finally:
        with suppress(DockerNotFoundError):
            host.run("remove the image of test programs", lambda: host.client.images.remove(image, force=True))


def _archive(architectures: Sequence[str]) -> bytes:
    """Return a tar archive with a program of each architecture."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for architecture in architectures:
            content = program(architecture)
            file = tarfile.TarInfo(architecture)
            file.size, file.mode = len(content), 0o755
            tar.addfile(file, io.BytesIO(content))
    return buffer.getvalue()


def _run(host: DockerHost, image: str, architecture: str) -> Trial:
    action = f"run a program for {architecture}"
    limits: dict[str, Any] = {"network_mode": "none", "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
    container = host.create(action, image, [f"/{architecture}"], read_only=True, pids_limit=16, **limits)
    try:
        status = host.run(action, partial(_status, container))
    finally:
        host.remove(container)
    if isinstance(status, str):
        return Trial(Outcome.FAILS, status)
    found = outcome(status)
    return Trial(found, f"it ended with status {status}" if found is Outcome.FAILS else "")


def _status(container: Any) -> int | str:
    """Return the exit status of a container's program, or why the kernel does not begin it."""
    import docker.errors
    import requests

    try:
        container.start()
        return int(container.wait(timeout=_SECONDS)["StatusCode"])
    except docker.errors.APIError as error:
        text = str(error.explanation or error)
        if not any(sign in text for sign in _REFUSED):
            raise
        return next(sign for sign in _REFUSED if sign in text)
    except requests.RequestException as error:
        if "timed out" not in str(error):
            raise
        return f"it did not end within {_SECONDS} s"
